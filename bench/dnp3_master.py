"""A lean DNP3 master in a process of its own: it confirms and counts while it runs, and reads values later.

Whatever it drives, the gateway or a peer, is measured by the same octets. Orders are JSON lines on standard input, each
answered by one line on standard output; octets are taken in between as well::

    python -m bench.dnp3_master PORT
    > {"ready": true}
    < {"do": "read", "objects": "1e0506", "rounds": 3}            seconds of each round, what the last one brought
    > {"seconds": [0.01, ...], "octets": 59192, "fragments": 25, "objects": {"g30v5": 10000}}
    < {"do": "poll", "expect": 1000, "silence_s": 1.0, "timeout_s": 60}         class 1, as soon as the last is done
    > {"received": 1000, "distinct": 1000, "ordered": true, "first_ns": 1, "last_ns": 2, "polls": 3}
    < {"do": "enable"}                                            unsolicited responses of class 1
    < {"do": "unsolicited", "expect": 1000, "silence_s": 1.0, "timeout_s": 60}

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
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MASTER, OUTSTATION = 1, 10
DIR_PRM_DATA: Final = 0xC4
READ, ENABLE, CONFIRM, RESPONSE, UNSOLICITED = 1, 20, 0, 129, 130
FIR, FIN, CON, UNS = 0x80, 0x40, 0x20, 0x10
CLASS_1: Final = bytes.fromhex("3c0206")
IDLE_S: Final = 0.2
EMPTY_PAUSE_S: Final = 0.001
"""Between two polls when the first brought nothing."""
BITS: Final = {(1, 1): 1, (3, 1): 2, (10, 1): 1}
SIZES: Final = {
    **{(group, variation): 1 for group in (1, 3, 10) for variation in (2,)},
    **{(group, 1): 5 for group in (20, 21, 30, 40)},
    **{(group, variation): size for group in (30, 40) for variation, size in ((2, 3), (5, 5), (6, 9))},
    (40, 3): 5,
    (20, 5): 4,
    (21, 5): 11,
    (21, 9): 4,
    (50, 4): 11,
    (32, 1): 5,
    (32, 3): 11,
    (32, 5): 5,
    (32, 7): 11,
}
"""Octets of one object, of those that are read here. Of g110 the variation is the size."""
EVENT_VALUES: Final = {1: "<i4", 3: "<i4", 5: "<f4", 7: "<f4"}
"""Numbers in the events of g32, behind the flags."""


def _crc_table() -> list[int]:
    table = []
    for octet in range(256):
        register = octet
        for _ in range(8):
            register = (register >> 1) ^ 0xA6BC if register & 1 else register >> 1
        table.append(register)
    return table


_CRC: Final = _crc_table()


def _crc(data: bytes) -> bytes:
    register = 0
    for octet in data:
        register = (register >> 8) ^ _CRC[(register ^ octet) & 0xFF]
    return struct.pack("<H", register ^ 0xFFFF)


def _frame(data: bytes, master: int) -> bytes:
    head = struct.pack("<BBBBHH", 5, 0x64, 5 + len(data), DIR_PRM_DATA, OUTSTATION, master)
    return head + _crc(head) + data + _crc(data)


def _body(frame: memoryview) -> bytes:
    """User data of a frame without its CRCs, which TCP has checked."""
    whole = len(frame) // 18 * 18
    blocks = np.frombuffer(frame[:whole], np.uint8).reshape(-1, 18)[:, :16].tobytes()
    return blocks + bytes(frame[whole:-2]) if len(frame) > whole else blocks


class Master:
    """One connection."""

    def __init__(self, port: int, address: int = MASTER, source: str = "127.0.0.1") -> None:
        self.address = address
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20.0, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self._series: list[bytes] = []
        self._seq = self._transport = 0
        self.octets = 0
        self.fragments: list[tuple[int, bytes]] = []
        """Time of arrival and octets, of fragments that carry objects."""
        self.events = 0
        self.finished = True
        """The last fragment of the response to the last request has come."""

    def clear(self) -> None:
        """Forget what came so far."""
        self.fragments, self.events, self.octets = [], 0, 0

    def send(self, *fragments: bytes) -> None:
        """Short fragments, in one write."""
        out = []
        for fragment in fragments:
            out.append(_frame(bytes([0xC0 | self._transport]) + fragment, self.address))
            self._transport = (self._transport + 1) & 0x3F
        self.socket.sendall(b"".join(out))

    def ask(self, function: int, objects: bytes) -> None:
        """A request; `finished` tells when its answer is whole."""
        self._seq = (self._seq + 1) & 0x0F
        self.finished = False
        self.send(bytes([0xC0 | self._seq, function]) + objects)

    def take(self) -> None:
        """Octets are there: confirm, count, keep. Raises `ConnectionError` at the end of the stream."""
        data = self.socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the outstation closed the connection")
        now_ns = time.monotonic_ns()
        self.octets += len(data)
        data = self._rest + data
        view, at = memoryview(data), 0
        while len(data) - at >= 10:
            rest = data[at + 2] - 5
            end = at + 10 + rest + 2 * -(-rest // 16)
            if end > len(data):
                break
            if rest:
                self._segment(_body(view[at + 10 : end]), now_ns)
            at = end
        self._rest = data[at:]

    def _segment(self, segment: bytes, now_ns: int) -> None:
        if segment[0] & 0x40:
            self._series = []
        self._series.append(segment[1:])
        if segment[0] & 0x80:
            self._fragment(b"".join(self._series), now_ns)

    def _fragment(self, fragment: bytes, now_ns: int) -> None:
        control, function = fragment[0], fragment[1]
        if control & CON:
            self.send(bytes([0xC0 | control & (UNS | 0x0F), CONFIRM]))
        if len(fragment) > 4:
            self.fragments.append((now_ns, fragment))
            self.events += sum(count for group, _, count, _ in objects(fragment) if group == 32)
        if function == RESPONSE and control & FIN:
            self.finished = True


def objects(fragment: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Group, variation, count and octets (with index prefixes) of every header."""
    at = 4
    while at < len(fragment):
        group, variation, qualifier = fragment[at : at + 3]
        at += 3
        prefix = 0
        if qualifier in (0x00, 0x01):
            form = "<BB" if qualifier == 0 else "<HH"
            start, stop = struct.unpack_from(form, fragment, at)
            at, count = at + struct.calcsize(form), stop - start + 1
        else:
            width = 1 if qualifier in (0x07, 0x17) else 2
            count = int.from_bytes(fragment[at : at + width], "little")
            at, prefix = at + width, {0x17: 1, 0x28: 2}.get(qualifier, 0)
        bits = BITS.get((group, variation))
        size = variation if group == 110 else 0 if bits else SIZES[group, variation]
        octets = (count * bits + 7) // 8 if bits else count * (size + prefix)
        yield group, variation, count, fragment[at : at + octets]
        at += octets


