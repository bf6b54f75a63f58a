"""Which points a person looks for: by words, path, kind and device, among 100,000 of them at each key press. Pure."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.model import Kind, PointCatalogue
from gateway.site.addresses import Addresses, Uses
from hmi.wordindex import WordIndex

_DIGITS: Final = re.compile(r"\d+")
_LAST: Final = "\U0010ffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`words`: lower case, each of which occurs. `folder`: "" or a path that ends with ``/``. None: any."""

    words: tuple[str, ...] = ()
    folder: str = ""
    kind: Kind | None = None
    device: str | None = None

    @staticmethod
    def words_of(text: str) -> tuple[str, ...]:
        """What a person typed, as words."""
        return tuple(text.lower().split())


@dataclass(frozen=True, slots=True)
class Folder:
    """Part of a path. `points`: how many lie in it at any depth; `folders`: whether there are folders in it."""

    path: str
    points: int
    folders: bool


def natural(name: str) -> str:
    """A key that puts ``cell[9]`` before ``cell[10]``, and a folder's points next to each other."""
    return _DIGITS.sub(lambda found: found[0].zfill(9), name).replace("/", "\0")


class PointIndex:
    """Everything in lower case and in natural order of the names, made once."""

    def __init__(self, catalogue: PointCatalogue, addresses: Addresses) -> None:
        self._catalogue = catalogue
        keys = [natural(name) for name in catalogue.names]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        self._order: NDArray[np.uint32] = np.array(order, np.uint32)
        self._keys = [keys[row] for row in order]
        self._words = WordIndex(_texts(catalogue, addresses, order))
        self._children = _children(catalogue.names[row] for row in order)

    def find(self, wish: Wish) -> NDArray[np.uint32]:
        """Rows in natural order of their names."""
        low, high = self._range(wish.folder)
        rows = self._order[low:high]
        if wish.words:
            found = np.logical_and.reduce([self._words.having(word) for word in wish.words])
            rows = rows[found[low:high]]
        if wish.kind is not None:
            rows = rows[self._catalogue.kinds[rows] == wish.kind]
        if wish.device is not None:
            rows = rows[self._catalogue.device[rows] == self._device(wish.device)]
        return rows

    def folders(self, path: str) -> list[Folder]:
        """The folders directly in this one ("" for the top)."""
        return self._children.get(path, [])

    def _range(self, folder: str) -> tuple[int, int]:
        if not folder:
            return 0, len(self._keys)
        key = natural(folder)
        return bisect.bisect_left(self._keys, key), bisect.bisect_left(self._keys, key + _LAST)

    def _device(self, name: str) -> int:
        devices = self._catalogue.devices
        return devices.index(name) if name in devices else len(devices)


def _texts(catalogue: PointCatalogue, addresses: Addresses, order: Iterable[int]) -> Iterator[str]:
    """Of each row in this order: name, description, device, and every address; one by one, for they are long."""
    size = len(catalogue.names)
    sources, devices, device = addresses.sources or [""] * size, ["", *catalogue.devices], catalogue.device.tolist()
    masters = [(f"{uses.server} {uses.master}", uses.addresses, _places(uses, size)) for uses in addresses.uses]
    for row in order:
        where = " ".join(f"{who} {words[place[row]]}" for who, words, place in masters if place[row] >= 0)
        name, description = catalogue.names[row], catalogue.descriptions[row]
        yield f"{name}\n{description}\n{devices[device[row] + 1]}\n{sources[row]}\n{where}".lower()


def _places(uses: Uses, size: int) -> NDArray[np.int32]:
    """By row: where in the use it stands; -1: not at all."""
    places = np.full(size, -1, np.int32)
    places[uses.rows] = np.arange(len(uses.rows), dtype=np.int32)
    return places


def _children(names: Iterator[str]) -> dict[str, list[Folder]]:
    """Folders by the path they lie in, in the order in which the names bring them."""
    counts: dict[str, int] = {}
    for name in names:
        path = name.rpartition("/")[0]
        counts[path] = counts.get(path, 0) + 1
    totals: dict[str, int] = {}
    inner: dict[str, list[str]] = {}
    for path, count in counts.items():
        if not path:
            continue
        for outer, own in pairwise(_paths(path)):
            if own not in totals:
                inner.setdefault(outer, []).append(own)
            totals[own] = totals.get(own, 0) + count
    return {outer: [Folder(own, totals[own], own in inner) for own in owns] for outer, owns in inner.items()}


def _paths(path: str) -> Iterator[str]:
    """``""``, ``a/``, ``a/b/`` of ``a/b``."""
    yield ""
    at = -1
    while (at := path.find("/", at + 1)) >= 0:
        yield path[: at + 1]
    yield f"{path}/"
