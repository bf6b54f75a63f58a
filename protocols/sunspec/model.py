"""Information models as they lie in registers: groups of points, and where a point is once the counts are known. Pure.

SunSpec Device Information Model Specification. A model begins with its identifier (ID) and its length (L), the number
of registers that follow the two. Groups may repeat: a fixed number of times, as often as a point of the model says, or
(count 0) until the model ends::

    | ID | L | points of the model ... | group[0] points ... groups ... | group[1] ... |
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HEADER: Final = 2
"""Registers of ID and L."""


@dataclass(frozen=True, slots=True)
class PointType:
    """How a type of the specification lies in registers; `missing` is the raw number that stands for "not there"."""

    wire: str
    missing: float


NUMBERS: Final = {
    "int16": PointType("int16", -(2.0**15)),
    "int32": PointType("int32", -(2.0**31)),
    "int64": PointType("int64", -(2.0**63)),
    "uint16": PointType("uint16", 2.0**16 - 1),
    "uint32": PointType("uint32", 2.0**32 - 1),
    "uint64": PointType("uint64", 2.0**64 - 1),
    "acc16": PointType("uint16", 0.0),
    "acc32": PointType("uint32", 0.0),
    "acc64": PointType("uint64", 0.0),
    "count": PointType("uint16", 2.0**16 - 1),
    "enum16": PointType("uint16", 2.0**16 - 1),
    "enum32": PointType("uint32", 2.0**32 - 1),
    "bitfield16": PointType("uint16", 2.0**16 - 1),
    "bitfield32": PointType("uint32", 2.0**32 - 1),
    "bitfield64": PointType("uint64", 2.0**64 - 1),
    "float32": PointType("float32", math.nan),
    "float64": PointType("float64", math.nan),
    "sunssf": PointType("int16", -(2.0**15)),
}
"""Types that are numbers. Accumulators that stand at 0 are "not there" by the specification."""

MAX_SCALE: Final = 10
"""Scale factors are powers of ten from -10 to 10."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point. `scale`: the name of the scale factor's point, a fixed power of ten, or 0."""

    name: str
    type: str
    size: int
    scale: str | int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Points and groups. `count`: how often it repeats, the point that says so, 0 until the model ends; None: once."""

    name: str
    points: tuple[Point, ...]
    groups: tuple[Group, ...] = ()
    count: int | str | None = None

    def point(self, name: str) -> Point | None:
        """The point of this name."""
        return next((point for point in self.points if point.name == name), None)

    def group(self, name: str) -> Group | None:
        """The group of this name."""
        return next((group for group in self.groups if group.name == name), None)

    @property
    def own_size(self) -> int:
        """Registers of its own points."""
        return sum(point.size for point in self.points)

    def offset(self, name: str) -> int:
        """Registers before this point of the group."""
        before = 0
        for point in self.points:
            if point.name == name:
                return before
            before += point.size
        raise KeyError(name)


Step = tuple[str, int | None]
"""A group on the way to a point, and which one of those that repeat, counted from 0."""


@dataclass(frozen=True, slots=True)
class Path:
    """Where a point is within its model: ``Crv[1].Pt[0].V``."""

    groups: tuple[Step, ...]
    point: str

    def __str__(self) -> str:
        steps = (name if index is None else f"{name}[{index}]" for name, index in self.groups)
        return ".".join((*steps, self.point))


@dataclass(frozen=True, slots=True)
class Place:
    """A point found: registers from the beginning of the model, the point, and its scale factor's register."""

    offset: int
    point: Point
    scale_offset: int = -1
    scale: int = 0


class ModelError(Exception):
    """The device's model is not what the definition says. The text is for a person."""


def count_points(model: Group) -> list[str]:
    """Names of the model's points that say how often a group repeats."""
    out: dict[str, None] = {}

    def seek(group: Group) -> None:
        for inner in group.groups:
            if isinstance(inner.count, str):
                out[inner.count] = None
            seek(inner)

    seek(model)
    return list(out)


def counts_reach(model: Group) -> int:
    """Registers of the model, from its beginning, that hold all counts; at least its header."""
    ends = [model.offset(name) + 1 for name in count_points(model) if model.point(name) is not None]
    return max([HEADER, *ends])


class Shape:
    """One model on one device: its definition, its length, and how often its groups repeat.

    Raises `ModelError` when the length is not what definition and counts make it.
    """

    def __init__(self, model: Group, length: int, counts: Mapping[str, int]) -> None:
        self.model, self.length = model, length
        self._counts = counts
        self._fill = 0
        self._sizes: dict[int, int] = {}
        self._fit()

    def _fit(self) -> None:
        fixed = self.size(self.model)
        endless = next((group for group in self.model.groups if group.count == 0), None)
        rest = self.length + HEADER - fixed
        if endless is not None:
            each = self.size(endless)
            if each <= 0 or rest < 0 or rest % each:
                raise ModelError(
                    f"its length is {self.length}, expected {fixed - HEADER} and a multiple of {each} ({endless.name})"
                )
            self._fill = rest // each
        elif rest and not self._short_of_padding(rest):
            counts = ", ".join(f"{name} {count}" for name, count in self._counts.items())
            raise ModelError(
                f"its length is {self.length}, expected {fixed - HEADER}" + (f" (with {counts})" if counts else "")
            )

    def _short_of_padding(self, rest: int) -> bool:
        """Model 1 is allowed without the register that makes its length even."""
        return not self.model.groups and self.model.points[-1].type == "pad" and rest == -self.model.points[-1].size

    def size(self, group: Group) -> int:
        """Registers of one instance of this group, endless groups left out."""
        known = self._sizes.get(id(group))
        if known is None:
            inner = sum(self.size(each) * self._often(each) for each in group.groups if each.count != 0)
            known = self._sizes[id(group)] = group.own_size + inner
        return known

    def _often(self, group: Group) -> int:
        if group.count is None:
            return 1
        return self._counts.get(group.count, 0) if isinstance(group.count, str) else group.count

    def count(self, name: str) -> int:
        """What this point said when the layout was made."""
        return self._counts.get(name, 0)

    def repeats(self, group: Group) -> int:
        """How often this group repeats on the device."""
        return self._fill if group.count == 0 else self._often(group)

    def find(self, path: Path) -> Place:
        """Where a point is; raises `ModelError` when the device has not so many of a group."""
        group, offset = self.model, 0
        scopes = [(group, 0)]
        for name, index in path.groups:
            offset += group.own_size
            for inner in group.groups:
                if inner.name == name:
                    break
                offset += self.size(inner) * self.repeats(inner)
            else:
                raise ModelError(f"it has no group {name}")
            number, often = index or 0, self.repeats(inner)
            if number >= often:
                raise ModelError(f"it has {often} of {name}, counted from 0; {name}[{number}] is not there")
            offset += self.size(inner) * number
            group = inner
            scopes.append((group, offset))
        return self._place(path, scopes)

    def _place(self, path: Path, scopes: list[tuple[Group, int]]) -> Place:
        group, offset = scopes[-1]
        point = group.point(path.point)
        if point is None:
            raise ModelError(f"it has no point {path}")
        at = offset + group.offset(point.name)
        if at + point.size > self.length + HEADER:
            raise ModelError(f"it ends before {path}")
        if isinstance(point.scale, int):
            return Place(at, point, scale=point.scale)
        for scope, start in reversed(scopes):
            if scope.point(point.scale) is not None:
                return Place(at, point, scale_offset=start + scope.offset(point.scale))
        raise ModelError(f"{path} names the scale factor {point.scale}, which is not there")