class Orders:
    """Standard input and the socket, whichever has something."""

    def __init__(self, master: Master) -> None:
        self.master = master
        self._buffer = b""

    def run(self) -> None:
        """Until standard input ends."""
        handlers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "read": self._read,
            "poll": self._poll,
            "enable": self._enable,
            "unsolicited": self._unsolicited,
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
        asked: list[Any] = [self.master.socket, *also]
        ready = select.select(asked, [], [], timeout_s)[0]
        if self.master.socket in ready:
            self.master.take()
        return ready

    def _until(self, done: Callable[[], bool], timeout_s: float, silence_s: float) -> None:
        begin = quiet = time.monotonic()
        while not done():
            if self._ready(min(IDLE_S, silence_s)):
                quiet = time.monotonic()
            if time.monotonic() - begin > timeout_s or time.monotonic() - quiet > silence_s:
                return

    def _read(self, order: dict[str, Any]) -> dict[str, Any]:
        master, seconds = self.master, []
        for _ in range(order["rounds"]):
            master.clear()
            begin_ns = time.monotonic_ns()
            master.ask(READ, bytes.fromhex(order["objects"]))
            self._until(lambda: master.finished, 30.0, 30.0)
            seconds.append((master.fragments[-1][0] - begin_ns) / 1e9)
        found: Counter[str] = Counter()
        for _, fragment in master.fragments:
            for group, variation, count, _ in objects(fragment):
                found[f"g{group}v{variation}"] += count
        return {
            "seconds": seconds,
            "octets": master.octets,
            "fragments": len(master.fragments),
            "objects": found,
        }

    def _poll(self, order: dict[str, Any]) -> dict[str, Any]:
        """Poll class 1 until everything expected has come, or nothing has for a while."""
        master, polls = self.master, 0
        master.clear()
        begin = heard = time.monotonic()
        while master.events < order["expect"]:
            before, polls = master.events, polls + 1
            master.ask(READ, CLASS_1)
            self._until(lambda: master.finished, 30.0, 30.0)
            now = time.monotonic()
            if master.events > before:
                heard = now
            elif now - heard > order["silence_s"] or now - begin > order["timeout_s"]:
                break
            else:
                time.sleep(EMPTY_PAUSE_S)
        return {**self._told(), "polls": polls}

    def _enable(self, _order: dict[str, Any]) -> dict[str, Any]:
        self.master.clear()
        self.master.ask(ENABLE, CLASS_1)
        self._until(lambda: self.master.finished, 10.0, 10.0)
        return {"enabled": self.master.finished}

    def _unsolicited(self, order: dict[str, Any]) -> dict[str, Any]:
        master = self.master
        self._until(lambda: master.events >= order["expect"], order["timeout_s"], order["silence_s"])
        return self._told()

    def _told(self) -> dict[str, Any]:
        """What the events say that came since the last `clear`."""
        numbers: list[NDArray[np.int64]] = []
        times = []
        for time_ns, fragment in self.master.fragments:
            for group, variation, count, octets in objects(fragment):
                if group == 32:
                    table = np.frombuffer(octets, np.uint8).reshape(count, -1)
                    behind = table.shape[1] - SIZES[32, variation] + 1
                    values = np.ascontiguousarray(table[:, behind : behind + 4]).view(EVENT_VALUES[variation])
                    numbers.append(values.reshape(-1).astype(np.int64))
                    times.append(time_ns)
        every = np.concatenate(numbers) if numbers else np.empty(0, np.int64)
        return {
            "received": len(every),
            "distinct": len(np.unique(every)),
            "ordered": bool(np.all(np.diff(every) > 0)),
            "first_ns": times[0] if times else 0,
            "last_ns": times[-1] if times else 0,
        }


def main() -> None:
    """One connection; ends with standard input."""
    master = Master(int(sys.argv[1]))
    print(json.dumps({"ready": True}), flush=True)
    Orders(master).run()


if __name__ == "__main__":
    main()
