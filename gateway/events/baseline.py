"""What each binding was last reported with: where a deadband goes on after a restart. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.events.record import Events, pack, unpack
from gateway.points.change import Qualities, Values
from gateway.points.quality import ALL_FLAGS

Index = NDArray[np.integer]

_RECORD: Final = np.dtype([("value", "<f8"), ("quality", "<u4")])
_UNKNOWN: Final = np.uint32(0xFFFFFFFF)
_FLAGS: Final = np.uint32(ALL_FLAGS)
"""A protocol may use the bits above for its own notes in an event; they are no quality."""


@dataclass(frozen=True, slots=True)
class Reported:
    """Bindings that something was reported for, and what; arrays of one length."""

    index: NDArray[np.intp]
    values: Values
    qualities: Qualities


NOTHING_REPORTED: Final = Reported(np.empty(0, np.intp), np.empty(0, np.float64), np.empty(0, np.uint32))


class Baseline:
    """Value and quality last reported, by binding."""

    def __init__(self, size: int) -> None:
        self._table = np.zeros(size, _RECORD)
        self._table["quality"] = _UNKNOWN

    def __len__(self) -> int:
        return len(self._table)

    @property
    def reported(self) -> Reported:
        """Every binding of which something is known."""
        index = np.flatnonzero(self._table["quality"] != _UNKNOWN)
        return Reported(index, self._table["value"][index].copy(), self._table["quality"][index].copy())

    def take(self, index: Index, values: Values, qualities: Qualities) -> None:
        """Take these as last reported; of a binding that occurs twice the last counts."""
        self._table["value"][index] = values
        self._table["quality"][index] = qualities & _FLAGS

    def take_events(self, events: Events) -> None:
        """Events in their order."""
        self.take(events["binding"], events["value"], events["quality"])

    def copy(self) -> Baseline:
        """As it stands now."""
        out = Baseline(0)
        out._table = self._table.copy()
        return out

    def moved(self, places: NDArray[np.int64], size: int) -> Baseline:
        """For another set of `size` bindings: `places` has the new binding of each old one, or -1."""
        out = Baseline(size)
        known = places >= 0
        out._table[places[known]] = self._table[known]
        return out

    def pack(self) -> bytes:
        """As a blob."""
        return pack(self._table.tobytes(), _RECORD.itemsize)

    @classmethod
    def unpack(cls, blob: object, size: int) -> Baseline:
        """From a blob; `BlobError` when it is none of `size` bindings."""
        out = cls(0)
        out._table = np.frombuffer(unpack(blob, _RECORD.itemsize, size), _RECORD).copy()
        return out
