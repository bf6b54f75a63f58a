"""A lean IEC 60870-5-104 master in a process of its own: it acknowledges and counts while it runs, and reads later.

Whatever it drives, the gateway or a peer, is measured by the same octets. Orders are JSON lines on standard input, each
answered by one line on standard output; octets are taken in between as well::

    python -m bench.iec104_master PORT [SOURCE]
    > {"ready": true}
    < {"do": "clear"}                                            forget what came so far
    < {"do": "events", "expect": 1000, "silence_s": 1.0, "timeout_s": 60}
    > {"received": 1000, "distinct": 1000, "ordered": true, "first_ns": 1, "last_ns": 2}
    < {"do": "interrogate", "timeout_s": 60}
    > {"points": 100, "distinct": 100, "terminated": true, "seconds": 0.01, "asdus": 4}
    < {"do": "arrivals"}
    > {"arrivals": [[value, time_ns], ...]}

The value of an event is its number. Times are of the machine's monotonic clock.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

STARTDT_ACT: Final = bytes.fromhex("680407000000")
STARTDT_CON: Final = bytes.fromhex("68040b000000")
TESTFR_ACT: Final = bytes.fromhex("680443000000")
TESTFR_CON: Final = bytes.fromhex("680483000000")
INTERROGATE: Final = bytes.fromhex("64010600010000000014")
W: Final = 8
IDLE_S: Final = 0.2
"""After so long without octets the rest is acknowledged."""
SIZES: Final = {13: 5, 36: 12, 14: 8}
"""Octets of one element with its time tag, of the types that are read."""
SPONTANEOUS, TERMINATED, INTERROGATED = 3, 10, 20


class Master:
    """One started connection."""

    def __init__(self, port: int, source: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10.0, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._sent = self._received = self._acknowledged = 0
        self.clear()
        self._started = False
        self.socket.sendall(STARTDT_ACT)
        while not self._started:
            self.take()

    def clear(self) -> None:
        """Forget what came so far."""
        self.chunks: list[tuple[int, bytes]] = []
        self.objects = 0
        self.heard_ns = 0
        self.terminated = False

    def take(self) -> None:
        """Octets are there: count, keep, acknowledge. Raises `ConnectionError` at the end of the stream."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the station closed the connection")
        now_ns = time.monotonic_ns()
        data = self._rest + data
        end = self._walk(data)
        self._rest = data[end:]
        if end:
            self.chunks.append((now_ns, data[:end]))
            self.heard_ns = now_ns
        if self._received - self._acknowledged >= W:
            self.acknowledge()

    def _walk(self, data: bytes) -> int:
        """Count objects of complete I frames; returns where the last complete frame ends."""
        at, length, received = 0, len(data), 0
        while at + 6 <= length:
            end = at + 2 + data[at + 1]
            if end > length:
                break
            if not data[at + 2] & 1:
                received += 1
                if data[at + 6] in SIZES:
                    self.objects += data[at + 7] & 0x7F
                elif data[at + 6] == 100 and data[at + 8] & 0x3F == TERMINATED:
                    self.terminated = True
            elif data[at:end] == TESTFR_ACT:
                self.socket.sendall(TESTFR_CON)
            elif data[at:end] == STARTDT_CON:
                self._started = True
            at = end
        self._received += received
        return at

    def acknowledge(self) -> None:
        """All that came."""
        if self._received != self._acknowledged:
            self._acknowledged = self._received
            self.socket.sendall(struct.pack("<BBHH", 0x68, 4, 1, (self._received & 0x7FFF) << 1))

    def send(self, asdu: bytes) -> None:
        """As an I frame."""
        self._acknowledged = self._received
        head = struct.pack("<BBHH", 0x68, 4 + len(asdu), (self._sent & 0x7FFF) << 1, (self._received & 0x7FFF) << 1)
        self._sent += 1
        self.socket.sendall(head + asdu)

    def read(self, cause: int) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """ioa, value and time of arrival of every object that came with this cause, in order."""
        found = list(self._read(cause))
        if not found:
            empty = np.empty(0, np.int64)
            return empty, np.empty(0, np.float32), empty
        ioas, values, times = zip(*found, strict=True)
        return np.concatenate(ioas), np.concatenate(values), np.concatenate(times)

    def _read(self, cause: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]]:
        for time_ns, data in self.chunks:
            at = 0
            while at < len(data):
                end = at + 2 + data[at + 1]
                if not data[at + 2] & 1 and data[at + 6] in SIZES and data[at + 8] & 0x3F == cause:
                    ioas, values = _objects(data[at + 6 : end])
                    yield ioas, values, np.full(len(ioas), time_ns)
                at = end


