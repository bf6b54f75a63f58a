"""Events of one map: made from changes, through deadbands, into the queue that outlives connections. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.events import EVENT, EventQueue
from gateway.points import Changes, Quality
from gateway.points.deadband import Deadband
from protocols.mqtt.gridplan import BindingColumns

_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)
Index = NDArray[np.intp]


class EventStream:
    """Changes in, events out. `announce`: a point that was never told is told as it stands at the start."""

    def __init__(
        self, columns: BindingColumns, points: int, table: TableView, queue: EventQueue, announce: bool
    ) -> None:
        self._columns, self._table, self.queue, self._announce = columns, table, queue, announce
        self._deadband = Deadband(columns.limit.copy())
        before = queue.reported
        self._deadband.reset(before.index, before.values, before.qualities)
        self._reported = np.zeros(len(columns), np.bool_)
        self._reported[before.index] = True
        self._binding_of = np.full(points, -1, np.intp)
        self._binding_of[columns.row] = np.arange(len(columns))
        self._confirmed_seq = 0

    def resume(self, confirmed_seq: int) -> None:
        """The core holds that no feed record up to this one is needed; the queue may know of more."""
        self._confirmed_seq = self.queue.resume(confirmed_seq)

    def begin(self) -> int:
        """The table is right: what differs from what was last told is an event. Returns how many were dropped."""
        # From here on every record is new; what the feed's reader makes up itself (a lost core, a difference between
        # snapshots) is numbered with the last record it had, which may be an old one.
        self._confirmed_seq = 0
        rows = self._columns.row
        heard = (self._table.quality[rows] & _NEVER) == 0
        quiet = np.flatnonzero(~self._reported & ~heard)
        self._deadband.reset(quiet, self._table.value[rows[quiet]], self._table.quality[rows[quiet]])
        if not self._announce:
            fresh = np.flatnonzero(~self._reported & heard)
            state = self._table.value[rows[fresh]], self._table.quality[rows[fresh]]
            self._deadband.reset(fresh, *state)
            self.queue.report(fresh, *state)
            self._reported[fresh] = True
        return self._catch_up(np.flatnonzero(heard & (self._reported | self._announce)))

    def changes(self, batch: Changes, seq: int) -> int:
        """Make events of changes; `seq` is that of the last record. Returns how many events were dropped."""
        first = seq - len(batch) + 1
        known = max(0, self._confirmed_seq - first + 1)
        if known:
            batch, first = batch[known:], first + known
        index = self._binding_of[batch["row"]]
        places = np.flatnonzero(index >= 0)
        dropped = self._report(batch[places], index[places], places + first) if len(places) else 0
        self.queue.note(seq)
        return dropped

    def refresh(self) -> int:
        """Every point that was heard of is told as it stands. Returns how many events were dropped."""
        rows = self._columns.row
        index = np.flatnonzero((self._table.quality[rows] & _NEVER) == 0)
        self._deadband.forget(index)
        return self._catch_up(index)

    def _catch_up(self, index: Index) -> int:
        """Events for points that the table shows otherwise than they were last told, oldest first."""
        rows = self._columns.row[index]
        order = np.argsort(self._table.time_ns[rows], kind="stable")
        index, rows = index[order], rows[order]
        batch = np.empty(len(rows), EVENT)
        batch["value"], batch["quality"] = self._table.value[rows], self._table.quality[rows]
        batch["time_ns"] = self._table.time_ns[rows]
        return self._report(batch, index, np.full(len(rows), self.queue.noted_seq, np.int64))

    def _report(self, changed: NDArray[np.void], index: Index, seqs: NDArray[np.integer]) -> int:
        passed = self._deadband.passes(index, changed["value"], changed["quality"])
        self._reported[index] = True
        events = np.empty(int(passed.sum()), EVENT)
        events["binding"] = index[passed]
        for name in ("quality", "value", "time_ns"):
            events[name] = changed[name][passed]
        events["seq"] = seqs[passed]
        return self.queue.append(events)
