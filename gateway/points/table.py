"""The point table: what every point is now, as numpy columns, changed by batches only."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.change import CHANGE, Changes, Qualities, Rows, Times, Values, changes
from gateway.points.model import PointCatalogue
from gateway.points.quality import Quality

NO_CHANGES: Final[Changes] = np.empty(0, CHANGE)

_Index = NDArray[np.intp]
_FREE, _SUBSTITUTED, _BLOCKED = 0, 1, 2
_FOR_EVER: Final = 1 << 62
_NOT_TOPICAL: Final = np.uint32(Quality.NOT_TOPICAL)
_TOLD_OLD: Final = np.uint32(Quality.NOT_TOPICAL | Quality.COMM_LOST | Quality.NEVER_REPORTED)
_OVER_RANGE: Final = np.uint32(Quality.OVER_RANGE)


class PointTable:
    """Structure of arrays, index = row.

    - ``value`` f8, ``quality`` u4, ``time_ns`` i8: what everyone sees. ``time_ns`` is the source time at which
      the present value or quality came about; a scan that finds the same again does not touch it.
    - ``seen_ns`` i8: source time of the last update, changed or not.

    Every method that may change something returns the `CHANGE` records of what differs, in order; it is for
    the caller to hand them on. ``now_ns`` arguments are a monotonic clock, used for ageing only.
    """

    def __init__(self, catalogue: PointCatalogue) -> None:
        size = len(catalogue)
        self.value: Values = np.zeros(size, np.float64)
        self.quality: Qualities = np.full(size, Quality.NEVER_REPORTED, np.uint32)
        self.time_ns: Times = np.zeros(size, np.int64)
        self.seen_ns: Times = np.zeros(size, np.int64)
        self._updated_ns: Times = np.zeros(size, np.int64)
        max_age = np.nan_to_num(catalogue.max_age_s, nan=0.0)
        self._max_age_ns: Times = np.where(max_age > 0, max_age * 1e9, float(_FOR_EVER)).astype(np.int64)
        self._low, self._high = catalogue.low, catalogue.high
        self._order = np.zeros(size, np.intp)
        self._positions = np.arange(size)
        self._held: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self._holds = 0
        self._field = np.zeros(0, CHANGE)

    def __len__(self) -> int:
        return len(self.value)

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int, now_ns: int) -> Changes:
        """Take one batch of updates, arrays of one length; a row may occur more than once, in order.

        Values outside the engineering range get OVER_RANGE. Returns what changed. Raises `IndexError` for a
        row beyond the table.
        """
        at = rows.astype(np.intp)  # once: numpy would convert at every use
        if isinstance(times_ns, int):
            times_ns = np.full(len(at), times_ns, np.int64)
        out_of_range = (values < self._low.take(at)) | (values > self._high.take(at))
        if out_of_range.any():
            qualities = qualities | np.where(out_of_range, _OVER_RANGE, np.uint32(0))
        position = self._positions[: len(at)] if len(at) <= len(self._positions) else np.arange(len(at))
        self._order[at] = position
        if np.array_equal(self._order.take(at), position):
            return self._publish_once(at, values, qualities, times_ns, now_ns)
        return self._publish_repeated(at, values, qualities, times_ns, now_ns)

    def _publish_repeated(
        self, rows: _Index, values: Values, qualities: Qualities, times_ns: Times, now_ns: int
    ) -> Changes:
        """Split where a row comes again, so that each step is compared with the one before it."""
        out: list[Changes] = []
        start, seen = 0, set[int]()
        for position, row in enumerate(rows.tolist()):
            if row in seen:
                part = slice(start, position)
                out.append(self._publish_once(rows[part], values[part], qualities[part], times_ns[part], now_ns))
                start, seen = position, set()
            seen.add(row)
        out.append(self._publish_once(rows[start:], values[start:], qualities[start:], times_ns[start:], now_ns))
        return np.concatenate(out)

    def _publish_once(
        self, rows: _Index, values: Values, qualities: Qualities, times_ns: Times, now_ns: int
    ) -> Changes:
        self._updated_ns[rows] = now_ns
        self.seen_ns[rows] = times_ns
        if self._holds:
            held = self._held[rows] != _FREE
            if held.any():
                self._field[rows[held]] = changes(rows[held], values[held], qualities[held], times_ns[held])
                free = ~held
                rows, values, qualities, times_ns = rows[free], values[free], qualities[free], times_ns[free]
        differs = self.value.take(rows).view(np.int64) != np.ascontiguousarray(values).view(np.int64)
        differs |= self.quality.take(rows) != qualities
        index = differs.nonzero()[0]
        if not len(index):
            return NO_CHANGES
        if len(index) < len(rows):
            rows, values, qualities, times_ns = rows[index], values[index], qualities[index], times_ns[index]
        self.value[rows] = values
        self.quality[rows] = qualities
        self.time_ns[rows] = times_ns
        return changes(rows, values, qualities, times_ns)

    def _store(self, batch: Changes) -> None:
        rows = batch["row"]
        self.value[rows] = batch["value"]
        self.quality[rows] = batch["quality"]
        self.time_ns[rows] = batch["time_ns"]

    def degrade(self, rows: Rows, flags: int) -> Changes:
        """Add flags, keeping value and time. Rows held by a person keep their face; the field value degrades."""
        add = np.uint32(flags)
        if self._holds:
            held = rows[self._held[rows] != _FREE]
            self._field["quality"][held] |= add
            rows = rows[self._held[rows] == _FREE]
        rows = rows[(self.quality[rows] & add) != add]
        if not len(rows):
            return NO_CHANGES
        out = changes(rows, self.value[rows], self.quality[rows] | add, self.time_ns[rows])
        self._store(out)
        return out

    def lift(self, rows: Rows, values: Values, times_ns: Times, flags: int) -> Changes:
        """Show these values and take flags away; it is no update: ages and the other flags stay. Rows once each."""
        keep = ~np.uint32(flags)
        if self._holds:
            held = self._held[rows] != _FREE
            under = rows[held]
            self._field["value"][under], self._field["time_ns"][under] = values[held], times_ns[held]
            self._field["quality"][under] &= keep
            rows, values, times_ns = rows[~held], values[~held], times_ns[~held]
        out = changes(rows, values, self.quality[rows] & keep, times_ns)
        differs = (self.quality[rows] != out["quality"]) | (self.value[rows] != values)
        moved: Changes = out[differs]
        self._store(moved)
        return moved

    def sweep(self, now_ns: int) -> Changes:
        """Mark every point without an update within its max_age as not topical; value and time stay.

        One whose device is known to be lost has been told so: that it ages as well is no news to anybody.
        """
        old = now_ns - self._updated_ns > self._max_age_ns
        old &= (self.quality & _TOLD_OLD) == 0
        if self._holds:
            old &= self._held == _FREE
            held = (now_ns - self._updated_ns > self._max_age_ns) & (self._held != _FREE)
            self._field["quality"][held] |= _NOT_TOPICAL
        rows = np.flatnonzero(old)
        return self.degrade(rows.astype(np.uint32), Quality.NOT_TOPICAL) if len(rows) else NO_CHANGES

    def substitute(self, row: int, value: float, time_ns: int, test: bool = False) -> Changes:
        """Show a forced value with quality *substituted*; what the field says is kept underneath.

        `test`: with quality *test* too, which every protocol that knows it tells its masters.
        """
        self._hold(row, _SUBSTITUTED)
        quality = Quality.SUBSTITUTED | Quality.TEST if test else Quality.SUBSTITUTED
        return self._show(row, value, int(quality), time_ns)

    def block(self, row: int) -> Changes:
        """Hold the present value with quality *blocked*; what the field says is kept underneath."""
        self._hold(row, _BLOCKED)
        quality = int(self.quality[row]) | int(Quality.BLOCKED)
        return self._show(row, float(self.value[row]), quality, int(self.time_ns[row]))

    def release(self, row: int) -> Changes:
        """End a substitution or a block: the field's own value, quality and time show again."""
        if self._held[row] == _FREE:
            return NO_CHANGES
        self._held[row] = _FREE
        self._holds -= 1
        field = self._field[row]
        return self._show(row, float(field["value"]), int(field["quality"]), int(field["time_ns"]))

    @property
    def held(self) -> NDArray[np.bool_] | None:
        """By row: substituted or blocked; None when nothing is."""
        return self._held != _FREE if self._holds else None

    def is_substituted(self, row: int) -> bool:
        return bool(self._held[row] == _SUBSTITUTED)

    def is_blocked(self, row: int) -> bool:
        return bool(self._held[row] == _BLOCKED)

    def field_value(self, row: int) -> tuple[float, Quality, int]:
        """What the field says under a substitution or block, or the visible value: value, quality, time in ns."""
        if self._held[row] != _FREE:
            field = self._field[row]
            return float(field["value"]), Quality(int(field["quality"])), int(field["time_ns"])
        return float(self.value[row]), Quality(int(self.quality[row])), int(self.time_ns[row])

    def _hold(self, row: int, how: int) -> None:
        if not len(self._field):
            self._field = np.zeros(len(self), CHANGE)
        if self._held[row] == _FREE:
            self._holds += 1
            self._field[row] = (row, self.quality[row], self.value[row], self.time_ns[row])
        self._held[row] = how

    def _show(self, row: int, value: float, quality: int, time_ns: int) -> Changes:
        out = np.array([(row, quality, value, time_ns)], CHANGE)
        same_value = self.value[row : row + 1].view(np.int64)[0] == out["value"].view(np.int64)[0]
        if same_value and self.quality[row] == quality:
            return NO_CHANGES
        self._store(out)
        return out