def _objects(asdu: bytes) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    size, count = SIZES[asdu[0]], asdu[1] & 0x7F
    if asdu[1] & 0x80:
        table = np.frombuffer(asdu, np.uint8, count * size, 9).reshape(count, size)
        ioas = int.from_bytes(asdu[6:9], "little") + np.arange(count)
    else:
        whole = np.frombuffer(asdu, np.uint8, count * (size + 3), 6).reshape(count, size + 3)
        ioas, table = whole[:, :3].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16]), whole[:, 3:]
    return ioas, np.ascontiguousarray(table[:, :4]).view("<f4").ravel()


class Orders:
    """Standard input and the socket, whichever has something."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self._buffer = b""

    def run(self) -> None:
        """Until standard input ends."""
        handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "clear": self._clear,
            "events": self._events,
            "interrogate": self._interrogate,
            "arrivals": self._arrivals,
        }
        while (order := self._next()) is not None:
            print(json.dumps(handlers[order["do"]](order)), flush=True)

    def _next(self) -> dict[str, Any] | None:
        while b"\n" not in self._buffer:
            if 0 in self._ready(IDLE_S, (0,)):
                data = os.read(0, 65_536)
                if not data:
                    return None
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        order: dict[str, Any] = json.loads(line)
        return order

    def _ready(self, timeout_s: float, also: tuple[int, ...] = ()) -> list[Any]:
        ready = select.select([self.master.socket, *also], [], [], timeout_s)[0]
        if self.master.socket in ready:
            self.master.take()
        elif not ready:
            self.master.acknowledge()
        return ready

    def _until(self, done: Callable[[], bool], timeout_s: float, silence_s: float) -> None:
        begin = time.monotonic()
        quiet = begin
        while not done():
            now = time.monotonic()
            if self._ready(min(IDLE_S, silence_s)):
                quiet = now
            if now - begin > timeout_s or now - quiet > silence_s:
                return

    def _clear(self, _order: dict[str, Any]) -> dict[str, Any]:
        self.master.clear()
        return {"cleared": True}

    def _events(self, order: dict[str, Any]) -> dict[str, Any]:
        master, expected = self.master, int(order["expect"])
        self._until(lambda: master.objects >= expected, order["timeout_s"], order["silence_s"])
        _, values, times = master.read(SPONTANEOUS)
        numbers = values.astype(np.int64)
        return {
            "received": len(numbers),
            "distinct": len(np.unique(numbers)),
            "ordered": bool(np.all(np.diff(numbers) > 0)),
            "first_ns": int(times[0]) if len(times) else 0,
            "last_ns": int(times[-1]) if len(times) else 0,
        }

    def _interrogate(self, order: dict[str, Any]) -> dict[str, Any]:
        master = self.master
        master.clear()
        begin_ns = time.monotonic_ns()
        master.send(INTERROGATE)
        self._until(lambda: master.terminated, order["timeout_s"], order["timeout_s"])
        end_ns = master.heard_ns
        ioas, _, _ = master.read(INTERROGATED)
        return {
            "points": len(ioas),
            "distinct": len(np.unique(ioas)),
            "terminated": master.terminated,
            "seconds": (end_ns - begin_ns) / 1e9,
        }

    def _arrivals(self, _order: dict[str, Any]) -> dict[str, Any]:
        _, values, times = self.master.read(SPONTANEOUS)
        return {"arrivals": [[int(value), int(at)] for value, at in zip(values, times, strict=True)]}


def main() -> None:
    """One connection; ends with standard input."""
    master = Master(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1")
    print(json.dumps({"ready": True}), flush=True)
    Orders(master).run()


if __name__ == "__main__":
    main()
