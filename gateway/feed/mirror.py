"""A reader's own copy of the point table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gateway.feed.frames import FeedError
from gateway.points.change import CHANGE, Changes, Qualities, Times, Values, changes
from gateway.points.quality import Quality

_NEVER = np.uint32(Quality.NEVER_REPORTED)
_NOT_TOPICAL = np.uint32(Quality.NOT_TOPICAL)


class Mirror:
    """``value`` f8, ``quality`` u4, ``time_ns`` i8, ``seen_ns`` i8 by row, as the core last told them."""

    def __init__(self, size: int) -> None:
        self.value: Values = np.zeros(size, np.float64)
        self.quality: Qualities = np.full(size, Quality.NEVER_REPORTED, np.uint32)
        self.time_ns: Times = np.zeros(size, np.int64)
        self.seen_ns: Times = np.zeros(size, np.int64)

    def __len__(self) -> int:
        return len(self.value)

    def apply(self, batch: Changes) -> Changes:
        """Take over changes; a row that occurs twice ends at its last. Returns what became of them here.

        A core that has not yet heard of a point known here may only add to its quality (see `merge`).
        """
        unheard = (batch["quality"] & _NEVER) != 0
        if unheard.any():
            batch = self._keep_known(batch, unheard)
        rows = batch["row"]
        self.value[rows] = batch["value"]
        self.quality[rows] = batch["quality"]
        self.time_ns[rows] = batch["time_ns"]
        self.seen_ns[rows] = batch["time_ns"]
        return batch

    def _keep_known(self, batch: Changes, unheard: NDArray[np.bool_]) -> Changes:
        batch = batch.copy()
        keep = unheard & ((self.quality[batch["row"]] & _NEVER) == 0)
        rows = batch["row"][keep]
        batch["value"][keep] = self.value[rows]
        batch["time_ns"][keep] = self.time_ns[rows]
        batch["quality"][keep] = (batch["quality"][keep] & ~_NEVER) | _NOT_TOPICAL
        return batch

    def merge(self, values: Values, qualities: Qualities, times_ns: Times, seen_ns: Times) -> Changes:
        """Take over a snapshot; returns what differs from before, by time.

        A core that has just started knows nothing yet: a point it never heard of keeps the value and time it
        has here, as not topical, rather than turning into a zero. `FeedError` when the sizes differ.
        """
        if len(values) != len(self):
            raise FeedError(f"a snapshot of {len(values)} points came, {len(self)} were expected")
        known_here = (self.quality & _NEVER) == 0
        keep = ((qualities & _NEVER) != 0) & known_here
        values = np.where(keep, self.value, values)
        qualities = np.where(keep, (qualities & ~_NEVER) | _NOT_TOPICAL, qualities).astype(np.uint32)
        times_ns = np.where(keep, self.time_ns, times_ns)
        differs = (values.view(np.int64) != self.value.view(np.int64)) | (qualities != self.quality)
        differs |= times_ns != self.time_ns
        rows = np.flatnonzero(differs).astype(np.uint32)
        rows = rows[np.argsort(times_ns[rows], kind="stable")]
        out = changes(rows, values[rows], qualities[rows], times_ns[rows])
        self.apply(out)
        self.seen_ns[:] = np.where(keep, self.seen_ns, seen_ns)
        return out

    def lose(self) -> Changes:
        """The core is gone: everything known becomes not topical, value and time kept."""
        rows = np.flatnonzero((self.quality & np.uint32(_NEVER | _NOT_TOPICAL)) == 0).astype(np.uint32)
        if not len(rows):
            return np.empty(0, CHANGE)
        out = changes(rows, self.value[rows], self.quality[rows] | _NOT_TOPICAL, self.time_ns[rows])
        self.quality[rows] = out["quality"]
        return out
