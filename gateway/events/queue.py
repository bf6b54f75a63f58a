"""Events of one master in memory: held until that master has confirmed them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

EVENT: Final = np.dtype([("binding", "<u4"), ("quality", "<u4"), ("value", "<f8"), ("time_ns", "<i8"), ("seq", "<u8")])
"""One event: the master's binding, `Quality` flags, engineering value, source time in ns UTC, feed sequence number."""

Events = NDArray[np.void]
"""A one-dimensional array of dtype `EVENT`."""

_SMALLEST: Final = 1_024


class EventQueue:
    """First in, first out, with a cursor: what was taken is kept until released, and can be offered again.

        head            sent                tail
         |  in flight    |  waiting          |
         +---------------+-------------------+
           release ->      take ->             append ->

    Holds `capacity` events. On overflow the oldest waiting event is dropped and counted in `lost`; those in flight
    stay, for they may be confirmed at any moment.
    """

    def __init__(self, capacity: int) -> None:
        """`ValueError` for a capacity below 1."""
        if capacity < 1:
            raise ValueError(f"an event queue holds at least one event, not {capacity}")
        self.capacity = capacity
        self.lost = 0
        self._buffer: Events = np.empty(min(_SMALLEST, 2 * capacity), EVENT)
        self._head = self._sent = self._tail = 0
        self._noted_seq = 0

    def __len__(self) -> int:
        """Events held: in flight and waiting."""
        return self._tail - self._head

    @property
    def waiting(self) -> int:
        """Events not taken yet."""
        return self._tail - self._sent

    @property
    def in_flight(self) -> int:
        """Events taken and not released."""
        return self._sent - self._head

    @property
    def confirmed_seq(self) -> int:
        """Every event that came of feed records up to and including this one has been released (or dropped)."""
        if self._tail > self._head:
            return int(self._buffer["seq"][self._head]) - 1
        return self._noted_seq

    def note(self, seq: int) -> None:
        """Feed records up to `seq` have been looked at, whether or not they made events."""
        self._noted_seq = max(self._noted_seq, seq)

    def append(self, batch: Events) -> int:
        """Add events in their order; returns how many were dropped to make room."""
        if len(batch):
            self.note(int(batch["seq"][-1]))
        dropped = self._make_room(len(batch))
        batch = batch[max(0, len(batch) - (self.capacity - len(self))) :]
        self._reserve(len(batch))
        self._buffer[self._tail : self._tail + len(batch)] = batch
        self._tail += len(batch)
        self.lost += dropped
        return dropped

    def take(self, count: int) -> Events:
        """The next waiting events, at most `count`, as a copy; they are in flight from now on."""
        stop = min(self._tail, self._sent + count)
        batch = self._buffer[self._sent : stop].copy()
        self._sent = stop
        return batch

    def release(self, count: int) -> None:
        """The oldest `count` events in flight were confirmed. `ValueError` when there are fewer."""
        if not 0 <= count <= self.in_flight:
            raise ValueError(f"{count} events confirmed, {self.in_flight} in flight")
        self._head += count

    def rewind(self) -> None:
        """The link is lost: everything in flight is offered again, in order."""
        self._sent = self._head

    def _make_room(self, count: int) -> int:
        """Drop the oldest waiting events so that `count` more fit; returns how many of old and new do not."""
        excess = max(0, len(self) + count - self.capacity)
        old = min(excess, self.waiting)
        if old:
            flying = self.in_flight
            self._buffer[self._head + old : self._sent + old] = self._buffer[self._head : self._sent].copy()
            self._head += old
            self._sent = self._head + flying
        return excess

    def _reserve(self, count: int) -> None:
        """Room for `count` more behind the tail: move to the front, and grow when half of the buffer is in use."""
        if self._tail + count <= len(self._buffer):
            return
        used = len(self)
        size = len(self._buffer)
        while size < 2 * (used + count):
            size *= 2
        target = self._buffer if size == len(self._buffer) else np.empty(size, EVENT)
        target[:used] = self._buffer[self._head : self._tail].copy()
        self._buffer = target
        self._tail = used
        self._sent -= self._head
        self._head = 0
