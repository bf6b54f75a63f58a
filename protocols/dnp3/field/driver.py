"""The driver of one TCP connection: every outstation behind it, each with a conversation of its own."""

from __future__ import annotations

import asyncio
import itertools
import math
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final, cast

import numpy as np

from gateway.contracts import DeviceState, DriverPort, Write, WriteLost, WriteRefused
from gateway.points import Quality
from gateway.tls.door import TlsDoor
from protocols.dnp3.field.decode import Batch
from protocols.dnp3.field.orders import Done, Verdict
from protocols.dnp3.field.plan import LinePlan, OrderBinding, StationPlan
from protocols.dnp3.field.remote import Remote
from protocols.dnp3.field.steps import COUNTER_NAMES, ERRORS, Effect, Lost, Notice, Online
from protocols.dnp3.link import LinkReader

_FIRST_DELAY_S: Final = 0.2
GARBAGE: Final = 4_096
"""Octets without a frame among them after which the connection is given up."""


class Station:
    """One outstation of the line, as the core sees it."""

    def __init__(self, plan: StationPlan, port: DriverPort) -> None:
        self.plan = plan
        self.counters: Counter[str] = Counter(dict.fromkeys(COUNTER_NAMES, 0))
        self.remote = Remote(plan, self.counters)
        self.orders = {order.row: order for order in plan.orders}
        self.rows = np.array(sorted({*plan.points.row.tolist(), *self.orders}), np.uint32)
        self.answers: dict[int, asyncio.Future[Done]] = {}
        self._port = port
        self._state = DeviceState.CONNECTING

    def begin(self, words: str) -> None:
        """Nothing is known yet."""
        self._port.state(self.plan.device, DeviceState.CONNECTING, words)

    def act(self, effects: list[Effect] | list[Done]) -> None:
        """Tell the core, and whoever waits for a command."""
        batches = [effect for effect in effects if isinstance(effect, Batch)]
        if batches:
            self._publish(batches)
        for effect in effects:
            if isinstance(effect, Online):
                self._state = DeviceState.ONLINE
                self._port.state(self.plan.device, DeviceState.ONLINE, f"outstation {self.plan.outstation}")
            elif isinstance(effect, Lost):
                self.lose(effect.cause)
            elif isinstance(effect, Notice):
                self._port.log.warning(effect.event, device=self.plan.device)
            elif isinstance(effect, Done):
                self._answer(effect)

    def lose(self, why: str) -> None:
        """Told once."""
        if self._state is not DeviceState.LOST:
            self._state = DeviceState.LOST
            self._port.degrade(self.rows, int(Quality.COMM_LOST))
            self._port.state(self.plan.device, DeviceState.LOST, why)

    def written(self, binding: OrderBinding, value: float) -> None:
        """The outstation carried it out: that is what the point stands at."""
        rows, good = np.array([binding.row], np.uint32), np.zeros(1, np.uint32)
        self._port.publish(rows, np.array([value]), good, self._port.now_ns())

    def _publish(self, batches: list[Batch]) -> None:
        self._port.publish(
            np.concatenate([batch.rows for batch in batches]),
            np.concatenate([batch.values for batch in batches]),
            np.concatenate([batch.qualities for batch in batches]),
            np.concatenate([batch.times_ns for batch in batches]),
        )

    def _answer(self, done: Done) -> None:
        answer = self.answers.get(done.ticket)
        if answer is not None and not answer.done():
            answer.set_result(done)


