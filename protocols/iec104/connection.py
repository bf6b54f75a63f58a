"""One connection, of either station: start and stop, numbering, window and timers. Pure: `now` is passed in.

State transitions of the controlled station (IEC 60870-5-104 clause 5.3, start and stop procedure):

                 STARTDT act / con                      STOPDT act, all acknowledged / con
      STOPPED ------------------------> STARTED ----------------------------------------> STOPPED
                                           |                                                 ^
                                           | STOPDT act, I frames unacknowledged             | all acknowledged / con
                                           +-----------------> STOPPING ---------------------+

and of the controlling station:

                 STARTDT act sent             STARTDT con              STOPDT act sent             STOPDT con
      STOPPED -------------------> STARTING --------------> STARTED ------------------> STOPPING ------------> STOPPED

What the table of a role does not list breaks the connection. `now` is in s of any monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from protocols.iec104 import apci
from protocols.iec104.apci import MODULUS, Frame, FrameReader, IFrame, SFrame, U
from protocols.iec104.errors import Iec104Error


@dataclass(frozen=True, slots=True, kw_only=True)
class ApciParameters:
    """Window sizes in APDUs, times in s (IEC 60870-5-104 clause 9.6). t0 is the connecting side's and not used here."""

    k: int = 12
    w: int = 8
    t1_s: float = 15.0
    t2_s: float = 10.0
    t3_s: float = 20.0


class Role(StrEnum):
    """Which station we are."""

    CONTROLLED = "controlled"
    CONTROLLING = "controlling"


class State(StrEnum):
    """Of the connection, as our station sees it."""

    STOPPED = "stopped"
    STARTING = "starting"
    """Controlling station: STARTDT act was sent and is not confirmed."""
    STARTED = "started"
    STOPPING = "stopping"
    """STOPDT act came, its confirmation waits for outstanding acknowledgements; or STOPDT act was sent."""
    BROKEN = "broken"


class Input(StrEnum):
    """What a peer can send."""

    STARTDT_ACT = "STARTDT act"
    STARTDT_CON = "STARTDT con"
    STOPDT_ACT = "STOPDT act"
    STOPDT_CON = "STOPDT con"
    TESTFR_ACT = "TESTFR act"
    TESTFR_CON = "TESTFR con"
    I_FRAME = "I frame"
    S_FRAME = "S frame"


_INPUT_OF_U: Final = {u: Input[u.name] for u in U}


@dataclass(frozen=True, slots=True)
class Started:
    """Data transfer began."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Data transfer ended in order; everything sent is acknowledged."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The peer asked to stop; acknowledgements are outstanding and nothing more may be sent."""


