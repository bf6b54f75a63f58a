"""Events of one class of one master: any of them may be read and confirmed, not only the oldest. Pure.

A master may read a class, a group, or a number of either, so events leave the buffer in any order:

    slot     0       1       2       3       4 ...
    state    DONE    FLYING  WAITING FLYING  WAITING        FLYING: sent, not confirmed yet
             '- goes when everything before it is DONE
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.events import EVENT, Events

WAITING, FLYING, DONE = 0, 1, 2

Numbers = NDArray[np.int64]
"""Events of one buffer by the order in which all events of the master came about."""

_SMALLEST: Final = 1_024
_NO_NUMBERS: Final = np.empty(0, np.int64)
_NEVER: Final = -1
_STEP: Final = 1_024
_IS_WAITING: Final = np.array([True, False, False])
_IS_LIVE: Final = np.array([True, True, False])


class EventLog(Protocol):
    """Where events are kept beyond this process; first in, first out, as `gateway.events.EventQueue`."""

    def append(self, batch: Events) -> int: ...
    def take(self, count: int) -> Events: ...
    def release(self, count: int) -> None: ...


class EventBuffer:
    """At most `capacity` events of one class; on overflow the oldest waiting one goes and is counted in `lost`.

    `log`, if any, is given every event and told when the oldest ones are confirmed.
    """

    def __init__(self, capacity: int, bindings: int, log: EventLog | None = None) -> None:
        self.capacity = capacity
        self.lost = 0
        self.overflowing = False
        """Events were lost, and there has been no room since."""
        self.waiting = 0
        self.flying = 0
        self._log = log
        self._logged = self._released = 0
        size = min(_SMALLEST, 2 * capacity)
        self._events: Events = np.empty(size, EVENT)
        self._state: NDArray[np.uint8] = np.empty(size, np.uint8)
        self._number: Numbers = np.empty(size, np.int64)
        self._logged_before: Numbers = np.empty(size, np.int64)
        self._head = self._tail = 0
        self._first = 0  # no waiting event lies before it
        self._newest: Numbers = np.full(bindings, _NEVER, np.int64)

    def __len__(self) -> int:
        """Events that are not confirmed."""
        return self.waiting + self.flying

    @property
    def oldest_seq(self) -> int | None:
        """Feed record of the oldest event that is not confirmed."""
        if not len(self):
            return None
        return int(self._events["seq"][self._head])

    def append(self, batch: Events, numbers: Numbers, newest_only: NDArray[np.bool_] | None = None) -> int:
        """Add events in their order, numbered by rising `numbers`; returns how many were lost to make room.

        Where `newest_only` holds, earlier waiting events of the same binding go without being counted as lost.
        """
        if newest_only is not None and newest_only.any():
            batch, numbers = self._supersede(batch, numbers, newest_only)
        lost = self._make_room(len(batch))
        if len(batch) > self.capacity:
            batch, numbers = batch[-self.capacity :], numbers[-self.capacity :]
        room = max(0, self.capacity - len(self))
        if len(batch) > room:
            batch, numbers = batch[len(batch) - room :], numbers[len(batch) - room :]
        self._store(batch, numbers)
        self.lost += lost
        self.overflowing |= lost > 0
        return lost

    def peek(self, limit: int, kinds: NDArray[np.bool_] | None = None) -> tuple[Events, Numbers]:
        """The oldest waiting events, at most `limit`; only of bindings marked in `kinds`, if given. Nothing moves."""
        if not self.waiting or limit <= 0:
            return self._events[:0], _NO_NUMBERS
        slots = self._oldest(limit, kinds)
        return self._events[slots].copy(), self._number[slots].copy()

    def waits(self, kinds: NDArray[np.bool_]) -> bool:
        """Whether an event of a marked binding waits."""
        return len(self.peek(1, kinds)[1]) > 0

    def send(self, numbers: Numbers) -> None:
        """These waiting events are in a response now."""
        self._state[self._slots(numbers)] = FLYING
        self.waiting -= len(numbers)
        self.flying += len(numbers)

    def confirm(self, numbers: Numbers) -> None:
        """The master confirmed these events: they are gone."""
        self._state[self._slots(numbers)] = DONE
        self.flying -= len(numbers)
        if len(numbers) and len(self) < self.capacity:
            self.overflowing = False
        self._drop_done()

    def offer_again(self, numbers: Numbers) -> None:
        """No confirmation came for these: they wait again, in their old place."""
        slots = self._slots(numbers)
        events = self._events[slots]
        self._state[slots] = WAITING
        self.flying -= len(numbers)
        self.waiting += len(numbers)
        if len(slots):
            self._first = min(self._first, int(slots.min()))
        # Of a binding that keeps its newest event only, something newer may have come meanwhile.
        newest = self._newest[events["binding"]]
        old = slots[newest > numbers]
        self._state[old] = DONE
        self.waiting -= len(old)
        self._drop_done()

    def _supersede(self, batch: Events, numbers: Numbers, newest_only: NDArray[np.bool_]) -> tuple[Events, Numbers]:
        """Only the last event of each such binding stays, of what waits and of the batch."""
        bindings = batch["binding"]
        only = np.flatnonzero(newest_only)
        before = self._newest[bindings[only]]
        before = np.unique(before[before >= 0])
        slots = self._slots_if_held(before)
        slots = slots[self._state[slots] == WAITING]
        self._state[slots] = DONE
        self.waiting -= len(slots)
        self._newest[bindings[only]] = numbers[only]
        keep = ~newest_only
        keep[only] = self._newest[bindings[only]] == numbers[only]
        self._drop_done()
        return batch[keep], numbers[keep]

    def _make_room(self, count: int) -> int:
        """Drop the oldest waiting events so that `count` more fit; returns how many of old and new do not."""
        excess = max(0, len(self) + count - self.capacity)
        old = min(excess, self.waiting)
        if old:
            self._state[self._oldest(old)] = DONE
            self.waiting -= old
            self._drop_done()
        return excess

    def _store(self, batch: Events, numbers: Numbers) -> None:
        count = len(batch)
        self._reserve(count)
        at = slice(self._tail, self._tail + count)
        self._events[at] = batch
        self._state[at] = WAITING
        self._number[at] = numbers
        self._logged_before[at] = np.arange(self._logged, self._logged + count)
        self._tail += count
        self.waiting += count
        if self._log is not None and count:
            self._log.append(batch)
            self._log.take(count)
            self._logged += count

    def _oldest(self, limit: int, kinds: NDArray[np.bool_] | None = None) -> NDArray[np.intp] | slice:
        """Slots of the oldest waiting events."""
        self._first = first = self._next(self._first, _IS_WAITING)
        quick = slice(first, min(first + limit, self._tail))
        if kinds is None and not self._state[quick].any():
            return quick
        chosen = self._state[first : self._tail] == WAITING
        if kinds is not None:
            chosen &= kinds[self._events["binding"][first : self._tail]]
        slots: NDArray[np.intp] = first + np.flatnonzero(chosen)[:limit]
        return slots

    def _next(self, slot: int, wanted: NDArray[np.bool_]) -> int:
        """The first slot from `slot` on in a wanted state, or the tail."""
        while slot < self._tail:
            found = wanted[self._state[slot : min(slot + _STEP, self._tail)]]
            if found.any():
                return slot + int(found.argmax())
            slot += _STEP
        return self._tail

    def _slots(self, numbers: Numbers) -> NDArray[np.intp]:
        return self._head + np.searchsorted(self._number[self._head : self._tail], numbers)

    def _slots_if_held(self, numbers: Numbers) -> NDArray[np.intp]:
        held = self._number[self._head : self._tail]
        at = np.searchsorted(held, numbers)
        at = at[(at < len(held)) & (held[np.minimum(at, len(held) - 1)] == numbers)] if len(held) else at[:0]
        return self._head + at

    def _drop_done(self) -> None:
        head = self._next(self._head, _IS_LIVE)
        gone, self._head = head - self._head, head
        self._first = max(self._first, self._head)
        if self._log is not None and gone:
            before = int(self._logged_before[self._head]) if self._head < self._tail else self._logged
            self._log.release(before - self._released)
            self._released = before

    def _reserve(self, count: int) -> None:
        """Room for `count` more behind the tail: leave out what is done, and grow when half is in use."""
        if self._tail + count <= len(self._events):
            return
        live = self._head + np.flatnonzero(self._state[self._head : self._tail] != DONE)
        size = len(self._events)
        while size < 2 * (len(live) + count):
            size *= 2
        for name in ("_events", "_state", "_number", "_logged_before"):
            column: NDArray[Any] = getattr(self, name)
            fresh = np.empty(size, column.dtype)
            fresh[: len(live)] = column[live]
            setattr(self, name, fresh)
        self._first = int(np.searchsorted(live, self._first))
        self._head, self._tail = 0, len(live)
