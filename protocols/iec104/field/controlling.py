"""One link to an RTU as its controlling station: what comes, what is asked, what is commanded. Pure.

`now` is in s of the shell's monotonic clock, `wall_ns` in ns UTC. Feed `receive` and `on_time`, send `data_to_send`.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.contracts import Pulse
from protocols.iec104 import connection as link
from protocols.iec104.asdu import Asdu, Cause
from protocols.iec104.connection import Connection, Role, State
from protocols.iec104.errors import Iec104Error
from protocols.iec104.field.decode import Batch, Decoder, Notice
from protocols.iec104.field.orders import ORDER_TYPES, Done, Orders
from protocols.iec104.field.plan import OrderBinding, RtuPlan
from protocols.iec104.field.polling import Answered, Asked, Polling
from protocols.iec104.field.types import COUNTERS, EVENTS_ONLY, MONITORED
from protocols.iec104.time56 import Zone

MAX_WAITING: Final = 1_000
"""Commands that wait for the window: an RTU that acknowledges nothing is closed by t1 long before."""
COUNTER_NAMES: Final = (
    *("connects", "disconnects", "asdus", "points", "interrogations", "commands"),
    *("unknown_points", "unknown_types", "wrong_type", "bad_time_tags", "counter_carries", "stray_answers"),
    *("points_missing", "malformed", "timeouts", "unanswered", "refused"),
)
"""Counters every RTU has from the start."""
ERRORS: Final = ("disconnects", "malformed", "timeouts", "unanswered", "refused", "wrong_type", "bad_time_tags")
"""Those of them that are faults of the RTU or of its line."""
_END_OF_INITIALISATION: Final = 70
_POLLED: Final = frozenset(each.value for each in Asked)
_ALL_NAMED: Final = 50


@dataclass(frozen=True, slots=True)
class Started:
    """The RTU confirmed the start of data transfer."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The RTU confirmed the end of data transfer."""


@dataclass(frozen=True, slots=True)
class Close:
    """The link is of no more use; `cause` is for a person."""

    cause: str


Effect = Batch | Notice | Started | Stopped | Close | Done


