"""A controlling station of IEC 60870-5-104 that loses nothing of its own: a socket and this file, no library.

c104 drops its callback after an exception, leaks with raw callbacks and now and then stays stopped after a connect, and
says not when it acknowledges: what it missed could not be told from what the gateway lost. Here a frame is written down
and handed to the system before it is acknowledged: what a cut takes away was not acknowledged, and must come again.

Quality in the ledger: QDS or SIQ without the value's bit (IV 0x80, NT 0x40, SB 0x20, BL 0x10, OV 0x01), and
`TIME_INVALID`. Events (cause 3) are `EVENT`; interrogated, cyclic and background values are `ANSWERED`. Another
information object than a point of the plan is the gateway's word on lost events, where it is not 0.
"""

from __future__ import annotations

import calendar
import functools
import select
import socket
import struct
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.soak.ledger import ANSWERED, EVENT, LOST_TOLD, RECORD, Records
from tests.soak.receivers.commander import CONFIRMED, REFUSED, UNKNOWN, Commander, Order
from tests.soak.receivers.process import TIME_INVALID, Receiver, at_end

STARTDT_ACT, STARTDT_CON = bytes.fromhex("680407000000"), bytes.fromhex("68040b000000")
TESTFR_ACT, TESTFR_CON = bytes.fromhex("680443000000"), bytes.fromhex("680483000000")
M_SP_NA, M_ME_NC, M_SP_TB, M_ME_TF, C_SE_NC, C_IC_NA, M_EI_NA = 1, 13, 30, 36, 50, 100, 70
SPONTANEOUS, ACTIVATION, CONFIRMATION, TERMINATION = 3, 6, 7, 10
NEGATIVE: Final = 0x40
SELECT: Final = 0x80
COMMON_ADDRESS: Final = 1
W, T1_S, T2_S, T3_S = 8, 15.0, 1.0, 10.0
RECONNECT_S: Final = 0.2
_POINT, _FLOAT, _TIME = ("quality", "u1"), ("value", "<f4"), ("ms", "<u2")
_CLOCK = [_TIME, ("minute", "u1"), ("hour", "u1"), ("day", "u1"), ("month", "u1"), ("year", "u1")]
ELEMENTS: Final = {
    M_SP_NA: [_POINT],
    M_SP_TB: [_POINT, *_CLOCK],
    M_ME_NC: [_FLOAT, _POINT],
    M_ME_TF: [_FLOAT, _POINT, *_CLOCK],
}
ALONE: Final = {kind: np.dtype(fields) for kind, fields in ELEMENTS.items()}
ADDRESSED: Final = {kind: np.dtype([("ioa", "u1", 3), *fields]) for kind, fields in ELEMENTS.items()}
_WEIGHTS: Final = np.array([1, 1 << 8, 1 << 16])


@functools.cache
def _midnight_ns(year: int, month: int, day: int) -> int:
    return calendar.timegm((2000 + year, month, day, 0, 0, 0)) * 1_000_000_000


def _times_ns(found: NDArray[np.void]) -> NDArray[np.int64]:
    """CP56Time2a, UTC."""
    dates = zip(
        (found["year"] & 127).tolist(), (found["month"] & 15).tolist(), (found["day"] & 31).tolist(), strict=True
    )
    midnights = np.array([_midnight_ns(*date) for date in dates], np.int64)
    minutes = (found["hour"] & 31).astype(np.int64) * 60 + (found["minute"] & 63)
    return midnights + (minutes * 60_000 + found["ms"]) * 1_000_000


