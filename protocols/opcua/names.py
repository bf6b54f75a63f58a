"""The tree that point names make: folders by path, and groups where a folder holds more than a person can look at.

Node ids are strings that never change while the names do not:

    bess1/pcs/active_power              a point
    bess1/pcs/                          a folder: no point's name ends with a slash
    bess1/bms/|cell_voltage[1..100]     a group in a folder
    bess1/pcs/active_power|EURange      something that belongs to a point

A bar occurs in no point's name, so nothing here can be mistaken for a point.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

MAX_CHILDREN: Final = 100
ROOT: Final = ""
BAR: Final = "|"
CONTROLS: Final = "controls"
CONTROL: Final = "Control"

_ELEMENT: Final = re.compile(r"(.+)\[(\d{1,9})\]")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a folder or a group holds: a point (`row`), its control object (`row` too) or a folder (`row` -1)."""

    id: str
    row: int = -1
    control: bool = False

    @property
    def name(self) -> str:
        """The last part of the path, as it is browsed."""
        if self.control:
            return f"{_last(self.id.partition(BAR)[0])}.{CONTROL}"
        return _last(self.id.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Group:
    """Children that were put together; `id` is that of its node, `name` what is browsed."""

    id: str
    name: str
    children: tuple[Entry | Group, ...]


Child = Entry | Group


@dataclass(slots=True)
class Folder:
    """What stands directly below a path."""

    path: str
    rows: list[int] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)


class NameTree:
    """Folders of the points whose `rows` are given, made once; what a folder shows is worked out when first asked."""

    def __init__(self, names: Sequence[str], rows: Iterable[int], commanded: Sequence[bool]) -> None:
        """`names` and `commanded` by row; `rows`: those that are to be seen."""
        self._names, self._commanded = names, commanded
        self.folders: dict[str, Folder] = {ROOT: Folder(ROOT)}
        self._shown: dict[str, tuple[Child, ...]] = {}
        self._groups: dict[str, dict[str, Group]] = {}
        self._parents: dict[str, dict[str, str]] = {}
        folders = self.folders
        for row in rows:
            path = names[row].rpartition("/")[0]
            folder = folders.get(path)
            (folder if folder is not None else self._add(path)).rows.append(row)

    def _add(self, path: str) -> Folder:
        folder = self.folders[path] = Folder(path)
        above = path.rpartition("/")[0]
        parent = self.folders.get(above)
        (parent if parent is not None else self._add(above)).folders.append(path)
        return folder

    def children(self, path: str) -> tuple[Child, ...]:
        """At most `MAX_CHILDREN` entries and groups of a folder. `KeyError` when there is no such folder."""
        shown = self._shown.get(path)
        if shown is None:
            shown = self._show(self.folders[path])
            self._shown[path] = shown
        return shown

    def group(self, path: str, label: str) -> Group | None:
        """A group of a folder by its label."""
        if path not in self.folders:
            return None
        self.children(path)
        return self._groups[path].get(label)

    def parent(self, path: str, child: str) -> str:
        """The id of what holds `child` (an id) of the folder `path`: the folder itself or a group of it."""
        self.children(path)
        return self._parents[path].get(child, folder_id(path))

    def _show(self, folder: Folder) -> tuple[Child, ...]:
        entries = [Entry(folder_id(path)) for path in folder.folders]
        entries += [Entry(self._names[row], row) for row in folder.rows]
        controls = [
            Entry(f"{self._names[row]}{BAR}{CONTROL}", row, True) for row in folder.rows if self._commanded[row]
        ]
        groups: dict[str, Group] = {}
        make = _Grouping(folder_id(folder.path), groups)
        shown: Sequence[Child] = [*entries, *controls]
        if len(shown) > MAX_CHILDREN and controls:
            shown = [*entries, make.group(CONTROLS, make.grouped(controls, f"{CONTROLS}/"))]
        self._groups[folder.path] = groups
        out = tuple(make.grouped(shown, ""))
        self._parents[folder.path] = {child.id: group.id for group in groups.values() for child in group.children}
        return out

    @cached_property
    def count(self) -> int:
        """Points in the tree."""
        return sum(len(folder.rows) for folder in self.folders.values())


class _Grouping:
    """Puts children together until no more than `MAX_CHILDREN` remain."""

    def __init__(self, base: str, made: dict[str, Group]) -> None:
        self._base, self._made = base, made

    def group(self, label: str, children: Iterable[Child]) -> Group:
        found = Group(f"{self._base}{BAR}{label}", label.rpartition("/")[2], tuple(children))
        self._made[label] = found
        return found

    def grouped(self, children: Sequence[Child], prefix: str) -> list[Child]:
        """Array elements by their number first (their groups stay the same when others come), the rest by place."""
        out = list(children)
        if len(out) > MAX_CHILDREN:
            out = self._by_number(out, prefix)
        span = MAX_CHILDREN
        while len(out) > MAX_CHILDREN:
            out = self._by_place(out, span, prefix)
            span *= MAX_CHILDREN
        return out

    def _by_number(self, children: list[Child], prefix: str) -> list[Child]:
        families: dict[str, list[tuple[int, Child]]] = {}
        out: list[Child | str] = []
        for child in children:
            match = _ELEMENT.fullmatch(child.name.removesuffix(f".{CONTROL}"))
            if match is None:
                out.append(child)
                continue
            family = families.setdefault(match[1], [])
            if not family:
                out.append(match[1])
            family.append((int(match[2]), child))
        return [
            child
            for place in out
            for child in (self._family(place, families[place], prefix) if isinstance(place, str) else [place])
        ]

    def _family(self, stem: str, members: list[tuple[int, Child]], prefix: str) -> list[Child]:
        if len(members) == 1:
            return [members[0][1]]
        first = min(number for number, _ in members) and 1
        span = MAX_CHILDREN
        while len(members) > MAX_CHILDREN or span == MAX_CHILDREN:
            members = self._spans(stem, members, first, span, prefix)
            span *= MAX_CHILDREN
        return [child for _, child in members]

    def _spans(
        self, stem: str, members: list[tuple[int, Child]], first: int, span: int, prefix: str
    ) -> list[tuple[int, Child]]:
        """Groups of the numbers first to first + span - 1 and so on; each with its first number."""
        spans: dict[int, list[Child]] = {}
        for number, child in members:
            spans.setdefault((number - first) // span * span + first, []).append(child)
        return [
            (low, self.group(f"{prefix}{stem}[{low}..{low + span - 1}]", children)) for low, children in spans.items()
        ]

    def _by_place(self, children: list[Child], span: int, prefix: str) -> list[Child]:
        parts = range(0, len(children), MAX_CHILDREN)
        width = span // MAX_CHILDREN
        return [
            self.group(
                f"{prefix}{at * width + 1}..{at * width + span}",
                children[at : at + MAX_CHILDREN],
            )
            for at in parts
        ]


def grouped(children: Sequence[Child], base: str, made: dict[str, Group]) -> list[Child]:
    """At most `MAX_CHILDREN` of these or groups of them; ids of groups begin with `base`, `made` has them by label."""
    return _Grouping(base, made).grouped(children, "")


def folder_id(path: str) -> str:
    """The string of a folder's node id; the root's is empty, it is the Objects folder itself."""
    return f"{path}/" if path else ""


def _last(path: str) -> str:
    return path.rpartition("/")[2]
