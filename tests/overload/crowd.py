"""More connections than any server has room for: opened all at once, idle or half a word each, kept to the end."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

STYLES: Final = ("idle", "half", "gone")
"""Says nothing; says half a word and waits; is cut by its own side as soon as it stands."""
ATONCE: Final = 250
"""Connections begun before the earlier ones are looked after."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server, the addresses from which it is crowded, and half a first word of its protocol."""

    name: str
    port: int
    sources: Sequence[str]
    half: bytes


@dataclass(slots=True)
class Seen:
    """Of one target and one source."""

    opened: int = 0
    failed: int = 0
    closed: int = 0
    """By the gateway."""
    left: int = 0
    """By the crowd itself (`gone`)."""

    @property
    def open(self) -> int:
        """Still standing."""
        return self.opened - self.closed - self.left


@dataclass(slots=True)
class _Each:
    seen: Seen
    style: str
    half: bytes
    connected: bool = False


@dataclass(slots=True)
class Crowd:
    """Runs in a thread; `seen` by (target, source)."""

    targets: Sequence[Target]
    count: int
    seen: dict[tuple[str, str], Seen] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """The crowd comes now and stays for as long as the block lasts."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30.0)

    def summary(self) -> list[dict[str, Any]]:
        """One row for each target and source."""
        return [
            {"target": target, "source": source, "opened": seen.opened, "failed": seen.failed}
            | {"closed by the gateway": seen.closed, "left": seen.left, "open": seen.open}
            for (target, source), seen in self.seen.items()
        ]

    def _run(self) -> None:
        for number, target in ((number, target) for number in range(self.count) for target in self.targets):
            self._begin(target, number)
            if len(self._selector.get_map()) % ATONCE == 0:
                self._look(0.01)
        while not self._over.is_set():
            self._look(0.1)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _begin(self, target: Target, number: int) -> None:
        source = target.sources[number % len(target.sources)]
        seen = self.seen.setdefault((target.name, source), Seen())
        connection = socket.socket()
        connection.setblocking(False)
        try:
            connection.bind((source, 0))
            connection.connect_ex(("127.0.0.1", target.port))
        except OSError as error:
            self._failed(connection, seen, error.errno or 0)
            return
        style = STYLES[number // len(target.sources) % len(STYLES)]
        self._selector.register(connection, selectors.EVENT_WRITE, _Each(seen, style, target.half))

    def _look(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            assert isinstance(key.fileobj, socket.socket)
            (self._heard if key.data.connected else self._connected)(key.fileobj, key.data)

    def _connected(self, connection: socket.socket, each: _Each) -> None:
        if code := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._selector.unregister(connection)
            self._failed(connection, each.seen, code)
            return
        each.connected = True
        each.seen.opened += 1
        if each.style == "gone":
            each.seen.left += 1
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self._end(connection)
            return
        if each.style == "half":
            with contextlib.suppress(OSError):
                connection.send(each.half)
        self._selector.modify(connection, selectors.EVENT_READ, each)

    def _heard(self, connection: socket.socket, each: _Each) -> None:
        try:
            alive = bool(connection.recv(4096))
        except BlockingIOError:
            return
        except OSError:
            alive = False
        if not alive:
            each.seen.closed += 1
            self._end(connection)

    def _failed(self, connection: socket.socket, seen: Seen, code: int) -> None:
        seen.failed += 1
        self.errors[errno.errorcode.get(code, str(code))] += 1
        connection.close()

    def _end(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        connection.close()


class SlowReader:
    """A 104 master that starts data transfer and then reads a byte a second, for ever, coming again when cut off."""

    def __init__(self, port: int, source: str) -> None:
        self.octets = self.connections = 0
        self._port, self._source = port, source
        self._over = threading.Event()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """In a thread, for as long as the block lasts."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(30.0)

    def _run(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                self._read()
            self._over.wait(1.0)

    def _read(self) -> None:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            connection.settimeout(5.0)
            connection.bind((self._source, 0))
            connection.connect(("127.0.0.1", self._port))
            self.connections += 1
            connection.sendall(bytes.fromhex("680407000000"))
            while not self._over.wait(1.0):
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        return
                    self.octets += 1


def half_words() -> dict[str, bytes]:
    """Half of what a client of each protocol says first."""
    return {
        "104": bytes.fromhex("6804"),
        "DNP3": bytes.fromhex("0564"),
        "OPC UA": b"HELF\x20",
        "HMI": b"GET /api/points HTTP/1.1\r\nHo",
    }
