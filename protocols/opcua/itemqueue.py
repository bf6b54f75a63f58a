"""The notifications that wait to be published, of all items of a subscription in one array (OPC 10000-4, 5.13.1.5).

Queue sizes are applied to whole batches: what one by one would discard the oldest, or overwrite the newest, is found by
each notification's place among those of its item. With `discard_oldest` the overflow bit is on the first that is left,
without it on the last; a queue of one is a buffer of the newest and shows no overflow.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from protocols.opcua.quality import OVERFLOW

ENTRY: Final = np.dtype(
    [("slot", "<i4"), ("status", "<u4"), ("value", "<f8"), ("source_ns", "<i8"), ("server_ns", "<i8")]
)
"""One notification: place of its item in the item table, status code, value, source and server time in ns."""

Entries = NDArray[np.void]
Slots = NDArray[np.int32]

NO_ENTRIES: Final[Entries] = np.empty(0, ENTRY)
_OVERFLOW: Final = np.uint32(OVERFLOW)
_LIMIT_AT: Final = 65_536


class NotificationQueue:
    """Entries in the order in which they were sampled; `sizes` and `discard_oldest` are columns by slot.

    Sizes are at least 1. They are looked at when entries are taken, and before too many have come.
    """

    def __init__(self) -> None:
        self._parts: list[Entries] = []
        self._count = 0
        self._limit_at = _LIMIT_AT

    def __len__(self) -> int:
        """Entries held; those that a queue size will discard may be among them."""
        return self._count

    def append(self, entries: Entries) -> None:
        """More entries, in their order."""
        if len(entries):
            self._parts.append(entries)
            self._count += len(entries)

    @property
    def crowded(self) -> bool:
        """Whether `limit` should be called before more is appended."""
        return self._count > self._limit_at

    def limit(self, sizes: NDArray[np.int32], discard_oldest: NDArray[np.bool_]) -> None:
        """Discard what exceeds the queue sizes and mark where."""
        entries = limited(self._joined(), sizes, discard_oldest)
        self._set(entries)
        self._limit_at = max(_LIMIT_AT, 2 * len(entries))

    def take(self, reportable: NDArray[np.bool_] | None, most: int) -> Entries:
        """Remove up to `most` entries, of `reportable` slots only (None: all). `limit` comes first."""
        entries = self._joined()
        if reportable is None:
            self._set(entries[most:])
            return entries[:most]
        chosen = np.flatnonzero(reportable[entries["slot"]])[:most]
        left = np.ones(len(entries), np.bool_)
        left[chosen] = False
        self._set(entries[left])
        out: Entries = entries[chosen]
        return out

    def waiting(self, reportable: NDArray[np.bool_] | None) -> bool:
        """Whether `take` would bring anything."""
        if reportable is None:
            return self._count > 0
        return any(bool(reportable[part["slot"]].any()) for part in self._parts)

    def slots(self) -> Slots:
        """Of all entries, in their order."""
        out: Slots = self._joined()["slot"]
        return out

    def drop(self, slots: Slots) -> None:
        """Forget all entries of these items."""
        if self._count and len(slots):
            entries = self._joined()
            self._set(entries[~np.isin(entries["slot"], slots)])

    def _joined(self) -> Entries:
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0] if self._parts else NO_ENTRIES

    def _set(self, entries: Entries) -> None:
        self._parts = [entries] if len(entries) else []
        self._count = len(entries)


def limited(entries: Entries, sizes: NDArray[np.int32], discard_oldest: NDArray[np.bool_]) -> Entries:
    """What is left of `entries` when no slot holds more than its size, overflow bits set."""
    slots = entries["slot"]
    if not repeated(slots, len(sizes)):
        return entries
    by_slot = np.argsort(slots, kind="stable")
    ordered = slots[by_slot]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(np.append(starts, len(ordered)))
    size, oldest = sizes[ordered[starts]], discard_oldest[ordered[starts]]
    if (counts <= size).all():
        return entries
    place = np.arange(len(ordered)) - np.repeat(starts, counts)
    excess = np.repeat(np.maximum(counts - size, 0), counts)
    # Discarding the newest: the places size - 1 to count - 2 go, the last one replaces them.
    newest = np.repeat(~oldest & (size > 1), counts)
    first_gone = np.repeat(size - 1, counts)
    last = np.repeat(counts - 1, counts)
    keep = np.where(newest, (place < first_gone) | (place == last), place >= excess)
    marked = (excess > 0) & np.repeat(size > 1, counts) & np.where(newest, place == last, place == excess)
    out = entries.copy()
    out["status"][by_slot[marked]] |= _OVERFLOW
    kept: Entries = out[np.sort(by_slot[keep])]
    return kept


def repeated(slots: NDArray[np.integer], size: int) -> bool:
    """Whether a slot below `size` occurs more than once."""
    if len(slots) < 2:
        return False
    if len(slots) > size:
        return True
    return int(np.bincount(slots, minlength=0).max()) > 1
