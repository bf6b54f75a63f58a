"""The driver of one RTU: connect to whichever of its addresses answers, converse, and do it again for ever."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final, cast

import numpy as np

from gateway.contracts import DeviceState, DriverPort, Write, WriteLost, WriteRefused
from gateway.points import Quality
from gateway.tls.door import TlsDoor
from protocols.iec104.field.controlling import COUNTER_NAMES, ERRORS, Close, Controlling, Effect, Started, Stopped
from protocols.iec104.field.decode import Batch, Decoder, Notice
from protocols.iec104.field.orders import Done, Verdict
from protocols.iec104.field.plan import OrderBinding, RtuPlan
from protocols.iec104.field.tags import Tags
from protocols.iec104.time56 import Zone

_FIRST_DELAY_S: Final = 0.2
_CLOSE_S: Final = 0.5
"""How long an RTU has to confirm the end of data transfer."""
_ALWAYS_TOLD: Final = frozenset({"RTU initialised"})


class RtuLink(asyncio.Protocol):
    """One TCP connection around one conversation. `closed` is done, with the reason, once it is of no more use."""

    def __init__(
        self, session: Controlling, act: Callable[[list[Effect]], None], refusal: Callable[[ssl.SSLObject], str]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.session, self._act, self._refusal = session, act, refusal
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self.stopped = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for data transfer at once."""
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and (cause := self._refusal(tls)):
            self._over(cause)
            return
        self.session.begin(self._loop.time())
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Octets of the RTU."""
        if not self.closed.done():
            self._apply(self.session.receive(data, self._loop.time(), time.time_ns()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self._over(str(exc) if exc else "the RTU closed the connection")

    def flush(self) -> None:
        """Send what there is, look at the clock again when it is due."""
        if self._transport is not None and not self._transport.is_closing():
            if data := self.session.data_to_send():
                self._transport.write(data)
            self._arm()

    def close(self) -> None:
        """What was written still goes out."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def _apply(self, effects: list[Effect]) -> None:
        self._act([each for each in effects if not isinstance(each, Close | Stopped)])
        self.flush()
        for effect in effects:
            if isinstance(effect, Stopped) and not self.stopped.done():
                self.stopped.set_result(None)
            elif isinstance(effect, Close):
                self._over(effect.cause)

    def _over(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_result(why)
        if not self.stopped.done():
            self.stopped.set_result(None)
        self.close()

    def _arm(self) -> None:
        deadline = self.session.next_deadline()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_time)

    def _on_time(self) -> None:
        if not self.closed.done():
            self._apply(self.session.on_time(self._loop.time(), time.time_ns()))


