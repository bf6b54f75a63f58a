"""TCP relays: one for every master and every device, each with its own address towards the gateway.

A relay passes bytes on. It can be `CUT` (what is open is reset, what comes is reset) or `HELD` (nothing passes, nobody
is told; when it ends, what waited passes on, or everything is reset where the line carries questions and answers that
are too late by then).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Final

RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing sends RST and forgets what was not sent."""


class Passing(Enum):
    """What a relay does."""

    OPEN = "open"
    HELD = "held"
    CUT = "cut"


class _End(asyncio.Protocol):
    """One side of a connection; `other` is where its bytes go."""

    def __init__(self, relay: Relay, other: _End | None = None) -> None:
        self._relay, self.other = relay, other
        self.transport: asyncio.Transport | None = None
        self.waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._relay.ends.add(self)
        if self._relay.passing is Passing.HELD:
            transport.pause_reading()
        if self.other is None:
            self._relay.came(self)

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self.waiting.append(data)
        else:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and self._relay.passing is Passing.OPEN:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._relay.ends.discard(self)
        if self.other is not None:
            self.other.reset()

    def reset(self) -> None:
        """Close it with RST."""
        if self.transport is not None:
            self.transport.abort()


@dataclass(slots=True)
class Relay:
    """From `port` to `target` on 127.0.0.1, there coming from `address`."""

    name: str
    port: int
    target: int
    address: str = "127.0.0.1"
    late_is_lost: bool = False
    """Whether everything is reset when holding ends."""
    passing: Passing = Passing.OPEN
    connections: int = 0
    ends: set[_End] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.get_running_loop().create_server(partial(_End, self), "127.0.0.1", self.port)

    async def stop(self) -> None:
        """Hold nothing any more."""
        if self._server is not None:
            self._server.close()
        for end in list(self.ends):
            end.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what was reset is closed with the next turn

    def came(self, end: _End) -> None:
        """Somebody connected: go on to the target, or not."""
        if self.passing is Passing.CUT:
            end.reset()
            return
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._connect(end))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, end: _End) -> None:
        while self.passing is Passing.HELD:
            await asyncio.sleep(0.1)
        try:
            _, far = await asyncio.get_running_loop().create_connection(
                partial(_End, self, end), "127.0.0.1", self.target, local_addr=(self.address, 0)
            )
        except OSError:
            end.reset()
            return
        if end not in self.ends or self.passing is Passing.CUT:
            far.reset()
            end.reset()
            return
        end.other = far
        for data in end.waiting:
            assert far.transport is not None
            far.transport.write(data)
        end.waiting.clear()

    def turn(self, passing: Passing) -> None:
        """Do something else from now on."""
        was, self.passing = self.passing, passing
        if passing is Passing.CUT or (was is Passing.HELD and self.late_is_lost):
            for end in list(self.ends):
                end.reset()
            return
        for end in self.ends:
            if end.transport is not None and not end.transport.is_closing():
                with contextlib.suppress(RuntimeError):
                    (end.transport.pause_reading if passing is Passing.HELD else end.transport.resume_reading)()


class Relays:
    """All relays of a run, in a thread with a loop of its own."""

    def __init__(self, relays: list[Relay]) -> None:
        self.by_name = {relay.name: relay for relay in relays}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Relays:
        self._thread.start()
        for relay in self.by_name.values():
            asyncio.run_coroutine_threadsafe(relay.start(), self._loop).result(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        for relay in self.by_name.values():
            asyncio.run_coroutine_threadsafe(relay.stop(), self._loop).result(10.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10.0)
        self._loop.close()

    def turn(self, name: str, passing: Passing) -> None:
        """What the relay of this name does from now on; in force when this returns."""
        done = threading.Event()

        def do() -> None:
            self.by_name[name].turn(passing)
            done.set()

        self._loop.call_soon_threadsafe(do)
        done.wait(10.0)
