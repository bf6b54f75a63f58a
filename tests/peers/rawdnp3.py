"""A DNP3 master that shows every octet. Written from the standard alone: imports nothing of the product."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field

DIR, PRM = 0x80, 0x40
RESET_LINK, TEST_LINK, CONFIRMED, UNCONFIRMED, LINK_STATUS = 0, 2, 3, 4, 9
READ, WRITE, SELECT, OPERATE, DIRECT, DIRECT_NO_ACK = 1, 2, 3, 4, 5, 6
FREEZE, FREEZE_NO_ACK, FREEZE_CLEAR, FREEZE_CLEAR_NO_ACK, FREEZE_AT_TIME = 7, 8, 9, 10, 11
COLD_RESTART, WARM_RESTART, ENABLE, DISABLE, ASSIGN, DELAY, RECORD = 13, 14, 20, 21, 22, 23, 24
CLASS_0, CLASSES, INTEGRITY = "3c0106", "3c02063c03063c0406", "3c02063c03063c04063c0106"


def crc(data: bytes) -> bytes:
    register = 0
    for octet in data:
        register ^= octet
        for _ in range(8):
            register = (register >> 1) ^ 0xA6BC if register & 1 else register >> 1
    return struct.pack("<H", register ^ 0xFFFF)


def frame(control: int, dest: int, source: int, data: bytes = b"") -> bytes:
    head = struct.pack("<BBBBHH", 5, 0x64, 5 + len(data), control, dest, source)
    out = head + crc(head)
    for at in range(0, len(data), 16):
        out += data[at : at + 16] + crc(data[at : at + 16])
    return out


@dataclass
class Response:
    """One fragment of the outstation."""

    octets: bytes

    @property
    def control(self) -> int:
        return self.octets[0]

    @property
    def fir(self) -> bool:
        return bool(self.control & 0x80)

    @property
    def fin(self) -> bool:
        return bool(self.control & 0x40)

    @property
    def con(self) -> bool:
        return bool(self.control & 0x20)

    @property
    def unsolicited(self) -> bool:
        return self.octets[1] == 130

    @property
    def seq(self) -> int:
        return self.control & 0x0F

    @property
    def iin(self) -> int:
        """IIN1 in the low octet."""
        return int.from_bytes(self.octets[2:4], "little")

    @property
    def objects(self) -> str:
        return self.octets[4:].hex()


@dataclass
class RawDnp3:
    """One connection of a master to an outstation."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: int = 1
    outstation: int = 10
    seq: int = 0
    links: list[int] = field(default_factory=list)
    """Control octets of link frames without data that came."""
    _transport: int = 0
    _gathered: bytes = b""

    @classmethod
    async def connect(
        cls,
        port: int,
        *,
        address: int = 1,
        outstation: int = 10,
        source: str | None = None,
        ssl: object = None,
    ) -> RawDnp3:
        local = (source, 0) if source else None
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=local, ssl=ssl)
        return cls(reader, writer, address, outstation)

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def link(self, function: int, *, fcb: bool = False, fcv: bool = False, data: bytes = b"") -> None:
        control = DIR | PRM | function | fcb << 5 | fcv << 4
        await self.say(frame(control, self.outstation, self.address, data))

    async def fragment(self, octets: bytes, *, dest: int | None = None) -> None:
        """Segments of one fragment."""
        pieces = [octets[at : at + 249] for at in range(0, len(octets), 249)]
        out = b""
        for number, piece in enumerate(pieces):
            head = (0x40 if number == 0 else 0) | (0x80 if number == len(pieces) - 1 else 0) | self._transport
            self._transport = (self._transport + 1) & 0x3F
            out += frame(
                DIR | PRM | UNCONFIRMED, self.outstation if dest is None else dest, self.address, bytes([head]) + piece
            )
        await self.say(out)

    async def request(self, function: int, objects: str = "", *, dest: int | None = None) -> int:
        """A request with the next sequence number, which is returned."""
        self.seq = (self.seq + 1) & 0x0F
        await self.fragment(bytes([0xC0 | self.seq, function]) + bytes.fromhex(objects), dest=dest)
        return self.seq

    async def again(self, function: int, objects: str = "") -> None:
        """The last request once more, octet by octet."""
        await self.fragment(bytes([0xC0 | self.seq, function]) + bytes.fromhex(objects))

    async def confirm(self, response: Response) -> None:
        """As the response asked for."""
        await self.fragment(bytes([0xC0 | (0x10 if response.unsolicited else 0) | response.seq, 0]))

    async def hear_frame(self, timeout: float = 30.0) -> tuple[int, bytes]:
        """Control octet and data of the next link frame for us."""
        async with asyncio.timeout(timeout):
            while True:
                head = await self.reader.readexactly(10)
                assert head[:2] == b"\x05\x64" and crc(head[:8]) == head[8:], head.hex()
                size, control, dest, source = struct.unpack_from("<BBHH", head, 2)
                data = b""
                for at in range(0, size - 5, 16):
                    count = min(16, size - 5 - at)
                    block = await self.reader.readexactly(count + 2)
                    assert crc(block[:-2]) == block[-2:]
                    data += block[:-2]
                assert not control & DIR
                if dest == self.address and source == self.outstation:
                    return control, data

    async def hear(self, timeout: float = 30.0) -> Response:
        """The next fragment; requests for the link status are answered."""
        async with asyncio.timeout(timeout):
            while True:
                control, data = await self.hear_frame(timeout)
                if not data:
                    self.links.append(control)
                    if control == PRM | LINK_STATUS:
                        await self.say(frame(DIR | 11, self.outstation, self.address))
                    continue
                if data[0] & 0x40:
                    self._gathered = b""
                self._gathered += data[1:]
                if data[0] & 0x80:
                    return Response(self._gathered)

    async def ask(self, function: int, objects: str = "", timeout: float = 30.0) -> Response:
        """A request and its one-fragment answer; unsolicited responses before it are an error of the test."""
        seq = await self.request(function, objects)
        response = await self.hear(timeout)
        assert not response.unsolicited and response.seq == seq and response.fir, response.octets.hex()
        return response

    async def read(self, objects: str, *, confirm: bool = True) -> list[Response]:
        """Every fragment of an answer, each confirmed if it asks for it."""
        out = [await self.ask(READ, objects)]
        while True:
            if out[-1].con and confirm:
                await self.confirm(out[-1])
            if out[-1].fin:
                return out
            out.append(await self.hear())
            assert out[-1].seq == (out[-2].seq + 1) & 0x0F and not out[-1].fir

    async def poll(self) -> str:
        """Objects of all waiting events."""
        return "".join(response.objects for response in await self.read(CLASSES))

    async def silent(self, seconds: float = 0.15) -> bool:
        """Nothing comes for a while."""
        try:
            async with asyncio.timeout(seconds):
                return not await self.reader.read(1)
        except TimeoutError:
            return True

    async def ended(self, timeout: float = 30.0) -> bool:
        """The outstation closes the connection."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(timeout):
                while await self.reader.read(65_536):
                    pass
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
