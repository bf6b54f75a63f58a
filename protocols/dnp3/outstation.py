"""One master's outstation: its points, its events, and the conversation with it (IEEE 1815-2012 clause 4 and 5). Pure.

An outstation outlives connections. `now` is monotonic s, `wall_ns` ns UTC; octets are application fragments.

    solicited     IDLE --response that asks for it--> waits for the confirmation --confirmed--> next fragment or IDLE
    unsolicited   see `unsolicited`; neither begins while the other's confirmation is waited for
    controls      the answer waits for the broker; polls go on, and a newer request drops the answer, not the command
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from gateway.contracts import Outcome, TableView
from gateway.events import EventQueue
from gateway.points import Changes
from protocols.dnp3 import control, requests
from protocols.dnp3.application import AppControl, Fragment, parse_fragment, response_control
from protocols.dnp3.attributes import AttributeTable
from protocols.dnp3.commanding import Commanding
from protocols.dnp3.control import Pending, Selection
from protocols.dnp3.database import Database
from protocols.dnp3.effects import Confirmed, Effect, Send, TimeWritten
from protocols.dnp3.errors import FragmentError, FunctionUnknown, RequestError
from protocols.dnp3.eventstore import EventStore, Sent
from protocols.dnp3.freeze import Freeze, Schedules
from protocols.dnp3.function import Function
from protocols.dnp3.headers import read_headers
from protocols.dnp3.iin import Iin
from protocols.dnp3.indications import Indications
from protocols.dnp3.link import BROADCAST_MUST_CONFIRM
from protocols.dnp3.plan import MasterPlan
from protocols.dnp3.reads import Reader
from protocols.dnp3.requests import Request, Result
from protocols.dnp3.responses import Answer, BlockPart, Part
from protocols.dnp3.time48 import NS_PER_MS
from protocols.dnp3.unsolicited import State, Unsolicited

_RESPONSE_HEADER: Final = 4
_AHEAD: Final = (8, 32)
"""Fragments made at once while the master reads the one before: at first, and at most."""
_BROADCAST: Final = Iin.BROADCAST.value
_NEED_TIME: Final = Iin.NEED_TIME.value
_RESTART: Final = Iin.DEVICE_RESTART.value
_OVERFLOW: Final = Iin.EVENT_BUFFER_OVERFLOW.value


@dataclass(slots=True)
class _Awaiting:
    """A solicited fragment that the master has to confirm."""

    seq: int
    octets: bytes
    sent: Sent
    deadline: float
    answer: Answer
    iin: Iin
    position: int
    first_seq: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A fragment of an answer, made ahead: what it holds, and what of the answer is left after it."""

    of: Answer
    after: deque[Part]
    made: tuple[bytes, Sent, bool]
    version: int


