"""One link at work: requests answered, and what is sent next. Pure.

`now` is in s of the shell's monotonic clock, `wall_ns` in ns UTC.

A session holds what dies with its link: answers, running interrogations, commands under way. Events belong to the
station and return to its queue when the link stops.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Final

from gateway.contracts import Action, Outcome, Pulse, Reason, Stage
from protocols.iec104 import connection as link
from protocols.iec104 import requests
from protocols.iec104.asdu import Asdu, Cause
from protocols.iec104.commands import Asker
from protocols.iec104.connection import ApciParameters, Connection
from protocols.iec104.errors import Iec104Error
from protocols.iec104.request import Moment, Request
from protocols.iec104.scan import Scan
from protocols.iec104.station import Station

MAX_ANSWERS: Final = 1_000
MAX_SCANS: Final = 64
MAX_COMMANDS: Final = 256
"""Bounds for a peer that asks and does not take the answers."""

FRAMES_AT_ONCE: Final = 64
"""I frames made before the transport may say that it is full; matters only where k is large."""

_numbers = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A command for the broker. Tell its outcomes to `Session.outcome` with the same ticket.

    `refusal` other than OK: refused already, for the broker to record and to answer so.
    """

    ticket: int
    row: int
    value: float
    pulse: Pulse
    action: Action = Action.EXECUTE
    test: bool = False
    refusal: Reason = Reason.OK
    text: str = ""


@dataclass(frozen=True, slots=True)
class SetClock:
    """The machine's clock is to be set to ns UTC; tell `Session.clock_set` how it went."""

    time_ns: int
    request: Request


@dataclass(frozen=True, slots=True)
class Started:
    """Data transfer began on this link."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Data transfer ended on this link; no more events are to be produced for it."""


@dataclass(frozen=True, slots=True)
class Released:
    """Events were confirmed."""

    events: int


@dataclass(frozen=True, slots=True)
class Close:
    """The link must be closed; `cause` is for the log."""

    cause: str


Effect = Submit | SetClock | Started | Stopped | Released | Close


@dataclass(slots=True)
class _UnderWay:
    asdu: Asdu
    action: Action
    binding: int
    confirmed: bool = False


_NO_TICKET: Final = 0
"""Of a command whose outcome nobody waits for."""
_ANNOUNCEMENT: Final = -1
"""Token of a frame that tells the end of initialisation; others carry their number of events."""
_ANSWERS_IN_A_ROW: Final = 8
"""Answers go first, but one in so many frames is left to events and interrogations that wait."""


