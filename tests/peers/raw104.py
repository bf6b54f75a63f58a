"""A controlling station that shows every octet. Written from the standard alone: imports nothing of the product."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass

STARTDT_ACT, STARTDT_CON = "680407000000", "68040b000000"
STOPDT_ACT, STOPDT_CON = "680413000000", "680423000000"
TESTFR_ACT, TESTFR_CON = "680443000000", "680483000000"


@dataclass(frozen=True)
class Frame:
    """One APDU; the ASDU fields are 0 for S and U frames."""

    raw: bytes

    @property
    def kind(self) -> str:
        return "I" if not self.raw[2] & 1 else "S" if self.raw[2] == 1 else "U"

    @property
    def asdu(self) -> bytes:
        return self.raw[6:]

    @property
    def type_id(self) -> int:
        return self.asdu[0]

    @property
    def count(self) -> int:
        return self.asdu[1] & 0x7F

    @property
    def sequence(self) -> bool:
        return self.asdu[1] > 0x7F

    @property
    def cause(self) -> int:
        return self.asdu[2] & 0x3F

    @property
    def negative(self) -> bool:
        return bool(self.asdu[2] & 0x40)

    @property
    def test(self) -> bool:
        return bool(self.asdu[2] & 0x80)

    @property
    def originator(self) -> int:
        return self.asdu[3]

    @property
    def ca(self) -> int:
        return int.from_bytes(self.asdu[4:6], "little")

    @property
    def ioa(self) -> int:
        return int.from_bytes(self.asdu[6:9], "little")

    def objects(self, size: int) -> list[tuple[int, bytes]]:
        """(ioa, element) of every object; `size` is that of one element with its time tag."""
        body = self.asdu[6:]
        if self.sequence:
            first = int.from_bytes(body[:3], "little")
            return [(first + i, body[3 + i * size : 3 + (i + 1) * size]) for i in range(self.count)]
        step = size + 3
        cut = [body[i * step : (i + 1) * step] for i in range(self.count)]
        return [(int.from_bytes(part[:3], "little"), part[3:]) for part in cut]


def asdu(type_id: int, cause: int, ca: int, ioa: int, element: str = "", *, oa: int = 0, vsq: int = 1) -> bytes:
    """An ASDU of one object; `cause` may carry P/N (0x40) and T (0x80)."""
    return struct.pack("<BBBBH", type_id, vsq, cause, oa, ca) + ioa.to_bytes(3, "little") + bytes.fromhex(element)


class Raw104:
    """One TCP connection to a controlled station."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.vs = self.vr = 0
        self.w = 8
        self._unacknowledged = 0
        self.acknowledging = True
        self.initialised: list[Frame] = []
        """Ends of initialisation (M_EI) that came: `hear_i` passes them over."""

    @classmethod
    async def connect(cls, port: int, host: str = "127.0.0.1", source: str | None = None, ssl: object = None) -> Raw104:
        local = (source, 0) if source else None
        reader, writer = await asyncio.open_connection(host, port, local_addr=local, ssl=ssl)
        return cls(reader, writer)

    async def start(self) -> None:
        await self.say(STARTDT_ACT)
        frame = await self.hear()
        assert frame.raw.hex() == STARTDT_CON, frame.raw.hex()

    async def say(self, octets: str) -> None:
        self._writer.write(bytes.fromhex(octets))
        await self._writer.drain()

    async def send(self, data: bytes) -> None:
        """An I frame, numbered, acknowledging all that came."""
        head = struct.pack("<BBHH", 0x68, len(data) + 4, self.vs << 1, self.vr << 1)
        self.vs = (self.vs + 1) & 0x7FFF
        self._unacknowledged = 0
        await self.say((head + data).hex())

    async def acknowledge(self) -> None:
        self._unacknowledged = 0
        await self.say(struct.pack("<BBHH", 0x68, 4, 1, self.vr << 1).hex())

    async def hear(self, timeout: float = 30.0) -> Frame:
        """The next frame; TESTFR is answered, I frames are counted, and acknowledged at w."""
        async with asyncio.timeout(timeout):
            head = await self._reader.readexactly(2)
            assert head[0] == 0x68, head.hex()
            frame = Frame(head + await self._reader.readexactly(head[1]))
        if frame.kind == "I":
            assert int.from_bytes(frame.raw[2:4], "little") >> 1 == self.vr
            self.vr = (self.vr + 1) & 0x7FFF
            self._unacknowledged += 1
            if self.acknowledging and self._unacknowledged >= self.w:
                await self.acknowledge()
        elif frame.raw.hex() == TESTFR_ACT:
            await self.say(TESTFR_CON)
        return frame

    async def hear_i(self, timeout: float = 30.0) -> Frame:
        """The next I frame that is not an end of initialisation."""
        while True:
            frame = await self.hear(timeout)
            if frame.kind == "I" and frame.type_id == 70:
                self.initialised.append(frame)
            elif frame.kind == "I":
                return frame

    async def collect(self, last: tuple[int, int], timeout: float = 60.0) -> list[Frame]:
        """I frames up to and including the one of this (type, cause)."""
        frames: list[Frame] = []
        async with asyncio.timeout(timeout):
            while not frames or (frames[-1].type_id, frames[-1].cause) != last:
                frames.append(await self.hear_i())
        await self.acknowledge()
        return frames

    async def silent(self, seconds: float = 0.15) -> bool:
        """Nothing comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                return not await self._reader.read(1)
        except TimeoutError:
            return True

    async def ended(self, timeout: float = 30.0) -> bool:
        """The station closes the connection."""
        try:
            async with asyncio.timeout(timeout):
                while await self._reader.read(65_536):
                    pass
        except ConnectionError:
            pass
        return True

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