def records(asdu: bytes, now_ns: int) -> Records:
    """The values of one ASDU, `point` being the object's address less 1; none of another type."""
    kind, number, sequence, cause = asdu[0], asdu[1] & 0x7F, asdu[1] > 0x7F, asdu[2] & 0x3F
    if kind not in ELEMENTS:
        return np.zeros(0, RECORD)
    if sequence:
        found = np.frombuffer(asdu, ALONE[kind], number, 9)
        ioas = int.from_bytes(asdu[6:9], "little") + np.arange(number)
    else:
        found = np.frombuffer(asdu, ADDRESSED[kind], number, 6)
        ioas = found["ioa"].astype(np.int64) @ _WEIGHTS
    told = np.zeros(number, RECORD)
    single = kind in (M_SP_NA, M_SP_TB)
    told["point"], told["kind"] = ioas - 1, EVENT if cause == SPONTANEOUS else ANSWERED
    told["value"] = found["quality"] & 1 if single else found["value"]
    told["quality"] = found["quality"] & (0xF0 if single else 0xF1)
    told["at_ns"] = now_ns
    if kind in (M_SP_TB, M_ME_TF):
        told["time_ns"] = _times_ns(found)
        told["quality"] |= np.where(found["minute"] & 0x80, TIME_INVALID, 0)
    return told


