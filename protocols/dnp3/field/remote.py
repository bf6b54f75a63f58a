"""The conversation with one outstation, the master's side (IEEE 1815-2012). Pure.

    connected    disable unsolicited -> integrity poll -> ONLINE -> clear restart, set time, enable unsolicited
    ONLINE       events by class as often as asked, at once when the outstation says that it has some; commands go first
    no answer    asked again, then LOST: what waits is given up, and it begins anew after a while

One request is under way at a time. A response counts only with the sequence number that is awaited: what comes too late
is nobody's. Unsolicited values are taken, and confirmed, once the integrity poll is through.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import Final

from gateway.contracts import Pulse
from protocols.dnp3 import time48
from protocols.dnp3.application import SEQUENCES, AppControl, Fragment, parse_fragment
from protocols.dnp3.errors import FragmentError
from protocols.dnp3.field.decode import Decoder
from protocols.dnp3.field.orders import Done, Verdict, objects_of, verdict_of
from protocols.dnp3.field.plan import OrderBinding, StationPlan
from protocols.dnp3.field.steps import STEPS, Effect, Kind, Lost, Notice, Online
from protocols.dnp3.function import Function
from protocols.dnp3.headers import count_head
from protocols.dnp3.iin import NO_IIN, Iin
from protocols.dnp3.link import DIR, PRM, LinkFrame, Primary, Secondary, encode_frame
from protocols.dnp3.transport import Reassembler, encode_fragment

_DATA: Final = DIR | PRM | Primary.UNCONFIRMED_USER_DATA
_MOST: Final = 65_536
"""Octets of a fragment that we take."""
_ANY_EVENTS: Final = Iin.CLASS_1_EVENTS | Iin.CLASS_2_EVENTS | Iin.CLASS_3_EVENTS
_SOON_S: Final = 0.05
"""Between two polls of an outstation that says each time that it has more."""
_AGAIN_S: Final = 1.0
"""After which a lost outstation is asked anew."""
_TIME_EVERY_S: Final = 10.0


@dataclass(slots=True)
class _Task:
    kind: Kind
    function: Function
    objects: bytes = b""
    ticket: int = 0
    tries: int = 0


@dataclass(slots=True)
class _UnderWay:
    task: _Task
    seq: int
    deadline: float
    wall_ns: int
    payload: bytes = b""
    first: bool = True


class Remote:
    """Feed `begin`, `receive` and `on_time`; send what `data_to_send` gives. `now` monotonic s, `wall_ns` UTC."""

    def __init__(self, plan: StationPlan, counters: Counter[str]) -> None:
        self.plan = plan
        self.online = False
        self.lost = False
        self._counters = counters
        self._decoder = Decoder(plan.points, counters)
        self._reassembler = Reassembler(_MOST)
        self._queue: deque[_Task] = deque()
        self._under_way: _UnderWay | None = None
        self._seq = self._transport = 0
        self._wanted: set[int] = set()
        """Commands that somebody waits for."""
        self._out: list[bytes] = []
        self._effects: list[Effect] = []
        self._last_unsolicited = b""
        self._fcb: bool | None = None
        self._begin_at = math.inf
        self._events_at = self._integrity_at = math.inf
        self._time_at = -math.inf
        self._overflowing = False

    # -- what the shell calls ---------------------------------------------------------------------------------

    def begin(self, now: float, wall_ns: int) -> list[Effect]:
        """There is a connection."""
        self._reset()
        self._queue.extend(self._step(kind) for kind in (Kind.DISABLE, Kind.INTEGRITY))
        return self._go_on(now, wall_ns)

    def end(self, cause: str) -> list[Done]:
        """There is none any more; commands that wait are lost."""
        self._reset()
        return self._give_up(cause)

    def receive(self, frame: LinkFrame, now: float, wall_ns: int) -> list[Effect]:
        """A frame of this outstation to this master."""
        segment = self._link(frame)
        octets = self._reassembler.receive(segment) if segment else None
        if octets is not None:
            self._fragment(octets, now, wall_ns)
        return self._go_on(now, wall_ns)

    def on_time(self, now: float, wall_ns: int) -> list[Effect]:
        """What is due."""
        under_way = self._under_way
        if under_way is not None and now >= under_way.deadline:
            self._timed_out(under_way, now)
        if now >= self._begin_at:
            return self.begin(now, wall_ns)
        if self.online and now >= self._integrity_at:
            self._want(Kind.INTEGRITY)
            self._integrity_at = math.inf
        if self.online and now >= self._events_at:
            self._want(Kind.EVENTS)
            self._events_at = math.inf
        return self._go_on(now, wall_ns)

    def next_deadline(self) -> float:
        """When `on_time` is next to be called, infinity for never."""
        waiting = math.inf if self._under_way is None else self._under_way.deadline
        return min(waiting, self._begin_at, self._events_at, self._integrity_at)

    def command(self, ticket: int, binding: OrderBinding, value: float, pulse: Pulse) -> list[Effect]:
        """Ask for an operation; its `Done` follows. Call `on_time` next."""
        try:
            asked = objects_of(binding, value, pulse)
        except ValueError as error:
            return [Done(ticket, Verdict.REFUSED, str(error))]
        self._counters["commands"] += 1
        function = Function.SELECT if binding.select else Function.DIRECT_OPERATE
        self._queue.appendleft(_Task(Kind.COMMAND, function, asked, ticket))
        self._wanted.add(ticket)
        return []

    def cancel(self, ticket: int) -> None:
        """Nobody waits for it any more: what was not sent is not sent, what is selected is not operated."""
        self._wanted.discard(ticket)
        self._queue = deque(task for task in self._queue if task.ticket != ticket or task.kind is not Kind.COMMAND)

    def data_to_send(self) -> bytes:
        """Frames to be written, all at once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    # -- link -------------------------------------------------------------------------------------------------

    def _link(self, frame: LinkFrame) -> bytes:
        """The segment for us; what the link layer asks is answered."""
        if not frame.primary:
            return b""
        function = frame.function
        if function == Primary.UNCONFIRMED_USER_DATA:
            return frame.data
        if function == Primary.REQUEST_LINK_STATUS:
            self._answer(Secondary.LINK_STATUS)
        elif function == Primary.RESET_LINK_STATES:
            self._fcb = True
            self._answer(Secondary.ACK)
        elif function == Primary.CONFIRMED_USER_DATA and self._fcb is not None:
            self._answer(Secondary.ACK)
            if frame.fcb is self._fcb:
                self._fcb = not self._fcb
                return frame.data
        return b""

    def _answer(self, function: Secondary) -> None:
        self._out.append(encode_frame(DIR | function, self.plan.outstation, self.plan.master))

    # -- application ------------------------------------------------------------------------------------------

    def _fragment(self, octets: bytes, now: float, wall_ns: int) -> None:
        try:
            fragment = parse_fragment(octets)
        except FragmentError:
            self._counters["unreadable"] += 1
            return
        if fragment.function == Function.UNSOLICITED_RESPONSE:
            self._unsolicited(octets, fragment, now, wall_ns)
        elif fragment.function == Function.RESPONSE:
            self._response(fragment, now, wall_ns)
        else:
            self._counters["unreadable"] += 1

    def _unsolicited(self, octets: bytes, fragment: Fragment, now: float, wall_ns: int) -> None:
        if not self.online and fragment.payload:
            return
        self._counters["unsolicited"] += 1
        if fragment.control.con:
            self._confirm(fragment.control)
        if octets != self._last_unsolicited:
            self._last_unsolicited = octets
            self._take(fragment, wall_ns)
        self._heed(fragment.iin or NO_IIN, now)

    def _response(self, fragment: Fragment, now: float, wall_ns: int) -> None:
        under_way = self._under_way
        head = fragment.control
        if under_way is None or head.seq != under_way.seq or head.fir is not under_way.first:
            self._counters["late"] += 1
            return
        self._counters["responses"] += 1
        if head.con:
            self._confirm(head)
        iin = fragment.iin or NO_IIN
        if under_way.task.kind is Kind.COMMAND:
            under_way.payload += fragment.payload
        else:
            self._take(fragment, wall_ns)
        if not head.fin:
            under_way.seq, under_way.first = (under_way.seq + 1) % SEQUENCES, False
            under_way.deadline = now + self.plan.response_timeout_s
            return
        self._seq = under_way.seq
        self._under_way = None
        self._finished(under_way, iin, now)
        self._heed(iin, now)

    def _take(self, fragment: Fragment, wall_ns: int) -> None:
        doubtful = bool((fragment.iin or NO_IIN) & Iin.NEED_TIME)
        self._effects.extend(self._decoder.decode(fragment.payload, wall_ns, doubtful))

    def _confirm(self, head: AppControl) -> None:
        self._send(Fragment(AppControl(head.seq, uns=head.uns), Function.CONFIRM))

    def _finished(self, ended: _UnderWay, iin: Iin, now: float) -> None:
        """A response is whole."""
        task, plan = ended.task, self.plan
        if task.kind is Kind.COMMAND:
            self._commanded(task, ended.payload, iin)
        elif task.kind is Kind.RECORD_TIME:
            self._recorded(ended, iin)
        elif task.kind is Kind.INTEGRITY:
            self._integrity_at = now + plan.integrity_s if plan.integrity_s else math.inf
            if not self.online:
                self.online, self.lost = True, False
                self._effects.append(Online())
                if plan.unsolicited:
                    self._want(Kind.ENABLE)
        if task.kind in (Kind.INTEGRITY, Kind.EVENTS):
            self._events_at = now + plan.event_poll_s if plan.event_poll_s else math.inf

    def _commanded(self, task: _Task, payload: bytes, iin: Iin) -> None:
        done = verdict_of(task.ticket, task.objects, payload, iin)
        if done.verdict is Verdict.DONE and task.function is Function.SELECT:
            if task.ticket not in self._wanted:
                return
            # The operate must be the very next request: its sequence number follows the select's.
            self._queue.appendleft(_Task(Kind.COMMAND, Function.OPERATE, task.objects, task.ticket))
            return
        if done.verdict is Verdict.LOST and task.function is Function.SELECT:
            done = Done(task.ticket, Verdict.REFUSED, f"not selected: {done.text}")
        self._conclude(done)

    def _conclude(self, done: Done) -> None:
        names = {Verdict.REFUSED: "commands_refused", Verdict.LOST: "commands_lost"}
        if done.verdict in names:
            self._counters[names[done.verdict]] += 1
        self._effects.append(done)

    def _recorded(self, ended: _UnderWay, iin: Iin) -> None:
        """LAN procedure: the time when the record was sent; where it is not known, the time at the write."""
        known = not iin & Iin.NO_FUNC_CODE_SUPPORT
        objects = count_head(50, 3, 1) + time48.encode_one(ended.wall_ns // time48.NS_PER_MS) if known else b""
        self._queue.appendleft(_Task(Kind.WRITE_TIME, Function.WRITE, objects))
        self._counters["time_syncs"] += 1

    def _heed(self, iin: Iin, now: float) -> None:
        """What the indications ask of a master."""
        if not self.online:
            return
        if iin & Iin.DEVICE_RESTART and self._want(Kind.CLEAR_RESTART):
            self._counters["restarts"] += 1
            self._effects.append(Notice("outstation restarted"))
            self._decoder.forget()
            self._want(Kind.INTEGRITY)
            if self.plan.unsolicited:
                self._want(Kind.ENABLE)
        overflowing = bool(iin & Iin.EVENT_BUFFER_OVERFLOW)
        if overflowing and not self._overflowing:
            self._counters["overflows"] += 1
            self._effects.append(Notice("outstation lost events: its buffer ran over"))
            self._want(Kind.INTEGRITY)
        self._overflowing = overflowing
        if iin & Iin.NEED_TIME and self.plan.time_sync and now >= self._time_at and self._want(Kind.RECORD_TIME):
            self._time_at = now + _TIME_EVERY_S
        if iin & _ANY_EVENTS and not self.plan.unsolicited:
            self._events_at = min(self._events_at, now + _SOON_S)

    # -- requests ---------------------------------------------------------------------------------------------

    def _step(self, kind: Kind) -> _Task:
        function, objects = STEPS[kind]
        return _Task(kind, function, objects)

    def _want(self, kind: Kind) -> bool:
        """Ask for it, once; whether it was not asked for already."""
        current = self._under_way
        if any(task.kind is kind for task in self._queue) or (current is not None and current.task.kind is kind):
            return False
        self._queue.append(self._step(kind))
        return True

    def _go_on(self, now: float, wall_ns: int) -> list[Effect]:
        if self._under_way is None and self._queue:
            task = self._queue.popleft()
            objects = task.objects
            if task.kind is Kind.WRITE_TIME and not objects:
                objects = count_head(50, 1, 1) + time48.encode_one(wall_ns // time48.NS_PER_MS)
            self._seq = (self._seq + 1) % SEQUENCES
            wait_s = self.plan.command_timeout_s if task.kind is Kind.COMMAND else self.plan.response_timeout_s
            self._under_way = _UnderWay(task, self._seq, now + wait_s, wall_ns)
            self._counters["requests"] += 1
            self._send(Fragment(AppControl(self._seq), task.function, None, objects))
        effects, self._effects = self._effects, []
        return effects

    def _send(self, fragment: Fragment) -> None:
        octets, self._transport = encode_fragment(
            fragment.encode(), self.plan.outstation, self.plan.master, self._transport, _DATA
        )
        self._out.append(octets)

    def _timed_out(self, under_way: _UnderWay, now: float) -> None:
        task, self._under_way = under_way.task, None
        self._seq = under_way.seq
        self._counters["timeouts"] += 1
        if task.kind is Kind.COMMAND:
            lost = Done(task.ticket, Verdict.LOST, f"no answer within {self.plan.command_timeout_s:g} s")
            self._conclude(lost)
            self._want(Kind.EVENTS)
        elif task.tries < self.plan.retries:
            task.tries += 1
            self._counters["retries"] += 1
            self._queue.appendleft(task)
        else:
            cause = f"no answer to {task.kind} within {self.plan.response_timeout_s:g} s"
            self._reset()
            self.lost = True
            self._effects.extend(self._give_up(cause))
            self._effects.append(Lost(cause))
            self._begin_at = now + _AGAIN_S

    def _reset(self) -> None:
        """Nothing is known of the outstation."""
        self.online = False
        self._begin_at = self._events_at = self._integrity_at = math.inf
        self._reassembler.clear()
        self._decoder.forget()
        self._last_unsolicited, self._fcb, self._overflowing = b"", None, False
        self._out.clear()

    def _give_up(self, cause: str) -> list[Done]:
        tasks = list(self._queue)
        if self._under_way is not None:
            tasks.append(self._under_way.task)
        self._queue.clear()
        self._under_way = None
        lost = [Done(task.ticket, Verdict.LOST, cause) for task in tasks if task.kind is Kind.COMMAND]
        self._counters["commands_lost"] += len(lost)
        return lost
