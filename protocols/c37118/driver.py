"""The driver of one PMU stream: connect, ask, listen, and do it again for ever when it falls silent.

A stream that is asked for is begun anew (new socket, new handshake) when it closes, sends what is no frame, falls
silent or falls behind. A stream that comes unasked keeps its socket and its configuration; only the points are lost.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from gateway.contracts import DeviceState, DriverPort, Write, WriteRefused
from gateway.points import Quality
from protocols.c37118.client import Link, open_link
from protocols.c37118.decode import Batch, Decoder, Missing
from protocols.c37118.plan import StreamPlan
from protocols.c37118.session import COUNTERS, ERRORS, Configured, Event, Foreign, Late, Send, Session

_FIRST_DELAY_S: Final = 0.2
_CLOCKS_DIFFER_NS: Final = 5_000_000_000
_ALL_NAMED: Final = 50
"""More missing channels than this are told as a number."""


class PmuDriver:
    """Serves one `StreamPlan` (`gateway.contracts.FieldDriver`)."""

    def __init__(self, plan: StreamPlan, port: DriverPort) -> None:
        self._plan, self._port = plan, port
        self._counters: Counter[str] = Counter(dict.fromkeys(COUNTERS, 0))
        self._known: dict[int, float] = {}
        self._state = DeviceState.CONNECTING
        self._delay_s = 0.0
        self._told: set[object] = set()
        self._link: Link | None = None
        self._session: Session | None = None

    # -- life ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the stream until cancelled; then tell the PMU to stop sending, and close."""
        self._port.state(self._plan.device, DeviceState.CONNECTING, f"{self._plan.url} id {self._plan.id}")
        while True:
            await asyncio.sleep(self._delay_s)
            self._delay_s = min(max(2 * self._delay_s, _FIRST_DELAY_S), self._plan.reconnect_max_s)
            self._lose(await self._converse())

    async def _converse(self) -> str:
        """One conversation from socket to socket; returns why it ended, in words."""
        session = Session(self._plan, self._counters, self._known)
        receive = session.stream if self._plan.url.scheme == "tcp" else session.datagram
        opening = f"{self._plan.url} does not take a connection within {self._plan.timeout_s:g} s"
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                link = await open_link(self._plan.url, lambda data: self._receive(data, receive))
        except TimeoutError:
            return opening
        except OSError as error:
            return f"{self._plan.url}: {error}"
        self._counters["connects"] += 1
        self._link, self._session = link, session
        try:
            self._act(session.begin(self._now()))
            return await self._watch(link, session)
        finally:
            self._act(session.end())
            self._link = self._session = None
            link.close()

    async def _watch(self, link: Link, session: Session) -> str:
        """Until the link is of no more use or silent; a silent listener is marked lost and listens on."""
        while True:
            await asyncio.wait([link.closed], timeout=max(session.deadline - self._now(), 0.0))
            if link.closed.done():
                self._counters["disconnects"] += 1
                return link.closed.result()
            if session.deadline > self._now():
                continue
            why = f"{self._plan.url}: {session.overdue(self._now())}"
            if self._plan.url.commanded:
                return why
            self._lose(why)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # -- what comes ---------------------------------------------------------------------------------------------

    def _receive(self, data: bytes, receive: Callable[[bytes, float], list[Event]]) -> None:
        """Octets of the link. Raises `C37Error` when they end it."""
        try:
            self._act(receive(data, self._now()))
        except Late as error:
            if self._plan.url.commanded:
                raise
            self._lose(f"{self._plan.url}: {error}")

    def _act(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, tuple):
                self._publish(*event)
            elif isinstance(event, Send):
                if self._link is not None:
                    self._link.send(event.data)
            elif isinstance(event, Configured):
                self._configured(event)
            else:
                self._foreign(event)

    def _publish(self, decoder: Decoder, batch: Batch) -> None:
        """One publication per frame, in order: a batch never holds a row twice."""
        if self._state is not DeviceState.ONLINE:
            self._online(batch.times_ns[-1])
        if not len(decoder.rows):
            return
        for values, qualities, time_ns in zip(batch.values, batch.qualities, batch.times_ns, strict=True):
            self._port.publish(decoder.rows, values, qualities, time_ns)

    def _online(self, time_ns: int) -> None:
        self._state = DeviceState.ONLINE
        self._delay_s = _FIRST_DELAY_S
        self._port.state(self._plan.device, DeviceState.ONLINE, f"{self._plan.url} id {self._plan.id}")
        apart_ns = time_ns - self._port.now_ns()
        if abs(apart_ns) > _CLOCKS_DIFFER_NS and self._tell_once("clock"):
            self._port.log.warning(
                "clocks differ", device=self._plan.device, pmu_ahead_s=round(apart_ns / 1e9, 1), used="the PMU's"
            )

    def _configured(self, event: Configured) -> None:
        found = event.configuration
        if not event.first:
            self._port.log.info("configuration changed", device=self._plan.device, pmus=len(found.pmus))
        self._tell_missing(event.missing)
        rate = 1 / found.period_s
        if abs(rate - self._plan.rate) > 0.01 * self._plan.rate and self._tell_once(("rate", rate)):
            self._port.log.warning(
                "rate differs", device=self._plan.device, frames_per_s=rate, expected=self._plan.rate
            )

    def _tell_missing(self, missing: list[Missing]) -> None:
        if not missing:
            return
        rows = np.array([each.binding.row for each in missing], np.uint32)
        self._port.degrade(rows, int(Quality.INVALID))
        fresh = [each for each in missing if self._tell_once((each.binding.row, each.why))]
        for each in fresh[:_ALL_NAMED]:
            self._port.log.warning(
                "channel missing",
                device=self._plan.device,
                point=each.binding.name,
                channel=each.binding.channel.text,
                why=each.why,
            )
        if len(fresh) > _ALL_NAMED:
            self._port.log.warning("channels missing", device=self._plan.device, further=len(fresh) - _ALL_NAMED)

    def _foreign(self, event: Foreign) -> None:
        if self._tell_once(("id", event.id)):
            self._port.log.warning(
                "frames of another id", device=self._plan.device, id=event.id, expected=self._plan.id
            )

    def _tell_once(self, what: object) -> bool:
        fresh = what not in self._told
        self._told.add(what)
        return fresh

    def _lose(self, why: str) -> None:
        if self._state is not DeviceState.LOST:
            self._state = DeviceState.LOST
            self._port.degrade(self._plan.rows, int(Quality.COMM_LOST))
            self._port.state(self._plan.device, DeviceState.LOST, why)

    # -- the rest -----------------------------------------------------------------------------------------------

    async def write(self, write: Write) -> None:
        """Always `WriteRefused`: the protocol carries measurements only."""
        raise WriteRefused(f"{self._plan.device} is a PMU stream: C37.118 carries no set-points or controls")

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """Per device: see `protocols.c37118.session.COUNTERS`."""
        errors = sum(self._counters[name] for name in ERRORS)
        return {self._plan.device: {**self._counters, "errors": errors}}