class Link:
    """One connection until it ends; every end is a `ConnectionError`."""

    def __init__(self, receiver: Receiver, commander: Commander, end: socket.socket) -> None:
        self._receiver, self._commander, self._end = receiver, commander, end
        self._socket = socket.create_connection(("127.0.0.1", receiver.peer.port), timeout=5.0)
        self._socket.settimeout(5.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._sent = self._received = self._acknowledged = self._heard_to = 0
        self._fresh: list[Records] = []
        now = time.monotonic()
        self._heard_s = self._oldest_s = self._asked_s = now
        self._test_s = 0.0

    def run(self) -> None:
        """STARTDT, interrogation, then whatever comes; returns when the process is to end."""
        self._socket.sendall(STARTDT_ACT)
        try:
            while True:
                wait_s = min(self._commander.next_s(), T2_S / 2)
                ready, _, _ = select.select([self._socket, self._end], [], [], wait_s)
                if self._end in ready:
                    self._write_down()
                    self._acknowledge()
                    return
                if ready:
                    self._take()
                self._on_time(time.monotonic())
                if self._receiver.up:
                    for order in self._commander.due():
                        self._command(order)
        finally:
            self._socket.close()

    def _take(self) -> None:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("closed by the gateway")
        now_ns, at = time.time_ns(), 0
        self._heard_s, self._test_s = time.monotonic(), 0.0
        data = self._buffer + data
        while len(data) - at >= 6 and len(data) - at >= 2 + data[at + 1]:
            if data[at] != 0x68:
                raise ConnectionError(f"no start octet: {data[at : at + 8].hex()}")
            end = at + 2 + data[at + 1]
            self._frame(data[at:end], now_ns)
            at = end
        self._buffer = data[at:]
        self._write_down()

    def _frame(self, frame: bytes, now_ns: int) -> None:
        if not frame[2] & 1:
            if int.from_bytes(frame[2:4], "little") >> 1 != self._received:
                self._receiver.counts["sequence errors"] += 1
                raise ConnectionError("N(S) out of sequence")
            if self._received == self._acknowledged:
                self._oldest_s = time.monotonic()
            self._received = (self._received + 1) & 0x7FFF
            self._heard_to = int.from_bytes(frame[4:6], "little") >> 1
            self._asdu(frame[6:], now_ns)
            if (self._received - self._acknowledged) & 0x7FFF >= W:
                self._write_down()
                self._acknowledge()
        elif frame[2] & 3 == 1:
            self._heard_to = int.from_bytes(frame[4:6], "little") >> 1
        elif frame == TESTFR_ACT:
            self._socket.sendall(TESTFR_CON)
        elif frame == STARTDT_CON:
            self._receiver.link_up()
            self._interrogate()

    def _write_down(self) -> None:
        """Before any acknowledgement."""
        if self._fresh:
            self._receiver.ledger.extend(np.concatenate(self._fresh))
            self._receiver.ledger.flush()
            self._fresh.clear()

    def _acknowledge(self) -> None:
        if self._acknowledged != self._received:
            self._acknowledged = self._received
            self._socket.sendall(struct.pack("<BBHH", 0x68, 4, 1, self._received << 1))

    def _on_time(self, now: float) -> None:
        if self._acknowledged != self._received and now - self._oldest_s >= T2_S:
            self._acknowledge()
        if self._heard_to != self._sent and now - self._asked_s > T1_S:
            raise ConnectionError("t1: a command was not acknowledged")
        if self._test_s:
            if now - self._test_s > T1_S:
                raise ConnectionError("t1: no TESTFR con")
        elif now - self._heard_s > T3_S:
            self._test_s = now
            self._socket.sendall(TESTFR_ACT)

    def _send(self, asdu: bytes) -> None:
        self._write_down()
        if self._heard_to == self._sent:
            self._asked_s = time.monotonic()
        head = struct.pack("<BBHH", 0x68, 4 + len(asdu), self._sent << 1, self._received << 1)
        self._sent, self._acknowledged = (self._sent + 1) & 0x7FFF, self._received
        self._socket.sendall(head + asdu)

    def _interrogate(self) -> None:
        self._send(struct.pack("<BBBBHBBBB", C_IC_NA, 1, ACTIVATION, 0, COMMON_ADDRESS, 0, 0, 0, 20))

    def _command(self, order: Order, qualifier: int | None = None) -> None:
        qos = (SELECT if order.select else 0) if qualifier is None else qualifier
        ioa = self._receiver.plan.setpoint_ioa(order.point)
        head = struct.pack("<BBBBH", C_SE_NC, 1, ACTIVATION, 0, COMMON_ADDRESS)
        self._send(head + ioa.to_bytes(3, "little") + struct.pack("<fB", order.value, qos))

    def _asdu(self, asdu: bytes, now_ns: int) -> None:
        if asdu[0] == C_SE_NC:
            self._answer(asdu)
        elif asdu[0] in ELEMENTS:
            told = records(asdu, now_ns)
            known = told["point"] < self._receiver.plan.points
            self._fresh.append(told[known])
            self._receiver.counts["values"] += int(known.sum())
            for other in told[~known]:
                if other["value"]:
                    self._receiver.ledger.mark(LOST_TOLD, float(other["value"]))
        elif asdu[0] not in (C_IC_NA, M_EI_NA):
            self._receiver.counts[f"type {asdu[0]}"] += 1

    def _answer(self, asdu: bytes) -> None:
        """Confirmed is what was terminated: positive; a negative termination leaves open what the device did."""
        cause, negative = asdu[2] & 0x3F, bool(asdu[2] & NEGATIVE)
        point = self._receiver.plan
        number = int.from_bytes(asdu[6:9], "little") - point.setpoint_ioa(0)
        value, qos = struct.unpack_from("<fB", asdu, 9)
        order = self._commander.pending.get(number)
        if order is None or order.value != value:
            self._receiver.counts["answers to nothing"] += 1
        elif negative and cause == TERMINATION:
            self._commander.settle(order, UNKNOWN, "terminated negatively")
        elif negative:
            self._commander.settle(order, REFUSED, f"cause {cause}{' of the select' if qos & SELECT else ''}")
        elif cause == CONFIRMATION and qos & SELECT:
            self._command(order, 0)
        elif cause == TERMINATION:
            self._commander.settle(order, CONFIRMED)


def main() -> None:
    receiver = Receiver.from_arguments()
    commander, end = Commander(receiver.plan, receiver.peer), at_end()
    while not receiver.ended:
        try:
            Link(receiver, commander, end).run()
            receiver.ended = True
        except OSError as error:
            receiver.trouble(error)
        commander.link_lost()
        receiver.link_lost()
        if not receiver.ended:
            receiver.ended = bool(select.select([end], [], [], RECONNECT_S)[0])
    commander.close()
    receiver.finish()


if __name__ == "__main__":
    main()
