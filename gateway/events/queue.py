"""Events of one master in memory: held until that master has confirmed them."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.events.baseline import NOTHING_REPORTED, Index, Reported
from gateway.events.record import EVENT, Events
from gateway.events.spans import Spans
from gateway.points.change import Qualities, Values

_SMALLEST: Final = 1_024

MISSED: Final = "changes never reached this process"
"""Why events are lost that were never in a queue; see `EventQueue.missed`."""


class EventQueue:
    """First in, first out, with a cursor: what was taken is kept until released, and can be offered again.

        head            sent                tail
         |  in flight    |  waiting          |
         +---------------+-------------------+
           release ->      take ->             append ->

    Holds `capacity` events. On overflow the oldest waiting event is dropped and counted in `lost`; those in flight
    stay, for they may be confirmed at any moment. Events are numbered as they come, dropped ones included.
    """

    def __init__(self, capacity: int) -> None:
        """`ValueError` for a capacity below 1."""
        if capacity < 1:
            raise ValueError(f"an event queue holds at least one event, not {capacity}")
        self.capacity = capacity
        self.lost = 0
        self.overflowing = False
        """Events were dropped and the queue has not been empty since."""
        self._buffer: Events = np.empty(min(_SMALLEST, 2 * capacity), EVENT)
        self._head = self._sent = self._tail = 0
        self._noted_seq = 0
        self._numbers = Spans()
        self._next_number = 0

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
        """What came of feed records up to and including this one need not be given again: released (or dropped)."""
        if self._tail > self._head:
            return int(self._buffer["seq"][self._head]) - 1
        return self._noted_seq

    @property
    def noted_seq(self) -> int:
        """Feed records up to this one have been looked at."""
        return self._noted_seq

    @property
    def settled(self) -> bool:
        """`confirmed_seq` stays as it is until something more happens here."""
        return True

    @property
    def reported(self) -> Reported:
        """What was last reported for each binding before this process began: nothing is known here."""
        return NOTHING_REPORTED

    def settle(self) -> None:
        """Let go of everything that is confirmed: here that was done at once."""

    def resume(self, confirmed_seq: int) -> int:
        """The core holds that records up to `confirmed_seq` were confirmed; returns up to where they are not for us."""
        self.note(confirmed_seq)
        return confirmed_seq

    def report(self, index: Index, values: Values, qualities: Qualities) -> None:
        """These bindings stand at these values, as far as the master is concerned, without an event."""

    def start(self) -> None:
        """The process serves from now on. A queue in memory has nothing to do for it."""

    def close(self) -> None:
        """The end of the process, in order."""

    def note(self, seq: int) -> None:
        """Feed records up to `seq` have been looked at, whether or not they made events."""
        self._noted_seq = max(self._noted_seq, seq)

    def append(self, batch: Events) -> int:
        """Add events in their order; returns how many were dropped to make room."""
        if len(batch):
            self.note(int(batch["seq"][-1]))
        dropped = self._make_room(len(batch))
        self._next_number += len(batch)
        batch = batch[max(0, len(batch) - (self.capacity - len(self))) :]
        self._reserve(len(batch))
        self._buffer[self._tail : self._tail + len(batch)] = batch
        self._tail += len(batch)
        self._numbers.extend(self._next_number - len(batch), len(batch))
        self.lost += dropped
        self.overflowing |= dropped > 0
        return dropped

    def missed(self, count: int) -> None:
        """So many changes never came here; at most so many events are lost with them."""
        self.lost += count
        self.overflowing = True

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
        self._numbers.remove(0, count)
        self.overflowing &= self._tail > self._head

    @property
    def next_number(self) -> int:
        """What the next event will be numbered."""
        return self._next_number

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the events held, oldest first."""
        return self._numbers.all()

    def leads(self, numbers: NDArray[np.int64]) -> bool:
        """Whether these rising numbers are those of the oldest events, without a gap: such are released quickly."""
        return not len(numbers) or self._numbers.lead(int(numbers[0]), int(numbers[-1]), len(numbers))

    def release_some(self, numbers: NDArray[np.int64]) -> None:
        """Events in flight, named by rising numbers, were confirmed or given up, in whatever order of the queue.

        `ValueError` when one of them is not in flight. Quick for the oldest ones; otherwise the queue is written anew.
        """
        count = len(numbers)
        if self.leads(numbers):
            self.release(count)
            return
        held = self.numbers
        at = np.searchsorted(held, numbers)
        if at[-1] >= self.in_flight or (held[at] != numbers).any():
            raise ValueError(f"{count} events confirmed, some of them are not in flight")
        keep = np.ones(len(held), np.bool_)
        keep[at] = False
        self._buffer[self._head + count : self._tail] = self._buffer[self._head : self._tail][keep]
        self._head += count
        self._numbers = Spans.of(held[keep])
        self.overflowing &= self._tail > self._head

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
            self._numbers.remove(flying, old)
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
