"""Plays the PMU or concentrator of a stream plan, over TCP or UDP, with faults at the turn of a switch.

For demonstration, tests and figures only; it is never part of the gateway's own path. A port of 0 in the plan takes a
free port; `url` then says which.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, cast

import numpy as np

from gateway.points import Rows, Values
from protocols.c37118.configuration import Configuration, Format
from protocols.c37118.configurationframes import encode
from protocols.c37118.encode import data_frame
from protocols.c37118.frame import C37Error, Command, FrameType, Splitter, body_of, build, command_of, head_of
from protocols.c37118.plan import LISTEN, TCP, StreamPlan, Url
from protocols.c37118.played import Picture, configuration_for

_NS: Final = 1_000_000_000
_CATCH_UP: Final = 1
"""Seconds of frames that are sent late after a pause of the machine; older ones are lost."""
_ANNOUNCE_S: Final = 0.5
"""A stream that comes unasked repeats its configuration this often (real devices: every minute)."""
_REQUESTS: Final = {
    Command.SEND_CFG1: FrameType.CFG1,
    Command.SEND_CFG2: FrameType.CFG2,
    Command.SEND_CFG3: FrameType.CFG3,
}


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong from now on. All can be changed while it runs."""

    frozen: bool = False
    """Takes connections and commands, sends nothing."""
    mute: bool = False
    """Answers commands, sends no data."""
    delay_s: float = 0.0
    """Everything comes this much later, in order."""
    lose: float = 0.0
    """This share of data frames is lost (0 to 1)."""
    garbage: bool = False
    """Octets that are no frame instead of each frame."""
    bad_crc: bool = False
    """Frames whose CHK is wrong."""
    wrong_id: bool = False
    """Frames name another stream."""
    repeat: bool = False
    """Every data frame is sent twice."""
    swap: bool = False
    """Data frames are sent in pairs, the later one first."""
    unknown: set[FrameType] = field(default_factory=set)
    """Configurations of these kinds are not answered."""
    fragment: int = 65_000
    """Octets of body in a frame of a CFG-3."""
    time_quality: int = 0
    """The octet before FRACSEC."""
    stat: dict[int, int] = field(default_factory=dict)
    """STAT by index of the PMU, on top of what is bound to it."""
    clock_s: float = 0.0
    """The device's clock is ahead by this."""