class RtuDriver:
    """Serves one `RtuPlan` (`gateway.contracts.FieldDriver`)."""

    def __init__(self, plan: RtuPlan, port: DriverPort) -> None:
        self._plan, self._port = plan, port
        self._zone = Zone(plan.time_zone)
        self._counters: Counter[str] = Counter(dict.fromkeys(COUNTER_NAMES, 0))
        self._decoder = Decoder(plan.points, Tags(self._zone), plan.untimed_marked, self._counters)
        self._orders = {order.row: order for order in plan.orders}
        self._addresses = itertools.cycle(plan.addresses)
        self._state = DeviceState.CONNECTING
        self._tickets = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Done]] = {}
        self._told: set[str] = set()
        self._link: RtuLink | None = None
        self._door: TlsDoor | None = None
        self._address = plan.addresses[0]

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the RTU until cancelled; then end data transfer in order, and close."""
        self._port.state(self._plan.device, DeviceState.CONNECTING, " or ".join(map(_words, self._plan.addresses)))
        delay_s = 0.0
        while True:
            await asyncio.sleep(delay_s)
            delay_s = min(max(2 * delay_s, _FIRST_DELAY_S), self._plan.reconnect_max_s)
            if await self._try_all():
                delay_s = _FIRST_DELAY_S / 2

    async def _try_all(self) -> bool:
        """Each address once, until one has served and broken: then the next one is first. Whether one has served."""
        for address in itertools.islice(self._addresses, len(self._plan.addresses)):
            self._address = address
            why = await self._converse()
            served = self._state is DeviceState.ONLINE
            self._lose(f"{_words(address)}: {why}")
            if served:
                return True
        return False

    async def _converse(self) -> str:
        """One conversation from connecting to the end; returns why it ended, in words."""
        loop = asyncio.get_running_loop()
        session = Controlling(self._plan, self._zone, self._decoder, self._counters, loop.time())
        link = RtuLink(session, self._act, self._refusal)
        try:
            async with asyncio.timeout(self._plan.t0_s):
                await self._connect(link)
        except TimeoutError:
            return f"does not take a connection within {self._plan.t0_s:g} s"
        except ssl.SSLError as error:
            return f"TLS: {error.reason or error}"
        except OSError as error:
            return str(error)
        self._counters["connects"] += 1
        self._link = link
        try:
            why = await asyncio.shield(link.closed)
            self._counters["disconnects"] += 1
            return why
        except asyncio.CancelledError:
            await self._part(link)
            raise
        finally:
            self._link = None
            self._conclude(session.lose("the connection to the RTU broke before it answered"))
            link.close()

    async def _connect(self, link: RtuLink) -> None:
        """Raises `OSError` when there is no connection to be had, or the certificates do not do."""
        loop, (host, port), tls = asyncio.get_running_loop(), self._address, self._plan.tls
        if tls is None:
            await loop.create_connection(lambda: link, host, port)
            return
        if self._door is None:
            door = TlsDoor(tls, self._port.log.bind(device=self._plan.device), dialled=[self._plan.devices])
            door.open()
            self._door = door
        context = self._door.context(self._plan.devices, client=True)
        await loop.create_connection(lambda: link, host, port, ssl=context, ssl_handshake_timeout=tls.handshake_s)

    def _refusal(self, tls: ssl.SSLObject) -> str:
        """Why the certificate that the RTU showed is not its own; empty when it is."""
        return "" if self._door is None else self._door.refusal(self._plan.device, tls)

    async def _part(self, link: RtuLink) -> None:
        """Say goodbye."""
        if link.session.started:
            link.session.end(asyncio.get_running_loop().time())
            link.flush()
            await asyncio.wait([link.stopped], timeout=_CLOSE_S)

    # -- what comes ---------------------------------------------------------------------------------------------

    def _act(self, effects: list[Effect]) -> None:
        batches: list[Batch] = []
        for effect in effects:
            if isinstance(effect, Batch):
                batches.append(effect)
                continue
            self._publish(batches)
            if isinstance(effect, Started):
                self._online()
            elif isinstance(effect, Notice):
                self._notice(effect)
            elif isinstance(effect, Done):
                self._conclude([effect])
        self._publish(batches)

    def _publish(self, batches: list[Batch]) -> None:
        """What came at once, in order."""
        if not batches:
            return
        self._port.publish(
            np.concatenate([batch.rows for batch in batches]),
            np.concatenate([batch.values for batch in batches]),
            np.concatenate([batch.qualities for batch in batches]),
            np.concatenate([batch.times_ns for batch in batches]),
        )
        batches.clear()

    def _online(self) -> None:
        self._state = DeviceState.ONLINE
        self._port.state(self._plan.device, DeviceState.ONLINE, _words(self._address))

    def _notice(self, notice: Notice) -> None:
        """Each kind of news once."""
        key = f"{notice.event} {notice.facts}"
        if key in self._told and notice.event not in _ALWAYS_TOLD:
            return
        self._told.add(key)
        tell = self._port.log.info if notice.event in _ALWAYS_TOLD else self._port.log.warning
        tell(notice.event, device=self._plan.device, **notice.facts)

    def _lose(self, why: str) -> None:
        if self._state is not DeviceState.LOST:
            self._state = DeviceState.LOST
            self._port.degrade(self._plan.rows, int(Quality.COMM_LOST))
            self._port.state(self._plan.device, DeviceState.LOST, why)

    # -- commands -----------------------------------------------------------------------------------------------

    async def write(self, write: Write) -> None:
        """Give a command and wait for the RTU's word. Raises `WriteRefused` or `WriteLost`."""
        binding = self._orders.get(write.row)
        if binding is None:
            raise WriteRefused(f"row {write.row} of {self._plan.device} is not commanded")
        link = self._link
        if link is None or not link.session.started:
            raise WriteLost(f"{self._plan.device} is lost: nothing was sent")
        loop, ticket = asyncio.get_running_loop(), next(self._tickets)
        answer = self._answers[ticket] = loop.create_future()
        try:
            self._act(link.session.command(ticket, binding, write.value, write.pulse, loop.time(), time.time_ns()))
            link.flush()
            done = await answer
        finally:
            del self._answers[ticket]
            if not answer.done() or answer.cancelled():
                link.session.cancel(ticket, loop.time(), time.time_ns())
                link.flush()
        self._written(binding, write.value, done)

    def _written(self, binding: OrderBinding, value: float, done: Done) -> None:
        if done.verdict is Verdict.REFUSED:
            raise WriteRefused(f"{binding.name}: {done.text}")
        if done.verdict is Verdict.LOST:
            raise WriteLost(f"{binding.name}: {done.text}")
        rows, good = np.array([binding.row], np.uint32), np.zeros(1, np.uint32)
        self._port.publish(rows, np.array([value]), good, self._port.now_ns())

    def _conclude(self, ended: list[Done]) -> None:
        for done in ended:
            answer = self._answers.get(done.ticket)
            if answer is not None and not answer.done():
                answer.set_result(done)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device: see `controlling.COUNTER_NAMES`."""
        errors = sum(self._counters[name] for name in ERRORS)
        return {self._plan.device: {**self._counters, "errors": errors}}


def _words(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
