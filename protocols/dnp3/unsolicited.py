"""Unsolicited responses to one master (IEEE 1815-2012 5.1.1): when one may go, and what waits for a confirmation. Pure.

START  --null response confirmed-->  IDLE  <--confirmed, given up--  WAIT
                                      '------- events are due -------^
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto

from protocols.dnp3.application import SEQUENCES
from protocols.dnp3.eventstore import EventStore, Sent
from protocols.dnp3.plan import UnsolicitedPlan


class State(Enum):
    """Where the unsolicited side stands."""

    START = auto()
    """The initial null response is not confirmed yet."""
    IDLE = auto()
    WAIT = auto()
    """Events were sent and are not confirmed yet."""


@dataclass(slots=True)
class InFlight:
    """An unsolicited response on its way."""

    seq: int
    octets: bytes
    sent: Sent
    deadline: float
    tries: int = 1


@dataclass(slots=True)
class Unsolicited:
    """The state of one association. Times are monotonic s."""

    plan: UnsolicitedPlan
    store: EventStore
    timeout_s: float
    state: State = State.START
    enabled: frozenset[int] = frozenset()
    in_flight: InFlight | None = None
    seq: int = 0
    _not_before: float = -math.inf
    _pause_s: float = 0.0
    _first_event: float | None = field(default=None)

    def enable(self, classes: frozenset[int]) -> None:
        """The master wants these classes; those that the configuration does not allow stay off."""
        self.enabled |= classes & frozenset(self.plan.classes)

    def disable(self, classes: frozenset[int]) -> None:
        """The master does not want these classes any more: what was sent is not repeated.

        A confirmation that is on its way is still taken, so that nothing is told twice.
        """
        self.enabled -= classes
        if self.in_flight is not None and self.state is State.WAIT:
            self.in_flight.tries = self.plan.retries + 1

    def restart(self) -> None:
        """As after a start of the device."""
        self.cut()
        self.state, self.enabled = State.START, frozenset()

    def cut(self) -> None:
        """The connection is gone: what was not confirmed is offered again."""
        if self.in_flight is not None:
            self.store.offer_again(self.in_flight.sent)
        self.in_flight = None
        self.state = State.START if self.state is State.START else State.IDLE
        self._not_before, self._pause_s, self._first_event = -math.inf, 0.0, None

    def due(self, now: float) -> bool:
        """Whether a response may be begun now, the null response or one with events."""
        if self.in_flight is not None or now < self._not_before:
            return False
        return self.state is State.START or self._held_off_until(now) <= now

    def deadline(self, now: float) -> float:
        """When something is to be done, infinity for never."""
        if self.in_flight is not None:
            return self.in_flight.deadline
        when = now if self.state is State.START else self._held_off_until(now)
        return max(when, self._not_before)

    def _held_off_until(self, now: float) -> float:
        """Until when events wait for company."""
        waiting = self.store.waiting_of(self.enabled)
        if not waiting:
            self._first_event = None
            return math.inf
        if self._first_event is None:
            self._first_event = now
        return now if waiting >= self.plan.hold_off_events else self._first_event + self.plan.hold_off_s

    def begin(self, octets: bytes, sent: Sent, now: float) -> None:
        """A response goes out, with the sequence number `seq`."""
        self.in_flight = InFlight(self.seq, octets, sent, now + self.timeout_s)
        self._first_event = None
        if self.state is State.IDLE:
            self.state = State.WAIT
        self.seq = (self.seq + 1) % SEQUENCES

    def confirm(self, seq: int) -> bool:
        """A confirmation came; whether it was the one waited for."""
        flight = self.in_flight
        if flight is None or flight.seq != seq:
            return False
        self.store.confirm(flight.sent)
        if self.state is State.START and self.plan.at_start:
            self.enabled |= frozenset(self.plan.classes)
        self.in_flight, self.state = None, State.IDLE
        self._not_before, self._pause_s = -math.inf, 0.0
        return True

    def time_out(self, now: float, read_waits: bool) -> bytes:
        """The confirmation did not come in time: the response to send again, or nothing when it is given up for now.

        A read that waits goes first: its answer will hold the events.
        """
        flight = self.in_flight
        if flight is None or now < flight.deadline:
            return b""
        null = self.state is State.START
        if not read_waits and flight.tries <= self.plan.retries:
            flight.tries += 1
            flight.deadline = now + self.timeout_s
            return flight.octets
        self.store.offer_again(flight.sent)
        self.in_flight, self.state = None, State.START if null else State.IDLE
        if null or not read_waits:
            self._pause_s = min(2 * self._pause_s or self.plan.retry_pause_s, self.plan.retry_pause_max_s)
            self._not_before = now + self._pause_s
        return b""
