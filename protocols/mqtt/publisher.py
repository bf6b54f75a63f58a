"""One map towards one broker: connection after connection, the queue's events over them, commands back.

    queue ──take──► outbox ──► at most 20 in flight ──PUBACK──► release

What was not acknowledged when a connection ends is offered again on the next one, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.contracts import Action, Command, Origin, Outcome, Reason, ServerPort, Stage
from gateway.events import EventJournal
from gateway.events.housekeeping import Housekeeping
from gateway.points import Changes
from protocols.mqtt.client import WINDOW, Acked, Link, LinkDown, Message, backoff_s
from protocols.mqtt.edge import EdgeForm
from protocols.mqtt.errors import MqttError
from protocols.mqtt.form import Form, Outgoing, Request
from protocols.mqtt.gridplan import MasterPlan
from protocols.mqtt.seen import SeenCommands
from protocols.mqtt.stream import EventStream
from protocols.mqtt.trace import Traced

CHUNK: Final = 256
"""Events made into messages at once."""
_WATCH_S: Final = 0.5
_FAREWELL_S: Final = 1.0
_LEAVE_S: Final = 0.2


class Publisher:
    """Outlives connections."""

    def __init__(
        self, server: str, plan: MasterPlan, port: ServerPort, stream: EventStream, form: Form, keeping: Housekeeping
    ) -> None:
        self.plan, self.name, self.stream = plan, plan.name, stream
        self._server, self._port, self._form, self._keeping = server, port, form, keeping
        self._log = port.log.bind(server=server, master=plan.name)
        self._trace = Traced(port.trace, plan.name)
        self._seen = SeenCommands(3600.0)
        self._outbox: deque[Outgoing] = deque()
        self._flying: deque[tuple[int, Outgoing]] = deque()
        self._acked: set[int] = set()
        self._acked_at = 0.0
        self._link: Link | None = None
        self._pump_timer: asyncio.Handle | None = None
        self._told: set[str] = set()
        self._refreshed_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._bd_path = port.state_dir / "mqtt" / server / f"{plan.name}.bdseq"

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect from now on."""
        self._loop = asyncio.get_running_loop()
        self._refreshed_at = self._loop.time()
        if isinstance(self._form, EdgeForm):
            self._form.bd_seq = _read_number(self._bd_path)
        if self.stream.begin():
            self._keeping.overflowed(self.name)
        if isinstance(self.stream.queue, EventJournal):
            self.stream.queue.start()
        self._task = self._loop.create_task(self._run())

    async def stop(self) -> None:
        """Say good-bye, close, end."""
        self._stopping = True
        if self._pump_timer is not None:
            self._pump_timer.cancel()
        link = self._link
        if link is not None and link.up:
            await self._farewell(link)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _farewell(self, link: Link) -> None:
        """The last words, once what is in flight had a moment to arrive."""
        with contextlib.suppress(LinkDown, TimeoutError):
            self._outbox += self._form.closing(time.time_ns())
            async with asyncio.timeout(_FAREWELL_S):
                while (self._outbox or self._flying) and link.up:
                    self._send(link)
                    self._receive(link)
                    await asyncio.sleep(0.005)

    async def _run(self) -> None:
        attempt = 0
        while True:
            began = self._loop.time()
            why = await self._converse()
            self._ended(why)
            attempt = 0 if self._loop.time() - began > self.plan.link.reconnect_max_s else attempt + 1
            await asyncio.sleep(backoff_s(attempt, self.plan.link.reconnect_max_s))

    async def _converse(self) -> str:
        """From connection to its end; returns why it ended, in words."""
        will = self._form.will(time.time_ns())
        if isinstance(self._form, EdgeForm):
            await asyncio.to_thread(_write_number, self._bd_path, self._form.bd_seq)
        link = Link(self.plan.link, will)
        try:
            await link.open()
            # The queue begins anew before anything is said: what a birth calls waiting is all of it.
            self._link = link
            self._trace.opened(self.plan.link)
            self.stream.queue.rewind()
            self._outbox.extend(self._form.opened(time.time_ns(), self.stream.queue.waiting))
            self._log.info("connected", broker=str(self.plan.link.broker))
            await link.subscribe(self._form.filters())
            self._keeping.online(self.name, True)
            self._acked_at = self._loop.time()
            return await self._serve(link)
        except LinkDown as error:
            return str(error)
        except asyncio.CancelledError:
            await link.close()
            raise
        finally:
            link.abort("no longer needed")

    async def _serve(self, link: Link) -> str:
        while True:
            self._receive(link)
            if link.closed.done():
                return f"{self.plan.link.broker}: {link.closed.result()}"
            self._overdue(link)
            self._pump()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_WATCH_S):
                    await link.wake.wait()
            link.wake.clear()

    def _ended(self, why: str) -> None:
        """What is in flight is offered again by the next connection."""
        was_up, self._link = self._link is not None, None
        self._outbox.clear()
        self._flying.clear()
        self._acked.clear()
        self.stream.queue.rewind()
        self._trace.closed(not was_up, why)
        if was_up:
            self._keeping.online(self.name, False)
        if was_up or why not in self._told:
            self._told = {why}
            self._log.warning("not connected", cause=why)

    def _overdue(self, link: Link) -> None:
        patience_s = max(self.plan.link.timeout_s, 1.0)
        if self._flying and self._loop.time() - self._acked_at > patience_s:
            link.abort(f"no acknowledgement within {patience_s:g} s")
        if self.plan.refresh_s and self._loop.time() - self._refreshed_at >= self.plan.refresh_s:
            self._refreshed_at = self._loop.time()
            self._dropped(self.stream.refresh())

    # -- events -------------------------------------------------------------------------------------------------

    def changes(self, batch: Changes, seq: int) -> None:
        """Make events, and tell them soon."""
        self._dropped(self.stream.changes(batch, seq))
        if self._link is not None and self._pump_timer is None and not self._stopping:
            self._pump_timer = self._loop.call_later(self.plan.gather_s, self._pump_later)

    def _dropped(self, count: int) -> None:
        if count:
            self._keeping.overflowed(self.name)
            self._form.dropped(count)
        self._keeping.due()

    def _pump_later(self) -> None:
        self._pump_timer = None
        self._pump()

    def _pump(self) -> None:
        link = self._link
        if link is None or not link.up or self._stopping:
            return
        try:
            self._send(link)
            while len(self._flying) < WINDOW and self._form.ready and self._make():
                self._send(link)
        except LinkDown as error:
            link.abort(str(error))

    def _make(self) -> bool:
        """More messages into the outbox; False when there is nothing to tell."""
        queue, now_ns = self.stream.queue, time.time_ns()
        self._outbox += self._form.before(now_ns, queue.waiting)
        events = queue.take(CHUNK)
        if len(events):
            self._outbox += self._form.messages(events, now_ns)
        return bool(self._outbox)

    def _send(self, link: Link) -> None:
        if not self._flying:
            self._acked_at = self._loop.time()
        while self._outbox and len(self._flying) < WINDOW:
            message = self._outbox.popleft()
            mid = link.publish(message.topic, message.payload, self.plan.qos, message.retain)
            self._trace.sent(message)
            self._flying.append((mid, message))

    # -- what comes ---------------------------------------------------------------------------------------------

    def _receive(self, link: Link) -> None:
        while link.inbox:
            event = link.inbox.popleft()
            if isinstance(event, Message):
                self._trace.received(event.topic, event.payload, event.retained)
                self._message(link, event)
            elif not self._confirmed(link, event):
                return

    def _confirmed(self, link: Link, event: Acked) -> bool:
        """The broker has a message; False when it refuses it: nothing is given up, it is tried again later."""
        if event.refusal:
            topic = next((message.topic for mid, message in self._flying if mid == event.mid), "?")
            link.abort(f"the broker refuses what is published to {topic}: {event.refusal}")
            return False
        self._acked.add(event.mid)
        self._acked_at = self._loop.time()
        while self._flying and self._flying[0][0] in self._acked:
            mid, message = self._flying.popleft()
            self._acked.discard(mid)
            if message.events:
                self.stream.queue.release(message.events)
        self._keeping.due()
        return True

    def _message(self, link: Link, message: Message) -> None:
        now_ns, waiting = time.time_ns(), self.stream.queue.waiting
        try:
            effects = self._form.message(
                message.topic, message.payload, message.retained, message.repeated, now_ns, waiting
            )
        except MqttError as error:
            self._log.warning("message ignored", topic=message.topic, cause=str(error))
            return
        self._outbox += effects.send
        for request in effects.requests:
            self._submit(request, now_ns)
        if effects.leave is not None:
            self._log.info("leaving", cause=effects.leave.why)
            self._pump()
            self._loop.call_later(_LEAVE_S, link.leave)

    def _submit(self, request: Request, now_ns: int) -> None:
        """To the broker of the gateway, once; one that is refused here is handed over for the record."""
        if request.key and self._seen.repeated(request.key, now_ns):
            self._log.info("command delivered again: carried out once", point=request.name, id=request.id)
            outcome = self._seen.outcome(request.key)
            if request.id and outcome is not None:
                self._outbox.extend(self._form.answer(request, outcome, now_ns))
            return
        columns, rules = self.plan.bindings, self.plan.rules
        listener = self._listener(request)
        if request.binding < 0:
            self._log.warning("command refused", point=request.name, reason=request.text)
            listener(Outcome(id=0, stage=Stage.REFUSED, reason=request.refusal, text=request.text))
            return
        refusal, text = request.refusal, request.text
        if refusal is Reason.OK and not (rules.allowed and columns.command[request.binding]):
            refusal, text = Reason.NOT_AUTHORISED, "commands from this broker to this point are not enabled"
        commands = self._port.commands
        commands.submit(
            Command(
                id=commands.next_id(),
                row=int(columns.row[request.binding]),
                value=request.value,
                action=Action.EXECUTE,
                origin=Origin(protocol="mqtt", server=self._server, master=self.name, peer=self.plan.link.broker.host),
                deadline_ns=now_ns + int(rules.timeout_s * 1e9),
                received_ns=now_ns,
                refusal=refusal,
                refusal_text=text,
            ),
            listener,
        )

    def _listener(self, request: Request) -> Callable[[Outcome], None]:
        def heard(outcome: Outcome) -> None:
            if outcome.stage.final:
                self._seen.ended(request.key, outcome)
            if self._link is None or self._stopping:
                return  # whoever asked is not there: the audit has it
            self._outbox.extend(self._form.answer(request, outcome, time.time_ns()))
            self._pump()

        return heard


def _read_number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return -1


def _write_number(path: Path, number: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