class _Client:
    """Somebody the stream goes to."""

    def __init__(self, write: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self.write, self.close = write, close
        self.on_since_ns: int | None = None


class _Peer(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, simulator: PmuSimulator) -> None:
        self._simulator, self._splitter = simulator, Splitter()
        self._client: _Client | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._simulator.running:
            # Accepted just before the listening socket closed.
            self._transport.abort()
            return
        self._client = _Client(self._write, self._transport.abort)
        self._simulator.clients.append(self._client)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._client in self._simulator.clients:
            self._simulator.clients.remove(self._client)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._splitter.feed(data)
        except C37Error:
            if self._transport is not None:
                self._transport.abort()
            return
        for frame in frames:
            if self._client is not None:
                self._simulator.obey(frame, self._client)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class _UdpPeer(asyncio.DatagramProtocol):
    """The UDP socket; a client is an address that has sent a command."""

    def __init__(self, simulator: PmuSimulator) -> None:
        self._simulator = simulator
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[tuple[str, int], _Client] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        try:
            frames = Splitter().feed(data)
        except C37Error:
            return
        for frame in frames:
            self._simulator.obey(frame, self.client(addr))

    def client(self, addr: tuple[str, int]) -> _Client:
        if addr not in self._clients:
            client = self._clients[addr] = _Client(lambda data: self._write(data, addr), lambda: None)
            self._simulator.clients.append(client)
        return self._clients[addr]

    def _write(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, addr)


class PmuSimulator:
    """The device of a `StreamPlan`, on its address (`gateway.contracts.FieldSimulator`).

    `values` holds the engineering values by table row. `shape` is how its numbers travel. `reconfigure` gives it
    another configuration while it runs; a plan of ``udp-listen`` is sent to unasked.
    """

    def __init__(self, plan: StreamPlan, shape: Format | None = None) -> None:
        self._plan = plan
        self.url: Url = plan.url
        self.faults = Faults()
        self.clients: list[_Client] = []
        self.commands: list[Command] = []
        self.values: Values = np.zeros(int(plan.rows.max()) + 1 if len(plan.rows) else 0)
        self.configuration: Configuration = configuration_for(plan, shape)
        self._picture = Picture.of(self.configuration, plan.bindings)
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._ticking: asyncio.Task[None] | None = None
        self.running = False
        self._held: bytes | None = None
        self._random = random.Random(0)  # noqa: S311 which frames a test loses, not a secret

    async def start(self) -> None:
        """Serve at the plan's address. `OSError` when it is taken."""
        loop = asyncio.get_running_loop()
        self.running = True
        if self.url.scheme == TCP:
            self._server = await loop.create_server(
                lambda: _Peer(self), self.url.host, self.url.port, reuse_address=True
            )
            port = self._server.sockets[0].getsockname()[1]
        else:
            port = await self._open_udp(loop)
        self.url = replace(self.url, port=port)
        self._ticking = asyncio.create_task(self._tick())

    async def _open_udp(self, loop: asyncio.AbstractEventLoop) -> int:
        unasked = self.url.scheme == LISTEN
        host = "127.0.0.1" if unasked else self.url.host
        transport, peer = await loop.create_datagram_endpoint(
            lambda: _UdpPeer(self), local_addr=(host, 0 if unasked else self.url.port)
        )
        self._udp = transport
        if not unasked:
            return int(transport.get_extra_info("sockname")[1])
        target = "127.0.0.1" if self.url.host in ("0.0.0.0", "localhost") else self.url.host  # noqa: S104
        peer.client((target, self.url.port)).on_since_ns = 0
        return self.url.port

    async def stop(self) -> None:
        """Close every socket; `start` serves the same port again."""
        self.running = False
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            await asyncio.wait([ticking])
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self.cut()
        if server is not None:
            await server.wait_closed()
        udp, self._udp = self._udp, None
        if udp is not None:
            udp.close()
            await asyncio.sleep(0)

    def cut(self) -> None:
        """Drop every connection."""
        clients, self.clients = self.clients, []
        for client in clients:
            client.close()

    def set(self, rows: Rows, values: Values) -> None:
        """What the PMUs measure from now on, in engineering units."""
        self.values[rows] = values
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            self._picture.paint(row, value)

    def written(self) -> list[tuple[int, float]]:
        """None ever: the protocol carries measurements only."""
        return []

    def reconfigure(self, found: Configuration) -> None:
        """From the next frame on it carries these channels."""
        self.configuration = found
        self._picture = Picture.of(found, self._plan.bindings)
        self.set(self._plan.rows, self.values[self._plan.rows])

    # -- commands -----------------------------------------------------------------------------------------------

    def obey(self, frame: bytes, client: _Client) -> None:
        """Do what a command frame says."""
        if frame[1] >> 4 != FrameType.COMMAND or self.faults.frozen:
            return
        what, _ = command_of(frame)
        if what not in set(Command) or frame[4] << 8 | frame[5] != self._plan.id:
            return
        order = Command(what)
        self.commands.append(order)
        if order in _REQUESTS:
            self._send_configuration(_REQUESTS[order], client)
        elif order is Command.DATA_ON:
            client.on_since_ns = time.time_ns()
        elif order is Command.DATA_OFF:
            client.on_since_ns = None

    def _send_configuration(self, kind: FrameType, client: _Client) -> None:
        if kind in self.faults.unknown:
            return
        found = replace(self.configuration, type=kind)
        for frame in encode(found, soc=time.time_ns() // _NS, most=self.faults.fragment):
            self._send(frame, client)

    # -- data ---------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        """A frame at each whole multiple of the period, counted from the beginning of the second."""
        period_s = self.configuration.period_s
        last = int(time.time() / period_s)
        announced = 0.0
        while True:
            await asyncio.sleep(period_s - time.time() % period_s)
            now_s = time.time()
            if self.url.scheme == LISTEN and now_s - announced >= _ANNOUNCE_S:
                announced = now_s
                for client in self.clients:
                    self._send_configuration(self._plan.configuration, client)
            number = int(now_s / period_s)
            for each in range(max(last + 1, number - int(_CATCH_UP / period_s)), number + 1):
                self._send_data(each)
            last = max(number, last)

    def _send_data(self, number: int) -> None:
        faults = self.faults
        frame, stamp_ns = self._frame(number)
        if faults.mute or (faults.lose and self._random.random() < faults.lose):
            return
        frames = [frame] * (2 if faults.repeat else 1)
        if faults.swap:
            held, self._held = self._held, None if self._held else frame
            frames = [frame, held] if held else []
        for client in self.clients:
            if client.on_since_ns is not None and stamp_ns >= client.on_since_ns:
                for each in frames:
                    self._send(each, client)

    def _frame(self, number: int) -> tuple[bytes, int]:
        """The data frame of a multiple of the period, and its true time."""
        found, faults = self.configuration, self.faults
        soc, part = divmod(number, found.rate) if found.rate > 0 else (number * -found.rate, 0)
        fraction = round(part * found.time_base / found.rate) if found.rate > 0 else 0
        stamp_ns = soc * _NS + fraction * _NS // found.time_base
        measured = [
            replace(each, stat=each.stat | faults.stat.get(index, 0))
            for index, each in enumerate(self._picture.measured)
        ]
        soc += round(faults.clock_s)
        return data_frame(found, measured, soc=soc, fraction=fraction, time_quality=faults.time_quality), stamp_ns

    def _send(self, frame: bytes, client: _Client) -> None:
        faults = self.faults
        if faults.frozen:
            return
        if faults.garbage:
            frame = b"\xde\xad\xbe\xef" * 4
        if faults.bad_crc:
            frame = frame[:-1] + bytes((frame[-1] ^ 1,))
        if faults.wrong_id:
            frame = self._renamed(frame)
        if faults.delay_s:
            asyncio.get_running_loop().call_later(faults.delay_s, client.write, frame)
        else:
            client.write(frame)

    def _renamed(self, frame: bytes) -> bytes:
        head = replace(head_of(frame), id=self._plan.id ^ 1)
        return build(head, body_of(frame))