class Session:
    """One connection of one master. Feed `receive`, `outcome` and `on_time`; call `produce` after each."""

    def __init__(self, station: Station, parameters: ApciParameters, now: float) -> None:
        self.number = next(_numbers)
        self.station = station
        self.connection = Connection(parameters, now)
        self._announcements: deque[bytes] = deque()
        self._answers: deque[bytes] = deque()
        self._answered = 0
        self._events: deque[tuple[bytes, int]] = deque()
        self._scans: deque[Scan] = deque()
        self._commands: dict[int, _UnderWay] = {}
        self._tickets = count(1)
        self._events_turn = True
        self._effects: list[Effect] = []

    @property
    def started(self) -> bool:
        """Data transfer is on."""
        return self.connection.state is link.State.STARTED

    def receive(self, data: bytes, now: float, wall_ns: int) -> list[Effect]:
        """Octets of the peer. `Close` comes last if the peer broke the protocol."""
        for event in self.connection.receive(data, now):
            if isinstance(event, link.Received):
                try:
                    self._request(event.asdu, now, wall_ns)
                except Iec104Error as error:
                    self._effects.append(Close(str(error)))
                    break
            else:
                self._link_event(event)
        return self._take_effects()

    def on_time(self, now: float) -> list[Effect]:
        """Timers of the connection and cyclic transmissions that are due."""
        for event in self.connection.on_time(now):
            self._link_event(event)
        if self.started:
            running = {scan.key for scan in self._scans}
            self._scans.extend(scan for scan in self.station.due_scans(now) if scan.key not in running)
        return self._take_effects()

    def next_deadline(self) -> float | None:
        """When `on_time` is next to be called."""
        deadline = self.connection.next_deadline()
        cycle = self.station.next_cycle() if self.started else None
        return deadline if deadline is None or cycle is None else min(deadline, cycle)

    def outcome(self, ticket: int, outcome: Outcome) -> None:
        """A step of a command: becomes activation confirmation or termination, unless its link stopped meanwhile."""
        under_way = self._commands.get(ticket)
        if under_way is None:
            return
        if under_way.action is Action.SELECT:
            self._selected(ticket, under_way, outcome)
            return
        good = outcome.stage in (Stage.ACCEPTED, Stage.COMPLETED)
        accepted = outcome.stage is not Stage.REFUSED
        if not under_way.confirmed:
            under_way.confirmed = True
            positive = accepted and good
            self._answers.append(under_way.asdu.mirror(Cause.ACTIVATION_CON, negative=not positive))
            if not positive:
                del self._commands[ticket]
                return
        if outcome.stage.final:
            del self._commands[ticket]
            self._answers.append(under_way.asdu.mirror(Cause.ACTIVATION_TERM, negative=not good))

    def _selected(self, ticket: int, under_way: _UnderWay, outcome: Outcome) -> None:
        """The broker's word on a select: only now it holds."""
        if not outcome.stage.final:
            return
        del self._commands[ticket]
        good = outcome.stage is Stage.COMPLETED
        asdu = under_way.asdu
        stands = self.station.selections.confirm(under_way.binding, self.asker(asdu), good)
        self._answers.append(asdu.mirror(Cause.ACTIVATION_CON, negative=not stands))

    def clock_set(self, request: Request, done: bool) -> None:
        """Whether the machine's clock was set."""
        self._answers.append(request.confirmation(done))

    def produce(self, now: float) -> bytes:
        """Use the window, at most `FRAMES_AT_ONCE` of it, for what there is to send; octets for the transport."""
        connection = self.connection
        for _ in range(min(connection.window, FRAMES_AT_ONCE)):
            following = self._next_asdu()
            if following is None:
                break
            connection.send(following[0], following[1], now)
        return connection.data_to_send()

    def displace(self) -> None:
        """Another link of this master was started: this one sends no more until it is started again."""
        self.connection.displace()
        self.stop()

    def stop(self) -> None:
        """Forget what belongs to the data transfer that ended. The station's queue is the caller's to rewind."""
        self._announcements.clear()
        self._answers.clear()
        self._events.clear()
        self._scans.clear()
        self._commands.clear()
        self.station.selections.forget(self.number)

    def answer(self, asdu: bytes) -> None:
        """Queue an answer before events and interrogations. Raises `Iec104Error` when the peer takes none."""
        if len(self._answers) >= MAX_ANSWERS:
            raise Iec104Error(f"{MAX_ANSWERS} answers wait: the master asks and does not acknowledge")
        self._answers.append(asdu)

    def asker(self, asdu: Asdu) -> Asker:
        """Who sent this, as far as a select is concerned."""
        return Asker(self.number, asdu.originator)

    def submit(
        self, asdu: Asdu, binding: int, value: float, pulse: Pulse, *, action: Action, refusal: Reason, text: str
    ) -> bool:
        """Hand a command to the shell; False when too many are under way."""
        if len(self._commands) >= MAX_COMMANDS:
            return False
        ticket = next(self._tickets)
        self._commands[ticket] = _UnderWay(asdu, action, binding)
        self._hand_over(ticket, asdu, binding, value, pulse, action, refusal, text)
        return True

    def note(self, asdu: Asdu, binding: int, value: float, *, action: Action, refusal: Reason, text: str) -> None:
        """Hand a command over that has been answered, for the record."""
        self._hand_over(_NO_TICKET, asdu, binding, value, Pulse.DEFAULT, action, refusal, text)

    def _hand_over(
        self,
        ticket: int,
        asdu: Asdu,
        binding: int,
        value: float,
        pulse: Pulse,
        action: Action,
        refusal: Reason,
        text: str,
    ) -> None:
        row = int(self.station.plan.bindings.row[binding])
        self._effects.append(
            Submit(
                ticket=ticket,
                row=row,
                value=value,
                pulse=pulse,
                action=action,
                test=asdu.test,
                refusal=refusal,
                text=text,
            )
        )

    def set_clock(self, time_ns: int, request: Request) -> None:
        """Ask the shell to set the machine's clock."""
        self._effects.append(SetClock(time_ns, request))

    def announce(self) -> None:
        """Data transfer began: the end of initialisation goes first, if this master has not confirmed it yet."""
        self._announcements.extend(self.station.announcements())

    def reset(self, address: int) -> None:
        """The master reset the process at a common address: interrogations there end, and its station begins anew."""
        self._scans = deque(scan for scan in self._scans if scan.key[0] != address)
        self._answers.append(self.station.reset(address))

    def scan(self, scan: Scan) -> None:
        """Run an interrogation behind those that run."""
        self._scans.append(scan)

    def may_scan(self, key: tuple[int, int]) -> bool:
        """The same interrogation does not run and there is room for one more."""
        return len(self._scans) < MAX_SCANS and all(scan.key != key for scan in self._scans)

    def cancel_scan(self, key: tuple[int, int]) -> bool:
        """Stop an interrogation without termination; False when it does not run."""
        kept = [scan for scan in self._scans if scan.key != key]
        found = len(kept) < len(self._scans)
        self._scans = deque(kept)
        return found

    def _next_asdu(self) -> tuple[bytes, int] | None:
        if self._announcements:
            return self._announcements.popleft(), _ANNOUNCEMENT
        if self._answers and self._answered < _ANSWERS_IN_A_ROW:
            self._answered += 1
            return self._answers.popleft(), 0
        self._answered = 0
        self._events_turn = not self._events_turn
        turns = (self._next_event, self._next_scanned)
        first, second = turns if self._events_turn else turns[::-1]
        following = first() or second()
        if following is None and self._answers:
            following = self._answers.popleft(), 0
        return following

    def _next_event(self) -> tuple[bytes, int] | None:
        if not self._events:
            self._events.extend(self.station.next_events())
        return self._events.popleft() if self._events else None

    def _next_scanned(self) -> tuple[bytes, int] | None:
        while self._scans:
            asdu = self._scans[0].next_asdu(self.station.bindings, self.station.table)
            if asdu is not None:
                return asdu, 0
            self._scans.popleft()
        return None

    def _request(self, raw: bytes, now: float, wall_ns: int) -> None:
        requests.handle(self, Asdu.parse(raw), Moment(now, wall_ns))

    def _link_event(self, event: link.Event) -> None:
        if isinstance(event, link.Acknowledged):
            self._acknowledged(event.tokens)
        elif isinstance(event, link.Broken):
            self._effects.append(Close(event.cause))
        elif isinstance(event, link.Started):
            self._effects.append(Started())
        elif isinstance(event, link.Stopped):
            self.stop()
            self._effects.append(Stopped())

    def _acknowledged(self, tokens: list[int]) -> None:
        announced = tokens.count(_ANNOUNCEMENT)
        if announced:
            self.station.announced(announced)
        events = sum(tokens) - announced * _ANNOUNCEMENT
        if events:
            self._effects.append(Released(events))

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
