"""Which time a sample gets. Pure.

A change that has a source time of its own keeps it, whatever the clocks do: nothing re-stamps a value. But a loss, an
ageing, a substitution change the quality and leave the source time of the value as it was, and both the store and
InfluxDB tell the samples of a series by time: such a change needs another one, and gets the time at which *the core*
published it. Not the clock of whoever records: one that lags, or reads the feed again after a restart, would put the
loss behind the return that followed it, and the history would say lost until the next change.

So that the samples of a point stand in the order of its changes, wherever the clocks stand, such a time is

- later than every time of the point before it (by a nanosecond, if the core's clock was stepped back),
- earlier than the source time that follows in the same batch, if there is room: a device's clock may lag.

No change has the newest time of the point before it, so that neither overwrites the other in InfluxDB. A source time
that comes late, behind a time that was given here (an event that the device had kept, a device's clock that lags),
stays the sample's time; and as the point would then end as what it no longer is, what stands is recorded once more,
behind that time.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.history.samples import Times

Places = NDArray[np.intp]
_NO_TIME: Final = -(1 << 62)
_NEVER: Final = 1 << 62


class SampleTimes:
    """By row of the table: the source time of the last change, the newest time of all, the newest one given here."""

    def __init__(self, size: int) -> None:
        self._source_ns, self._newest_ns, self._given_ns = (np.full(size, _NO_TIME, np.int64) for _ in range(3))

    def restore(self, rows: Places, source_ns: Times, time_ns: Times) -> None:
        """Go on behind these samples, one a row."""
        self._source_ns[rows], self._newest_ns[rows] = source_ns, time_ns
        self._given_ns[rows] = np.where(time_ns == source_ns, _NO_TIME, time_ns)

    def of(self, rows: Places, source_ns: Times, told_ns: int) -> Times:
        """Times of these changes, in order; the core published them at `told_ns`."""
        if len(np.unique(rows)) < len(rows):
            return self._in_turn(rows, source_ns, told_ns)
        newest, unchanged = self._newest_ns[rows], source_ns == self._source_ns[rows]
        own = ~unchanged & (source_ns != newest)
        times = np.where(own, source_ns, np.maximum(np.where(unchanged, told_ns, source_ns), newest + 1))
        self._source_ns[rows], self._newest_ns[rows] = source_ns, np.maximum(newest, times)
        self._given_ns[rows] = np.where(times == source_ns, self._given_ns[rows], times)
        return times

    def _in_turn(self, rows: Places, source_ns: Times, told_ns: int) -> Times:
        """Rows that come more than once: each change knows the one before it, and what follows."""
        latest = _latest(rows.tolist(), source_ns.tolist())
        out = []
        for row, source, limit in zip(rows.tolist(), source_ns.tolist(), latest, strict=True):
            newest, unchanged = int(self._newest_ns[row]), source == self._source_ns[row]
            time = source
            if unchanged or source == newest:
                time = max(told_ns if unchanged else source, newest + 1)
                time = min(time, limit) if limit > newest else time
                self._given_ns[row] = time
            self._source_ns[row], self._newest_ns[row] = source, max(newest, time)
            out.append(time)
        return np.array(out, np.int64)

    def behind(self, rows: Places, times: Times) -> Places:
        """Places of the last change of each row whose time lies behind one that was given to an earlier change."""
        late: Places = np.flatnonzero(times < self._given_ns[rows])
        if len(late):
            _, from_end = np.unique(rows[::-1], return_index=True)
            late = np.intersect1d(late, len(rows) - 1 - from_end)
        return late


def _latest(rows: list[int], source_ns: list[int]) -> list[int]:
    """Of each change the latest time that leaves room for what follows of its row in the batch."""
    out = [_NEVER] * len(rows)
    following: dict[int, int] = {}
    for at in range(len(rows) - 1, -1, -1):
        after = following.get(rows[at])
        if after is not None:
            out[at] = (out[after] if source_ns[after] == source_ns[at] else source_ns[after]) - 1
        following[rows[at]] = at
    return out
