"""Events of one class of one master: any of them may be read and confirmed, not only the oldest. Pure.

A master may read a class, a group, or a number of either, so events leave the buffer in any order:

    slot     0       1       2       3       4 ...
    state    DONE    FLYING  WAITING FLYING  WAITING        FLYING: sent, not confirmed yet
             '- goes when everything before it is DONE

Events go by the numbers that the master's queue gave them: rising, but not one after the other, for the queue holds
the events of all classes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.events import EVENT, Events

WAITING, FLYING, DONE = 0, 1, 2

Numbers = NDArray[np.int64]
Slots = NDArray[np.intp]

NO_NUMBERS: Final = np.empty(0, np.int64)
_SMALLEST: Final = 1_024
_NEVER: Final = -1
_STEP: Final = 1_024
_IS_WAITING: Final = np.array([True, False, False])
_IS_LIVE: Final = np.array([True, True, False])


class EventBuffer:
    """At most `capacity` events of one class; on overflow the oldest waiting one goes and is counted in `lost`.

    Where none waits, the oldest one that was sent goes: should its confirmation still come, nothing was lost.
    """

    def __init__(self, capacity: int, bindings: int) -> None:
        self.capacity = capacity
        self.lost = 0
        self.overflowing = False
        """Events were lost, and there has been no room since."""
        self.waiting = 0
        self.flying = 0
        size = min(_SMALLEST, 2 * capacity)
        self._events: Events = np.empty(size, EVENT)
        self._state: NDArray[np.uint8] = np.empty(size, np.uint8)
        self._number: Numbers = np.empty(size, np.int64)
        self._head = self._tail = 0
        self._first = 0  # no waiting event lies before it
        self._newest: Numbers = np.full(bindings, _NEVER, np.int64)

    def __len__(self) -> int:
        """Events that are not confirmed."""
        return self.waiting + self.flying

    def make_room(self, count: int) -> tuple[Numbers, int]:
        """Drop the oldest waiting events, then the oldest sent ones, so that `count` more fit.

        Returns their numbers, and how many of the new ones, the first of them, do not fit all the same.
        """
        excess = max(0, len(self) + count - self.capacity)
        if not excess:
            return NO_NUMBERS, 0
        self.lost += excess
        self.overflowing = True
        waiting = self._give_up(self._oldest(min(excess, self.waiting)))
        sent = self._give_up_sent(excess - len(waiting))
        return np.sort(np.concatenate([waiting, sent])), excess - len(waiting) - len(sent)

    def supersede(self, bindings: NDArray[np.integer]) -> Numbers:
        """Drop the waiting event of bindings that keep their newest one only; returns the numbers of what went."""
        numbers = np.unique(self._newest[bindings])
        slots = self._held(numbers[numbers >= 0])
        return self._give_up(slots[self._state[slots] == WAITING])

    def append(self, batch: Events, numbers: Numbers, newest_only: NDArray[np.bool_] | None = None) -> None:
        """Add events with rising numbers; there is room. Marked in `newest_only`: later ones will supersede them."""
        count = len(batch)
        self._reserve(count)
        at = slice(self._tail, self._tail + count)
        self._events[at] = batch
        self._state[at] = WAITING
        self._number[at] = numbers
        self._tail += count
        self.waiting += count
        if newest_only is not None:
            self._newest[batch["binding"][newest_only]] = numbers[newest_only]

    def peek(self, limit: int, kinds: NDArray[np.bool_] | None = None) -> tuple[Events, Numbers]:
        """The oldest waiting events, at most `limit`; only of bindings marked in `kinds`, if given. Nothing moves."""
        if not self.waiting or limit <= 0:
            return self._events[:0], NO_NUMBERS
        slots = self._oldest(limit, kinds)
        return self._events[slots].copy(), self._number[slots].copy()

    def send(self, numbers: Numbers) -> None:
        """These waiting events are in a response now."""
        self._state[self._slots(numbers)] = FLYING
        self.waiting -= len(numbers)
        self.flying += len(numbers)

    def confirm(self, numbers: Numbers) -> Numbers:
        """The master confirmed these events: they are gone. Returns those that had not been dropped meanwhile."""
        slots = self._sent(numbers)
        numbers = self._number[slots].copy()
        self._state[slots] = DONE
        self.flying -= len(numbers)
        if len(numbers) and len(self) < self.capacity:
            self.overflowing = False
        self._drop_done()
        return numbers

    def offer_again(self, numbers: Numbers) -> Numbers:
        """No confirmation came for these: they wait again, in their old place.

        Returns the numbers of those that something newer has superseded meanwhile; they are gone. So are they when the
        newer one was confirmed or dropped already: an old value never follows a newer one.
        """
        slots = self._sent(np.sort(numbers))
        numbers = self._number[slots].copy()
        self._state[slots] = WAITING
        self.flying -= len(numbers)
        self.waiting += len(numbers)
        if len(slots):
            self._first = min(self._first, int(slots[0]))
        newest = self._newest[self._events["binding"][slots]]
        return self._give_up(slots[newest > numbers])

    def _give_up(self, slots: Slots | slice) -> Numbers:
        """Waiting events that will never be sent."""
        numbers = self._number[slots].copy()
        self._state[slots] = DONE
        self.waiting -= len(numbers)
        self._drop_done()
        return numbers

    def _give_up_sent(self, count: int) -> Numbers:
        """The oldest `count` of those sent: a confirmation or its absence will find them gone."""
        if not count:
            return NO_NUMBERS
        slots = self._head + np.flatnonzero(self._state[self._head : self._tail] == FLYING)[:count]
        numbers = self._number[slots].copy()
        self._state[slots] = DONE
        self.flying -= len(numbers)
        self._drop_done()
        return numbers

    def _sent(self, numbers: Numbers) -> Slots:
        """Slots of those that were sent and not dropped since."""
        held = self._held(numbers)
        slots: Slots = held[self._state[held] == FLYING]
        return slots

    def _oldest(self, limit: int, kinds: NDArray[np.bool_] | None = None) -> Slots | slice:
        """Slots of the oldest waiting events."""
        self._first = first = self._next(self._first, _IS_WAITING)
        quick = slice(first, min(first + limit, self._tail))
        if kinds is None and not self._state[quick].any():
            return quick
        chosen = self._state[first : self._tail] == WAITING
        if kinds is not None:
            chosen &= kinds[self._events["binding"][first : self._tail]]
        slots: Slots = first + np.flatnonzero(chosen)[:limit]
        return slots

    def _next(self, slot: int, wanted: NDArray[np.bool_]) -> int:
        """The first slot from `slot` on in a wanted state, or the tail."""
        while slot < self._tail:
            found = wanted[self._state[slot : min(slot + _STEP, self._tail)]]
            if found.any():
                return slot + int(found.argmax())
            slot += _STEP
        return self._tail

    def _slots(self, numbers: Numbers) -> Slots:
        slots: Slots = self._head + np.searchsorted(self._number[self._head : self._tail], numbers)
        return slots

    def _held(self, numbers: Numbers) -> Slots:
        """Slots of those that are still here."""
        held = self._number[self._head : self._tail]
        if not len(held):
            return np.empty(0, np.intp)
        at = np.searchsorted(held, numbers)
        slots: Slots = self._head + at[held[np.minimum(at, len(held) - 1)] == numbers]
        return slots

    def _drop_done(self) -> None:
        self._head = self._next(self._head, _IS_LIVE)
        self._first = max(self._first, self._head)

    def _reserve(self, count: int) -> None:
        """Room for `count` more behind the tail: leave out what is done, and grow when half is in use."""
        if self._tail + count <= len(self._events):
            return
        live = self._head + np.flatnonzero(self._state[self._head : self._tail] != DONE)
        size = len(self._events)
        while size < 2 * (len(live) + count):
            size *= 2
        for name in ("_events", "_state", "_number"):
            column: NDArray[Any] = getattr(self, name)
            fresh = np.empty(size, column.dtype)
            fresh[: len(live)] = column[live]
            setattr(self, name, fresh)
        self._first = int(np.searchsorted(live, self._first))
        self._head, self._tail = 0, len(live)