class Link(asyncio.Protocol):
    """One TCP connection. `closed` is done, with the reason, once it is of no more use."""

    def __init__(self, stations: list[Station], door: TlsDoor | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._stations, self._door = stations, door
        self._by_address = {(s.plan.outstation, s.plan.master): s for s in stations}
        self._reader = LinkReader()
        self._skipped = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.closed: asyncio.Future[str] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with every outstation."""
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and self._door is not None:
            names = [station.plan.device for station in self._stations]
            causes = [cause for name in names if (cause := self._door.refusal(name, tls))]
            if causes:
                self._over(causes[0])
                return
        for station in self._stations:
            station.act(station.remote.begin(self._loop.time(), time.time_ns()))
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Each frame to the conversation that it belongs to."""
        frames = self._reader.feed(data)
        now, wall_ns = self._loop.time(), time.time_ns()
        for frame in frames:
            station = self._by_address.get((frame.source, frame.dest))
            if station is not None and not frame.from_master:
                station.act(station.remote.receive(frame, now, wall_ns))
        if frames:
            self._skipped = self._reader.skipped
        elif self._reader.skipped - self._skipped > GARBAGE:
            self._over(f"{GARBAGE} octets without a DNP3 frame")
            return
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, for whatever reason."""
        self._over(str(exc) if exc else "the outstation closed the connection")

    def work(self) -> None:
        """Do what is due, and send what there is."""
        for station in self._stations:
            station.act(station.remote.on_time(self._loop.time(), time.time_ns()))
        if all(station.remote.lost for station in self._stations):
            self._over("no outstation answers")
        else:
            self.flush()

    def flush(self) -> None:
        """Send what there is, look at the clock again when it is due."""
        if self._transport is None or self._transport.is_closing() or self.closed.done():
            return
        data = b"".join(station.remote.data_to_send() for station in self._stations)
        if data:
            self._transport.write(data)
        deadline = min((station.remote.next_deadline() for station in self._stations), default=math.inf)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline == math.inf else self._loop.call_at(deadline, self.work)

    def close(self) -> None:
        """End the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def _over(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_result(why)
        self.close()


class OutstationDriver:
    """Serves one `LinePlan` (`gateway.contracts.FieldDriver`)."""

    def __init__(self, plan: LinePlan, port: DriverPort) -> None:
        self._plan, self._port = plan, port
        self._stations = [Station(station, port) for station in plan.stations]
        self._of_row = {row: station for station in self._stations for row in station.orders}
        self._tickets = itertools.count(1)
        self._link: Link | None = None
        self._door: TlsDoor | None = None

    async def run(self) -> None:
        """Serve the line until cancelled."""
        host, port = self._plan.address
        for station in self._stations:
            station.begin(f"{host}:{port}")
        delay_s = _FIRST_DELAY_S
        while True:
            served, why = await self._converse()
            for station in self._stations:
                station.act(station.remote.end(why))
                station.lose(f"{host}:{port}: {why}")
            delay_s = _FIRST_DELAY_S if served else min(2 * delay_s, self._plan.reconnect_max_s)
            await asyncio.sleep(delay_s)

    async def _converse(self) -> tuple[bool, str]:
        """One connection from its beginning to its end: whether it was made, and why it ended."""
        try:
            async with asyncio.timeout(self._plan.connect_timeout_s):
                link = await self._connect()
        except TimeoutError:
            return False, f"does not take a connection within {self._plan.connect_timeout_s:g} s"
        except ssl.SSLError as error:
            return False, f"TLS: {error.reason or error}"
        except OSError as error:
            return False, str(error)
        self._link = link
        try:
            return True, await asyncio.shield(link.closed)
        finally:
            self._link = None
            link.close()

    async def _connect(self) -> Link:
        loop, (host, port), tls = asyncio.get_running_loop(), self._plan.address, self._plan.tls
        if tls is None:
            _, link = await loop.create_connection(lambda: Link(self._stations, None), host, port)
            return link
        if self._door is None:
            door = TlsDoor(tls, self._port.log, dialled=[self._plan.devices])
            door.open()
            self._door = door
        context = self._door.context(self._plan.devices, client=True)
        _, link = await loop.create_connection(
            lambda: Link(self._stations, self._door), host, port, ssl=context, ssl_handshake_timeout=tls.handshake_s
        )
        return link

    async def write(self, write: Write) -> None:
        """Give a command and wait for the outstation's word. Raises `WriteRefused` or `WriteLost`."""
        station = self._of_row.get(write.row)
        if station is None:
            raise WriteRefused(f"row {write.row} is not commanded over DNP3")
        link, binding = self._link, station.orders[write.row]
        if link is None or not station.remote.online:
            raise WriteLost(f"{station.plan.device} is lost: nothing was sent")
        ticket = next(self._tickets)
        answer = station.answers[ticket] = asyncio.get_running_loop().create_future()
        try:
            station.act(station.remote.command(ticket, binding, write.value, write.pulse))
            link.work()
            done = await answer
        finally:
            del station.answers[ticket]
            station.remote.cancel(ticket)
        if done.verdict is Verdict.REFUSED:
            raise WriteRefused(f"{binding.name}: {done.text}")
        if done.verdict is Verdict.LOST:
            raise WriteLost(f"{binding.name}: {done.text}")
        station.written(binding, write.value)

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device: see `steps.COUNTER_NAMES`."""
        return {
            station.plan.device: {**station.counters, "errors": sum(station.counters[name] for name in ERRORS)}
            for station in self._stations
        }
