"""A small IEC 60870-5-104 master over a blocking socket: enough to measure with, and independent of the gateway's code.

It confirms what it gets (w = 8), answers test frames, and knows measured values (types 13 and 36), whatever else
comes is counted and handed on as bytes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

STARTDT_ACT: Final = bytes.fromhex("680407000000")
STARTDT_CON: Final = bytes.fromhex("68040b000000")
TESTFR_ACT: Final = bytes.fromhex("680443000000")
TESTFR_CON: Final = bytes.fromhex("680483000000")

M_ME_NC_1, M_ME_TF_1, C_SE_NC_1, C_IC_NA_1 = 13, 36, 50, 100
SPONTANEOUS, ACTIVATION, ACTIVATION_CON, ACTIVATION_TERM, INTERROGATED = 3, 6, 7, 10, 20
GOOD: Final = 0

_FIELDS = [("ioa", "u1", 3), ("value", "<f4"), ("quality", "u1")]
OBJECT: Final = {
    M_ME_NC_1: np.dtype(_FIELDS),
    M_ME_TF_1: np.dtype([*_FIELDS, ("time", "u1", 7)]),
}
W: Final = 8


@dataclass(frozen=True, slots=True)
class Values:
    """Measured values of one ASDU, with the monotonic time at which its bytes were taken from the socket."""

    type: int
    cause: int
    ioas: NDArray[np.int64]
    values: NDArray[np.float32]
    qualities: NDArray[np.uint8]
    time_ns: int


@dataclass(slots=True)
class Counts:
    """What has come so far."""

    asdus: int = 0
    values: int = 0


@dataclass(slots=True)
class Master:
    """One connection, started. `on_values` gets measured values, `on_other` (type, cause, bytes of the ASDU, time)."""

    connection: socket.socket
    on_values: Callable[[Values], None] | None = None
    on_other: Callable[[int, int, bytes, int], None] | None = None
    counts: Counts = field(default_factory=Counts)
    _buffer: bytes = b""
    _sent: int = 0
    _received: int = 0
    _confirmed: int = 0
    _started: bool = False

    def __enter__(self) -> Master:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.connection.close()

    def start(self, timeout_s: float = 5.0) -> None:
        """STARTDT. Raises `TimeoutError` without a confirmation."""
        self.connection.sendall(STARTDT_ACT)
        self.wait(lambda: self._started, timeout_s)

    def interrogate(self, common_address: int = 1) -> None:
        """Ask for everything (station interrogation)."""
        self.send(struct.pack("<BBBBHBBBB", C_IC_NA_1, 1, ACTIVATION, 0, common_address, 0, 0, 0, 20))

    def set_point(self, ioa: int, value: float, common_address: int = 1) -> int:
        """Execute C_SE_NC_1; returns the monotonic time in ns just before the frame left."""
        asdu = struct.pack("<BBBBH", C_SE_NC_1, 1, ACTIVATION, 0, common_address)
        asdu += ioa.to_bytes(3, "little") + struct.pack("<fB", value, 0)
        now_ns = time.monotonic_ns()
        self.send(asdu)
        return now_ns

    def send(self, asdu: bytes) -> None:
        """Send an ASDU as an I-frame."""
        head = struct.pack("<BBHH", 0x68, 4 + len(asdu), self._sent << 1, self._received << 1)
        self._sent = (self._sent + 1) & 0x7FFF
        self._confirmed = self._received
        self.connection.sendall(head + asdu)

    def wait(self, until: Callable[[], bool], timeout_s: float) -> None:
        """Receive until `until` holds. Raises `TimeoutError` when it does not come to that."""
        end = time.monotonic() + timeout_s
        while not until():
            left_s = end - time.monotonic()
            if left_s <= 0.0:
                raise TimeoutError(f"the gateway did not answer within {timeout_s} s")
            self._receive(left_s)

    def pump(self, duration_s: float) -> None:
        """Receive for this long."""
        end = time.monotonic() + duration_s
        while (left_s := end - time.monotonic()) > 0.0:
            self._receive(left_s)

    def _receive(self, timeout_s: float) -> None:
        if select.select([self.connection], [], [], timeout_s)[0]:
            self._take()

    def _take(self) -> None:
        data = self.connection.recv(1 << 18)
        if not data:
            raise ConnectionError("the gateway closed the connection")
        now_ns = time.monotonic_ns()
        self._buffer += data
        at = 0
        while len(self._buffer) - at >= 6 and len(self._buffer) - at >= 2 + self._buffer[at + 1]:
            end = at + 2 + self._buffer[at + 1]
            self._frame(self._buffer[at:end], now_ns)
            at = end
        self._buffer = self._buffer[at:]

    def _frame(self, frame: bytes, now_ns: int) -> None:
        if not frame[2] & 1:
            self._received = (self._received + 1) & 0x7FFF
            self._asdu(frame[6:], now_ns)
            if (self._received - self._confirmed) & 0x7FFF >= W:
                self._confirm()
        elif frame == TESTFR_ACT:
            self.connection.sendall(TESTFR_CON)
        elif frame == STARTDT_CON:
            self._started = True

    def _confirm(self) -> None:
        self._confirmed = self._received
        self.connection.sendall(struct.pack("<BBHH", 0x68, 4, 1, self._received << 1))

    def _asdu(self, asdu: bytes, now_ns: int) -> None:
        kind, count, cause = asdu[0], asdu[1], asdu[2] & 0x3F
        self.counts.asdus += 1
        if kind not in OBJECT:
            if self.on_other is not None:
                self.on_other(kind, cause, asdu, now_ns)
            return
        values = _measured(kind, cause, count, asdu[6:], now_ns)
        self.counts.values += len(values.ioas)
        if self.on_values is not None:
            self.on_values(values)


def _measured(kind: int, cause: int, count: int, body: bytes, now_ns: int) -> Values:
    """Both forms: one address and its successors (SQ = 1), or an address with each value."""
    number = count & 0x7F
    if count & 0x80:
        element = np.dtype(OBJECT[kind].descr[1:])
        found = np.frombuffer(body, element, number, 3)
        ioas = int.from_bytes(body[:3], "little") + np.arange(number, dtype=np.int64)
    else:
        found = np.frombuffer(body, OBJECT[kind], number)
        ioas = found["ioa"].astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
    return Values(kind, cause, ioas, found["value"], found["quality"], now_ns)


def connect(port: int, timeout_s: float, check: Callable[[], None] = lambda: None, source: str = "127.0.0.1") -> Master:
    """Connect as soon as the port is open; `check` may raise when waiting has become pointless."""
    end = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(ConnectionError):
            connection = socket.create_connection(("127.0.0.1", port), timeout=5.0, source_address=(source, 0))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return Master(connection)
        check()
        if time.monotonic() > end:
            raise TimeoutError(f"port {port} did not open within {timeout_s} s")
        time.sleep(0.01)