@dataclass(frozen=True, slots=True)
class Received:
    """An ASDU, not looked into yet."""

    asdu: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Tokens of I frames that the peer has received, in the order sent."""

    tokens: list[int]


@dataclass(frozen=True, slots=True)
class Broken:
    """The connection must be closed; `cause` is for the log."""

    cause: str


Event = Started | Stopped | Stopping | Received | Acknowledged | Broken


@dataclass(slots=True)
class _Sent:
    token: int
    at: float


@dataclass(slots=True)
class Connection:
    """Feed `receive` and `on_time`, send what `data_to_send` gives, close after `Broken`."""

    parameters: ApciParameters
    opened_at: float
    role: Role = Role.CONTROLLED
    state: State = State.STOPPED
    _reader: FrameReader = field(default_factory=FrameReader)
    _out: list[bytes] = field(default_factory=list)
    _unacknowledged: deque[_Sent] = field(default_factory=deque)
    _vs: int = 0
    _vr: int = 0
    _received_unacknowledged: int = 0
    _first_unacknowledged_at: float = 0.0
    _last_received_at: float = 0.0
    _test_sent_at: float | None = None
    _asked_at: float | None = None
    """When STARTDT or STOPDT act was sent that is not confirmed."""

    def __post_init__(self) -> None:
        self._last_received_at = self.opened_at

    @property
    def window(self) -> int:
        """I frames that may be sent now; 0 unless started."""
        return self.parameters.k - len(self._unacknowledged) if self.state is State.STARTED else 0

    @property
    def outstanding(self) -> int:
        """I frames sent and not acknowledged."""
        return len(self._unacknowledged)

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take octets from the peer. The last event is `Broken` when the peer broke the protocol."""
        events: list[Event] = []
        if self.state is State.BROKEN:
            return events
        try:
            for frame in self._reader.feed(data):
                self._last_received_at = now
                self._take(frame, now, events)
        except Iec104Error as error:
            self._break(str(error), events)
        if self._received_unacknowledged >= self.parameters.w:
            self._supervise()
        return events

    def send(self, asdu: bytes, token: int, now: float) -> None:
        """Number and queue an I frame. `ValueError` when the window is closed or the ASDU is too long."""
        if self.window <= 0:
            raise ValueError(f"no I frame may be sent: {self.state}, {self.outstanding} unacknowledged")
        self._out.append(apci.encode_i(self._vs, self._vr, asdu))
        self._vs = (self._vs + 1) % MODULUS
        self._unacknowledged.append(_Sent(token, now))
        self._received_unacknowledged = 0

    def data_to_send(self) -> bytes:
        """Octets for the transport; each is given once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def start(self, now: float) -> None:
        """Controlling station: ask for data transfer. `ValueError` for the other role, or unless stopped."""
        self._ask(U.STARTDT_ACT, State.STOPPED, State.STARTING, now)

    def stop(self, now: float) -> None:
        """Controlling station: acknowledge all that came and ask to stop. `ValueError` unless started."""
        if self.state is State.STARTED and self._received_unacknowledged:
            self._supervise()
        self._ask(U.STOPDT_ACT, State.STARTED, State.STOPPING, now)

    def _ask(self, function: U, before: State, after: State, now: float) -> None:
        if self.role is not Role.CONTROLLING or self.state is not before:
            raise ValueError(f"{function.words} by the {self.role} station while {self.state}")
        self.state, self._asked_at = after, now
        self._out.append(apci.encode_u(function))

    def displace(self) -> None:
        """Stop without the peer's asking: another link of its redundancy group was started.

        What is outstanding may still be acknowledged, with token 0: it is the other link's to send now.
        """
        if self.state in (State.STARTED, State.STOPPING):
            self.state = State.STOPPED
            for sent in self._unacknowledged:
                sent.token = 0

    def probe(self, now: float) -> None:
        """Send TESTFR act now, unless one is outstanding: a dead peer is found within t1."""
        if self.state is not State.BROKEN and self._test_sent_at is None:
            self._test_sent_at = now
            self._out.append(apci.encode_u(U.TESTFR_ACT))

    def next_deadline(self) -> float | None:
        """When `on_time` is next to be called; None after the end."""
        if self.state is State.BROKEN:
            return None
        p = self.parameters
        test = self._test_sent_at
        deadline = self._last_received_at + p.t3_s if test is None else test + p.t1_s
        if self._unacknowledged:
            deadline = min(deadline, self._unacknowledged[0].at + p.t1_s)
        if self._asked_at is not None:
            deadline = min(deadline, self._asked_at + p.t1_s)
        if self._received_unacknowledged:
            deadline = min(deadline, self._first_unacknowledged_at + p.t2_s)
        return deadline

    def on_time(self, now: float) -> list[Event]:
        """Act on the timers that have run out at `now`."""
        events: list[Event] = []
        if self.state is State.BROKEN:
            return events
        p = self.parameters
        if self._unacknowledged and now >= self._unacknowledged[0].at + p.t1_s:
            self._break(f"t1: an I frame was not acknowledged within {p.t1_s:g} s", events)
        elif self._asked_at is not None and now >= self._asked_at + p.t1_s:
            asked = "STARTDT" if self.state is State.STARTING else "STOPDT"
            self._break(f"t1: {asked} was not confirmed within {p.t1_s:g} s", events)
        elif self._test_sent_at is not None and now >= self._test_sent_at + p.t1_s:
            self._break(f"t1: TESTFR was not answered within {p.t1_s:g} s", events)
        elif self._test_sent_at is None and now >= self._last_received_at + p.t3_s:
            self.probe(now)
        if self._received_unacknowledged and now >= self._first_unacknowledged_at + p.t2_s:
            self._supervise()
        return events

    def _take(self, frame: Frame, now: float, events: list[Event]) -> None:
        kind = _kind(frame)
        action = TABLES[self.role].get((self.state, kind))
        if action is None:
            raise Iec104Error(f"{kind} while {self.state}")
        action(self, frame, now, events)

    def _start(self, _frame: Frame, _now: float, events: list[Event]) -> None:
        self.state = State.STARTED
        self._out.append(apci.encode_u(U.STARTDT_CON))
        events.append(Started())

    def _start_again(self, _frame: Frame, _now: float, _events: list[Event]) -> None:
        self._out.append(apci.encode_u(U.STARTDT_CON))

    def _stop(self, _frame: Frame, _now: float, events: list[Event]) -> None:
        if self._received_unacknowledged:
            self._supervise()
        self.state = State.STOPPING
        events.append(Stopping())
        self._stop_when_acknowledged(events)

    def _stop_again(self, _frame: Frame, _now: float, _events: list[Event]) -> None:
        self._out.append(apci.encode_u(U.STOPDT_CON))

    def _started(self, _frame: Frame, _now: float, events: list[Event]) -> None:
        self.state, self._asked_at = State.STARTED, None
        events.append(Started())

    def _stopped(self, _frame: Frame, _now: float, events: list[Event]) -> None:
        self.state, self._asked_at = State.STOPPED, None
        events.append(Stopped())

    def _wait(self, _frame: Frame, _now: float, _events: list[Event]) -> None:
        """The confirmation is already on its way, or was never asked for: nothing to do."""

    def _stop_when_acknowledged(self, events: list[Event]) -> None:
        if self.state is State.STOPPING and self.role is Role.CONTROLLED and not self._unacknowledged:
            self.state = State.STOPPED
            self._out.append(apci.encode_u(U.STOPDT_CON))
            events.append(Stopped())

    def _test(self, _frame: Frame, _now: float, _events: list[Event]) -> None:
        self._out.append(apci.encode_u(U.TESTFR_CON))

    def _tested(self, _frame: Frame, _now: float, _events: list[Event]) -> None:
        self._test_sent_at = None

    def _information(self, frame: Frame, now: float, events: list[Event]) -> None:
        if not isinstance(frame, IFrame):
            return
        if frame.ssn != self._vr:
            raise Iec104Error(f"I frame with N(S) {frame.ssn}: {self._vr} expected")
        self._acknowledge(frame.rsn, events)
        self._vr = (self._vr + 1) % MODULUS
        if not self._received_unacknowledged:
            self._first_unacknowledged_at = now
        self._received_unacknowledged += 1
        events.append(Received(frame.asdu))

    def _supervision(self, frame: Frame, _now: float, events: list[Event]) -> None:
        if not isinstance(frame, SFrame):
            return
        if self.state is State.STOPPED and not self._unacknowledged:
            raise Iec104Error("S frame while stopped and nothing is to be acknowledged")
        self._acknowledge(frame.rsn, events)
        self._stop_when_acknowledged(events)

    def _acknowledge(self, rsn: int, events: list[Event]) -> None:
        unacknowledged = self._unacknowledged
        oldest = (self._vs - len(unacknowledged)) % MODULUS
        count = (rsn - oldest) % MODULUS
        if count > len(unacknowledged):
            raise Iec104Error(f"N(R) {rsn} acknowledges what was not sent: {oldest} to {self._vs} expected")
        if count:
            events.append(Acknowledged([unacknowledged.popleft().token for _ in range(count)]))

    def _supervise(self) -> None:
        self._out.append(apci.encode_s(self._vr))
        self._received_unacknowledged = 0

    def _break(self, cause: str, events: list[Event]) -> None:
        self.state = State.BROKEN
        events.append(Broken(cause))


def _kind(frame: Frame) -> Input:
    if isinstance(frame, IFrame):
        return Input.I_FRAME
    if isinstance(frame, SFrame):
        return Input.S_FRAME
    return _INPUT_OF_U[frame.function]


Action = Callable[[Connection, Frame, float, list[Event]], None]

_ALWAYS: Final[Mapping[Input, Action]] = {
    Input.TESTFR_ACT: Connection._test,
    Input.TESTFR_CON: Connection._tested,
    Input.S_FRAME: Connection._supervision,
}


def _always(*states: State) -> dict[tuple[State, Input], Action]:
    return {(state, kind): action for state in states for kind, action in _ALWAYS.items()}


TRANSITIONS: Final[Mapping[tuple[State, Input], Action]] = {
    **_always(State.STOPPED, State.STARTED, State.STOPPING),
    (State.STOPPED, Input.STARTDT_ACT): Connection._start,
    (State.STOPPED, Input.STOPDT_ACT): Connection._stop_again,
    (State.STARTED, Input.STARTDT_ACT): Connection._start_again,
    (State.STARTED, Input.STOPDT_ACT): Connection._stop,
    (State.STARTED, Input.I_FRAME): Connection._information,
    (State.STOPPING, Input.STOPDT_ACT): Connection._wait,
}
"""Of the controlled station."""

CONTROLLING: Final[Mapping[tuple[State, Input], Action]] = {
    **_always(State.STOPPED, State.STARTING, State.STARTED, State.STOPPING),
    (State.STARTING, Input.STARTDT_CON): Connection._started,
    (State.STARTED, Input.STARTDT_CON): Connection._wait,
    (State.STARTED, Input.I_FRAME): Connection._information,
    # What was on its way when we asked to stop.
    (State.STOPPING, Input.I_FRAME): Connection._information,
    (State.STOPPING, Input.STOPDT_CON): Connection._stopped,
}
"""Of the controlling station."""

TABLES: Final[Mapping[Role, Mapping[tuple[State, Input], Action]]] = {
    Role.CONTROLLED: TRANSITIONS,
    Role.CONTROLLING: CONTROLLING,
}