class Controlling:
    """One conversation with an RTU. `decoder` and `counters` outlive it."""

    def __init__(self, plan: RtuPlan, zone: Zone, decoder: Decoder, counters: Counter[str], now: float) -> None:
        self._plan, self._decoder, self._counters = plan, decoder, counters
        self.connection = Connection(plan.apci, now, Role.CONTROLLING)
        self._orders = Orders(zone, plan.originator, plan.command_timeout_s)
        self._polling = Polling(plan, zone)
        self._waiting: deque[bytes] = deque()
        self._effects: list[Effect] = []
        self._troubled: set[tuple[Asked, int]] = set()
        self._station = (plan.points.key >> np.uint64(24)).astype(np.int64)
        self._interrogated = ~np.isin(plan.points.family, [*EVENTS_ONLY, COUNTERS])

    @property
    def started(self) -> bool:
        """Data transfer is on."""
        return self.connection.state is State.STARTED

    def begin(self, now: float) -> None:
        """Ask for data transfer."""
        self.connection.start(now)

    def end(self, now: float) -> None:
        """Ask to stop, if it was started."""
        if self.started:
            self.connection.stop(now)

    def receive(self, data: bytes, now: float, wall_ns: int) -> list[Effect]:
        """Octets of the RTU, in any chunking. `Close` comes last if it broke the protocol."""
        for event in self.connection.receive(data, now):
            if isinstance(event, link.Received):
                try:
                    self._take(Asdu.parse(event.asdu), now, wall_ns)
                except Iec104Error as error:
                    self._malformed(str(error))
                    break
            else:
                self._link_event(event, now)
        self._ask(now, wall_ns)
        return self._take_effects()

    def on_time(self, now: float, wall_ns: int) -> list[Effect]:
        """Timers of the connection, of commands and of questions."""
        for event in self.connection.on_time(now):
            if isinstance(event, link.Broken):
                self._counters["timeouts"] += 1
                self._effects.append(Close(event.cause))
        if self.started:
            sent, done = self._orders.overdue(now, wall_ns)
            self._counters["unanswered"] += len(done)
            self._waiting.extend(sent)
            self._effects.extend(done)
            if (answered := self._polling.on_time(now)) is not None:
                self._answered(answered)
        self._ask(now, wall_ns)
        return self._take_effects()

    def next_deadline(self) -> float | None:
        """When `on_time` is next to be called; None after the end."""
        first = self.connection.next_deadline()
        if first is None or not self.started:
            return first
        others = (self._orders.next_deadline(), self._polling.next_deadline())
        return min([first, *(each for each in others if each is not None)])

    def command(
        self, ticket: int, binding: OrderBinding, value: float, pulse: Pulse, now: float, wall_ns: int
    ) -> list[Effect]:
        """Give a command; `Done` with this ticket is its last word."""
        self._counters["commands"] += 1
        begun = self._orders.begin(ticket, binding, value, pulse, now, wall_ns)
        if isinstance(begun, Done):
            return [begun]
        self._waiting.append(begun)
        self._flush(now)
        return []

    def cancel(self, ticket: int, now: float, wall_ns: int) -> None:
        """Nobody waits for this command any more; a select that was not executed is deactivated."""
        if (asdu := self._orders.cancel(ticket, wall_ns)) is not None:
            self._waiting.append(asdu)
            self._flush(now)

    def lose(self, cause: str) -> list[Done]:
        """The link is gone: what becomes of the commands under way."""
        self._decoder.forget()
        return self._orders.lose(cause)

    def data_to_send(self) -> bytes:
        """Octets for the transport; each is given once."""
        return self.connection.data_to_send()

    # -- what comes ---------------------------------------------------------------------------------------------

    def _link_event(self, event: link.Event, now: float) -> None:
        if isinstance(event, link.Broken):
            self._malformed(event.cause)
        elif isinstance(event, link.Started):
            self._polling.start(now)
            self._effects.append(Started())
        elif isinstance(event, link.Stopped):
            self._effects.append(Stopped())

    def _malformed(self, cause: str) -> None:
        self._counters["malformed"] += 1
        self._effects.append(Close(cause))

    def _take(self, asdu: Asdu, now: float, wall_ns: int) -> None:
        self._counters["asdus"] += 1
        if asdu.type_id in MONITORED:
            self._measured(asdu, wall_ns)
        elif asdu.type_id in _POLLED:
            self._polled(asdu)
        elif asdu.type_id in ORDER_TYPES:
            self._ordered(asdu, now, wall_ns)
        elif asdu.type_id == _END_OF_INITIALISATION:
            self._initialised(asdu)
        else:
            self._counters["unknown_types"] += 1
            self._effects.append(Notice("type that is not used", {"type": asdu.type_id, "ca": asdu.common_address}))

    def _measured(self, asdu: Asdu, wall_ns: int) -> None:
        batch = self._decoder.decode(asdu, wall_ns)
        self._effects.extend(self._decoder.take_notices())
        if batch is not None:
            self._counters["points"] += len(batch.rows)
            self._effects.append(batch)

    def _polled(self, asdu: Asdu) -> None:
        answered = self._polling.answer(asdu)
        if answered is not None:
            self._answered(answered)
        elif self._polling.current is None and asdu.cause != Cause.ACTIVATION_TERM:
            self._counters["stray_answers"] += 1

    def _ordered(self, asdu: Asdu, now: float, wall_ns: int) -> None:
        answer = self._orders.answer(asdu, now, wall_ns)
        if answer is None:
            self._counters["stray_answers"] += asdu.cause != Cause.DEACTIVATION_CON
            return
        following, done = answer
        if following is not None:
            self._waiting.append(following)
        if done is not None:
            self._counters["refused"] += bool(done.text)
            self._effects.append(done)

    def _initialised(self, asdu: Asdu) -> None:
        """The RTU started anew: what it knows now is to be asked."""
        _, elements = asdu.objects()
        self._effects.append(
            Notice("RTU initialised", {"ca": asdu.common_address, "cause": int(elements["coi"][0] & 0x7F)})
        )
        self._polling.interrogate(asdu.common_address)

    # -- what is asked ------------------------------------------------------------------------------------------

    def _answered(self, answered: Answered) -> None:
        question = answered.question
        key = (question.what, question.ca)
        if answered.trouble:
            self._counters["unanswered"] += 1
            if key not in self._troubled:
                self._effects.append(Notice("not answered", {"ca": question.ca, "why": answered.trouble}))
            self._troubled.add(key)
            return
        self._troubled.discard(key)
        if question.what is Asked.INTERROGATION:
            self._counters["interrogations"] += 1
            self._missing(question.ca)

    def _missing(self, ca: int) -> None:
        """After a whole interrogation: what is in the map and was never given."""
        decoder = self._decoder
        missing = np.flatnonzero(self._interrogated & ~decoder.ever)
        self._counters["points_missing"] = len(missing)
        of_station = missing[self._station[missing] == ca]
        names = [self._plan.points.names[at] for at in of_station[:_ALL_NAMED].tolist()]
        if names:
            more = {"further": len(of_station) - _ALL_NAMED} if len(of_station) > _ALL_NAMED else {}
            self._effects.append(Notice("points missing", {"ca": ca, "points": ", ".join(names), **more}))

    def _ask(self, now: float, wall_ns: int) -> None:
        if self.started and (asdu := self._polling.next_asdu(now, wall_ns)) is not None:
            self._waiting.append(asdu)
        self._flush(now)

    def _flush(self, now: float) -> None:
        while self._waiting and self.connection.window > 0:
            self.connection.send(self._waiting.popleft(), 0, now)

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