class Outstation:
    """Feed `receive`, `outcome` and `work`; carry out the effects in their order."""

    def __init__(self, plan: MasterPlan, table: TableView, queue: EventQueue | None = None) -> None:
        """`queue` holds the events; without one they are held in memory."""
        self.plan = plan
        self.parameters = plan.parameters
        self.database = Database(plan.bindings, table)
        self.store = EventStore(self.database, plan.capacity, table, queue)
        attributes = AttributeTable(self.database, plan.parameters)
        self.reader = Reader(self.database, self.store, attributes, plan.parameters.octet_strings)
        self.selection = Selection(plan.parameters.select_timeout_s)
        self.schedules = Schedules()
        self.unsolicited = (
            Unsolicited(plan.unsolicited, self.store, plan.parameters.confirm_timeout_s) if plan.unsolicited else None
        )
        self.connected = False
        self.restarted = True
        """IIN1.7"""
        self.recorded: float | None = None
        """When RECORD CURRENT TIME came."""
        self.malformed = 0
        """Fragments without a readable header, or out of place."""
        self.altered = False
        """Something changed that must survive this process: see `memory`."""
        self._time_due = math.inf if plan.parameters.need_time_s is None else -math.inf
        self._need_time = plan.parameters.need_time_s is not None
        self._broadcast: int | None = None
        self._awaiting: _Awaiting | None = None
        self._prepared: deque[_Prepared] = deque()
        self._ahead = _AHEAD[0]
        self._indications = Indications(plan, table)
        self._commanding = Commanding(plan.commands)
        self._deferred: bytes | None = None
        self._last_request = b""
        self._last_response = b""
        self._effects: list[Effect] = []

    def connect(self) -> None:
        """The master can be reached."""
        self.connected = True

    def cut(self) -> None:
        """The connection is gone: what was not confirmed is offered again, answers and selects are forgotten."""
        self.connected = False
        self._drop_conversation()
        if self.unsolicited is not None:
            self.unsolicited.cut()

    def changes(self, batch: Changes, seq: int) -> int:
        """Make events of changes; returns how many events were dropped. Call `work` next."""
        self.database.version += 1
        return self.store.changes(batch, seq)

    def receive(self, octets: bytes, now: float, wall_ns: int, broadcast: int | None = None) -> list[Effect]:
        """One fragment of the master; `broadcast` is the address it was sent to, if it was one."""
        try:
            fragment = parse_fragment(octets)
        except FragmentError:
            self.malformed += 1
            return self._take_effects()
        if fragment.function == Function.CONFIRM:
            self._confirm(fragment.control, now)
        elif fragment.response or not (fragment.control.fir and fragment.control.fin) or fragment.control.uns:
            self.malformed += 1
        elif broadcast is not None:
            self._hear_broadcast(fragment, broadcast, now, wall_ns)
        elif not self._repeated(octets, fragment.function, now):
            self._ask(octets, fragment, now, wall_ns)
        return self.work(now, wall_ns)

    def outcome(self, ticket: int, outcome: Outcome, now: float, wall_ns: int) -> list[Effect]:
        """A step of a command."""
        told = self._commanding.outcome(ticket, outcome, now)
        if told is not None and told[1]:
            self._tell_command(told[0], wall_ns)
        return self.work(now, wall_ns, unread=True)

    def work(self, now: float, wall_ns: int, unread: bool = False) -> list[Effect]:
        """Do what is due: complete answers, confirmations that did not come, freezes, unsolicited responses.

        `unread`: what the master sent may lie unread, so that no confirmation is overdue: a process that stood still
        for long would tell events again that the master confirmed in time.
        """
        if not unread and self._awaiting is not None and now >= self._awaiting.deadline:
            self._drop_answer()
        self._effects.extend(self._commanding.due(now))
        self._finish_command(now)
        for due in self.schedules.due(wall_ns):
            self.freeze(due, wall_ns, False)
        if now >= self._time_due:
            self._need_time = True
        if self.unsolicited is not None and self.connected:
            self._work_unsolicited(self.unsolicited, now, wall_ns, unread)
        return self._take_effects()

    def next_deadline(self, now: float, wall_ns: int) -> float:
        """When `work` is next to be called, monotonic s; infinity for never."""
        times = [self._commanding.deadline()]
        if self._awaiting is not None:
            times.append(self._awaiting.deadline)
        freeze_ns = self.schedules.next_ns()
        if freeze_ns is not None:
            times.append(now + (freeze_ns - wall_ns) / 1e9)
        if self.unsolicited is not None and self.connected and self._awaiting is None:
            times.append(self.unsolicited.deadline(now))
        return min(times)

    @property
    def iin(self) -> Iin:
        """How the outstation is now, without what speaks of one request."""
        store = self.store
        bits = self._indications.bits(self.database.version) | store.class_bits
        bits |= (self._broadcast is not None) * _BROADCAST | self._need_time * _NEED_TIME
        bits |= self.restarted * _RESTART | store.overflowing * _OVERFLOW
        return Iin(bits)

    def freeze(self, what: Freeze, wall_ns: int, clear: bool) -> None:
        """Freeze points now."""
        frozen = self.database.freeze(what.type, what.positions, wall_ns, clear)
        self.altered = True
        self.database.version += 1
        if len(frozen):
            self.store.frozen(frozen)
        if clear:
            self.store.cleared(what.positions)

    def time_written(self, time_ms: int, now: float, wall_ns: int) -> None:
        """The master says that it is `time_ms` now."""
        self._need_time = False
        if self.parameters.need_time_s is not None:
            self._time_due = now + self.parameters.need_time_s
        self._effects.append(TimeWritten(time_ms - wall_ns // NS_PER_MS))

    def command(self, pending: Pending) -> None:
        """Hand a request's orders to the broker; the answer follows when all have their final word."""
        self._effects.extend(self._commanding.begin(pending))

    def _tell_command(self, item: control.Item, wall_ns: int) -> None:
        if item.order is not None and item.status is not None:
            self.store.commanded(item.order.position, item.order.value, int(item.status), wall_ns)

    def _finish_command(self, now: float) -> None:
        pending = self._commanding.answered(now)
        if pending is None:
            return
        if pending.select is not None and pending.successful:
            self.selection.arm(pending.seq, pending.select, now)
        echo = control.echo(pending.headers, pending.statuses)
        self._respond(pending.seq, Result(pending.iin, [BlockPart(echo)]), now, len(echo) + _RESPONSE_HEADER)

    def _repeated(self, octets: bytes, function: int, now: float) -> bool:
        """Whether this is the last request once more: it is not carried out again, but answered."""
        if octets != self._last_request:
            return False
        awaiting = self._awaiting
        if awaiting is not None:
            awaiting.deadline = now + self.parameters.confirm_timeout_s
            self._effects.append(Send(awaiting.octets))
            return True
        if function == Function.READ and self._deferred is None:
            return False
        if self._last_response and not self._commanding.answering and self._deferred is None:
            self._effects.append(Send(self._last_response))
        return True

    def _ask(self, octets: bytes, fragment: Fragment, now: float, wall_ns: int) -> None:
        """A new request: it ends what was being said about the one before."""
        self._drop_answer()
        self._last_request, self._last_response = octets, b""
        busy = self.unsolicited is not None and self.unsolicited.in_flight is not None
        if fragment.function == Function.READ and busy:
            self._deferred = octets
        else:
            self._carry_out(fragment, now, wall_ns)

    def _carry_out(self, fragment: Fragment, now: float, wall_ns: int) -> None:
        try:
            result = self._handle(fragment, now, wall_ns)
        except RequestError as error:
            result = Result(error.iin)
        if result is None or fragment.function in requests.SILENT:
            return
        self._respond(fragment.control.seq, result, now)
        if result.restart:
            self._restart()

    def _handle(self, fragment: Fragment, now: float, wall_ns: int) -> Result | None:
        handler = requests.HANDLERS.get(fragment.function)
        if handler is None:
            raise FunctionUnknown(f"function {fragment.function} is not carried out here")
        headers, _, error = read_headers(fragment.payload, fragment.function)
        if error is not None:
            raise error
        asked = Request(fragment.function, fragment.control.seq, headers, fragment.payload, now, wall_ns)
        return handler(self, asked)

    def _hear_broadcast(self, fragment: Fragment, address: int, now: float, wall_ns: int) -> None:
        """Carried out, never answered: the next response says that one came."""
        self._drop_answer()
        self._broadcast = address
        if fragment.function not in requests.BROADCAST:
            return
        try:
            self._handle(fragment, now, wall_ns)
        except RequestError:
            self.malformed += 1

    def _respond(self, seq: int, result: Result, now: float, size: int = 0) -> None:
        answer = Answer(deque(result.parts), max(size, self.parameters.fragment_size))
        self._next_fragment(answer, result.iin, 0, seq, now)

    def _next_fragment(self, answer: Answer, iin: Iin, position: int, first_seq: int, now: float) -> None:
        payload, sent, last = self._next_payload(answer)
        must_confirm = self._broadcast == BROADCAST_MUST_CONFIRM
        head = response_control(position, last, first_seq, len(sent) > 0 or must_confirm)
        octets = Fragment(head, Function.RESPONSE, self.iin | iin, payload).encode()
        self._last_response = octets
        self._effects.append(Send(octets))
        if not must_confirm:
            self._broadcast = None
        if head.con:
            deadline = now + self.parameters.confirm_timeout_s
            self._awaiting = _Awaiting(head.seq, octets, sent, deadline, answer, iin, position, first_seq)

    def _next_payload(self, answer: Answer) -> tuple[bytes, Sent, bool]:
        prepared = self._prepared.popleft() if self._prepared else None
        if prepared is None or prepared.of is not answer or prepared.version != self.database.version:
            if self._prepared or prepared is not None:
                self._prepared.clear()
                self._ahead = _AHEAD[0]
            return answer.next_payload()
        answer.parts = prepared.after
        return prepared.made

    def prepare(self) -> list[bytes]:
        """While a confirmation is waited for: the fragments that will follow if nothing changes. Empty: none now."""
        awaiting = self._awaiting
        if awaiting is None or self._prepared or not awaiting.answer.steady:
            return []
        left = awaiting.answer.copy()
        iin, version = self.iin | awaiting.iin, self.database.version
        fragments: list[bytes] = []
        while left.parts and len(fragments) < self._ahead:
            made = left.next_payload()
            self._prepared.append(_Prepared(awaiting.answer, left.copy().parts, made, version))
            position = awaiting.position + len(self._prepared)
            head = response_control(position, made[2], awaiting.first_seq, False)
            fragments.append(Fragment(head, Function.RESPONSE, iin, made[0]).encode())
        self._ahead = min(2 * self._ahead, _AHEAD[1])  # all were used so far; what is not used is made for nothing
        return fragments

    def _confirm(self, head: AppControl, now: float) -> None:
        if head.uns:
            if self.unsolicited is not None and self.unsolicited.confirm(head.seq):
                self._confirmed()
            return
        awaiting = self._awaiting
        if awaiting is None or awaiting.seq != head.seq:
            return
        self._awaiting = None
        self.store.confirm(awaiting.sent)
        self._confirmed()
        if awaiting.answer.parts:
            awaiting.answer.flow()
            self._next_fragment(awaiting.answer, awaiting.iin, awaiting.position + 1, awaiting.first_seq, now)

    def _confirmed(self) -> None:
        self._broadcast = None
        self._effects.append(Confirmed())

    def _drop_answer(self) -> None:
        """Say no more about the last request; its events wait again, its commands go on."""
        awaiting, self._awaiting = self._awaiting, None
        self._prepared.clear()
        if awaiting is not None:
            self.store.offer_again(awaiting.sent)
        self._commanding.drop_answer()
        self._deferred = None

    def _drop_conversation(self) -> None:
        self._drop_answer()
        self._last_request = self._last_response = b""
        self._broadcast = None
        self.selection.clear()

    def _restart(self) -> None:
        self._drop_conversation()
        self.restarted = True
        self._need_time = self.parameters.need_time_s is not None
        if self.unsolicited is not None:
            self.unsolicited.restart()

    def _work_unsolicited(self, unsolicited: Unsolicited, now: float, wall_ns: int, unread: bool) -> None:
        again = b"" if unread else unsolicited.time_out(now, self._deferred is not None)
        if again:
            self._effects.append(Send(again))
        if unsolicited.in_flight is not None:
            return
        if self._deferred is not None:
            octets, self._deferred = self._deferred, None
            self._carry_out(parse_fragment(octets), now, wall_ns)
        if self._awaiting is None and unsolicited.due(now):
            self._begin_unsolicited(unsolicited, now)

    def _begin_unsolicited(self, unsolicited: Unsolicited, now: float) -> None:
        parts = [] if unsolicited.state is State.START else [self.reader.classes(unsolicited.enabled)]
        payload, sent, _ = Answer(deque(parts), self.parameters.fragment_size).next_payload()
        head = AppControl(unsolicited.seq, con=True, uns=True)
        octets = Fragment(head, Function.UNSOLICITED_RESPONSE, self.iin, payload).encode()
        unsolicited.begin(octets, sent, now)
        self._effects.append(Send(octets))

    def _take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects
