"""Chatter filter: a contact that changes too often is told once as such and then held until it is quiet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import Qualities, Rows, Times, Values
from gateway.points.model import PointCatalogue
from gateway.points.quality import Quality

_CHATTER: Final = np.uint32(Quality.CHATTER)
_LONG_AGO: Final = -(1 << 62)

_Slots = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Quiet:
    """Points that chatter no more: rows, the values at which they came to rest, and since when. Equal lengths."""

    rows: Rows
    values: Values
    times_ns: Times


class ChatterFilter:
    """Stands between drivers and table for the points that have a `chatter_count` and a `chatter_s`.

        field   _|‾|_|‾|_|‾|_|‾|_|‾|_______________
        told    _|‾|_|‾|________________|            more than `count` changes within `window`: value held,
        CHATTER         ‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾‾|_            quality CHATTER, until no change came for `window`

    Changes are counted by source time, so what a device delivers late is not taken for chatter; quiet is measured by
    the clock. ``now_ns`` is monotonic.
    """

    def __init__(self, rows: Rows, counts: NDArray[np.integer], windows_ns: Times, points: int) -> None:
        """`counts` (1 or more) and `windows_ns` by filtered row; `points` is the length of the table."""
        size = len(rows)
        self.rows = rows.astype(np.uint32)
        self._slot: _Slots = np.full(points, -1, np.intp)
        self._slot[rows] = np.arange(size)
        self._counts = counts.astype(np.intp)
        self._windows_ns = windows_ns.astype(np.int64)
        depth = int(self._counts.max()) + 1 if size else 1
        self._changed_ns: NDArray[np.int64] = np.full((size, depth), _LONG_AGO, np.int64)
        """Source times of each point's last changes, as a ring."""
        self._newest: _Slots = np.zeros(size, np.intp)
        self._raw: Values = np.full(size, np.nan)
        self._raw_time_ns: Times = np.zeros(size, np.int64)
        self._shown: Values = np.full(size, np.nan)
        self._moved_ns: Times = np.zeros(size, np.int64)
        self._chattering: NDArray[np.bool_] = np.zeros(size, np.bool_)

    @classmethod
    def of(cls, catalogue: PointCatalogue) -> ChatterFilter | None:
        """The filter that a site's points ask for; None when none does."""
        rows = np.flatnonzero(catalogue.chatter_count > 0)
        if not len(rows):
            return None
        windows_ns = (catalogue.chatter_s[rows] * 1e9).astype(np.int64)
        return cls(rows.astype(np.uint32), catalogue.chatter_count[rows].astype(np.intp), windows_ns, len(catalogue))

    @property
    def chattering(self) -> Rows:
        """Rows that are held at this moment."""
        return self.rows[self._chattering]

    def admit(
        self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int, now_ns: int
    ) -> tuple[Values, Qualities]:
        """Values and qualities as they may be published; the arrays given are not changed. A row may occur again."""
        slots = self._slot[rows]
        positions = np.flatnonzero(slots >= 0)
        if not len(positions):
            return values, qualities
        slots = slots[positions]
        times = np.full(len(rows), times_ns, np.int64) if isinstance(times_ns, int) else times_ns
        values, qualities = values.copy(), qualities.copy()
        for turn in _turns(slots):
            at = positions[turn]
            self._take(slots[turn], values[at], times[at], now_ns)
            held = self._chattering[slots[turn]]
            values[at[held]] = self._shown[slots[turn][held]]
            qualities[at[held]] |= _CHATTER
        return values, qualities

    def _take(self, slots: _Slots, values: Values, times_ns: Times, now_ns: int) -> None:
        """Note changes of points that occur once each, and hold those that change too often."""
        moved = (values != self._raw[slots]) & ~(np.isnan(values) & np.isnan(self._raw[slots]))
        known = ~np.isnan(self._raw[slots])
        self._raw[slots[moved]], self._raw_time_ns[slots[moved]] = values[moved], times_ns[moved]
        changed = moved & known
        at = slots[changed]
        self._moved_ns[at] = now_ns
        depth = self._changed_ns.shape[1]
        self._newest[at] = (self._newest[at] + 1) % depth
        self._changed_ns[at, self._newest[at]] = times_ns[changed]
        before = self._changed_ns[at, (self._newest[at] - self._counts[at]) % depth]
        self._chattering[at] |= times_ns[changed] - before < self._windows_ns[at]
        free = slots[~self._chattering[slots]]
        self._shown[free] = self._raw[free]

    def settle(self, now_ns: int) -> Quiet | None:
        """Points that have not changed for their window: they are held no longer."""
        if not self._chattering.any():
            return None
        slots = np.flatnonzero(self._chattering & (now_ns - self._moved_ns >= self._windows_ns))
        if not len(slots):
            return None
        self._chattering[slots] = False
        self._shown[slots] = self._raw[slots]
        self._changed_ns[slots] = _LONG_AGO
        return Quiet(self.rows[slots], self._raw[slots].copy(), self._raw_time_ns[slots].copy())


def _turns(slots: _Slots) -> list[_Slots]:
    """Positions in turns, so that none has a slot twice and each slot's come in their order."""
    if len(np.unique(slots)) == len(slots):
        return [np.arange(len(slots))]
    order = np.argsort(slots, kind="stable")
    firsts = np.flatnonzero(np.diff(slots[order], prepend=-1))
    turn = np.empty(len(slots), np.intp)
    turn[order] = np.arange(len(slots)) - np.repeat(firsts, np.diff(np.append(firsts, len(slots))))
    return [np.flatnonzero(turn == number) for number in range(int(turn.max()) + 1)]
