"""The changes of the SOE buffer test: each of them one event, in an order that the seed decides. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.events.record import EVENT, Events
from gateway.points.change import Changes, Rows, Values, changes

STEP_NS: Final = 1_000_000
"""Between two changes: the finest that a time tag tells."""

Index = NDArray[np.intp]


class SoeChanges:
    """Points that go to and fro between two values each.

    `index` are the bindings, `rows` their points, `low` and `high` the two values, all of one length.
    """

    def __init__(self, index: Index, rows: Rows, low: Values, high: Values, seed: int) -> None:
        self._index, self._rows, self._low, self._high = index, rows, low, high
        self._random = np.random.default_rng(seed)
        self._state: NDArray[np.bool_] = np.zeros(len(index), np.bool_)

    def start_values(self) -> Changes:
        """What the points show before the first change."""
        size = len(self._rows)
        return changes(self._rows, self._low.copy(), np.zeros(size, np.uint32), np.zeros(size, np.int64))

    def make(self, count: int, time_ns: int) -> tuple[Changes, Events]:
        """The next changes, `STEP_NS` apart from `time_ns` on, and the event that each is."""
        chosen = self._random.integers(0, len(self._index), count)
        values = self._values(chosen)
        times = time_ns + STEP_NS * np.arange(count, dtype=np.int64)
        batch = changes(self._rows[chosen], values, np.zeros(count, np.uint32), times)
        events = np.zeros(count, EVENT)
        events["binding"], events["value"], events["time_ns"] = self._index[chosen], values, times
        return batch, events

    def _values(self, chosen: Index) -> Values:
        """The other value of each, as often as it is chosen."""
        order = np.argsort(chosen, kind="stable")
        ordered = chosen[order]
        firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
        counts = np.diff(np.append(firsts, len(ordered)))
        nth = np.empty(len(chosen), np.intp)
        nth[order] = np.arange(len(chosen)) - np.repeat(firsts, counts)
        high = self._state[chosen] ^ (nth % 2 == 0)
        self._state[ordered[firsts]] ^= counts % 2 == 1
        values: Values = np.where(high, self._high[chosen], self._low[chosen])
        return values
