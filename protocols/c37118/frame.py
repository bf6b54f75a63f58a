"""Frames: cut out of a byte stream, checked, built (IEEE C37.118.2-2011, 6.2). Pure.

::

    SYNC  FRAMESIZE  IDCODE  SOC  FRACSEC  ... the frame's own fields ...  CHK
    2     2          2       4    4                                       2      octets, big endian

SYNC is 0xAA, then the frame type (bits 6 to 4) and the version (bits 3 to 0). FRACSEC is an octet of time quality and
24 bits of fraction, counted in parts of a second that the configuration's TIME_BASE names. CHK is CRC-CCITT.
"""

from __future__ import annotations

import struct
from binascii import crc_hqx
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SYNC: Final = 0xAA
VERSION_2005: Final = 1
VERSION_2011: Final = 2
HEAD: Final = struct.Struct(">BBHHIBBH")
"""SYNC, type and version, FRAMESIZE, IDCODE, SOC, time quality, FRACSEC as 8 and 16 bits."""
HEAD_SIZE: Final = HEAD.size
CHK_SIZE: Final = 2
LEAST_SIZE: Final = HEAD_SIZE + CHK_SIZE
LARGEST_SIZE: Final = 0xFFFF
NS: Final = 1_000_000_000

_SYNC: Final = bytes((SYNC,))
_CHK: Final = struct.Struct(">H")
_WORD: Final = struct.Struct(">H")


class C37Error(Exception):
    """What a peer sent is not the protocol. The text is for a person."""


class FrameType(IntEnum):
    """Bits 6 to 4 of the second octet; 6 and 7 are not assigned."""

    DATA = 0
    HEADER = 1
    CFG1 = 2
    CFG2 = 3
    COMMAND = 4
    CFG3 = 5


CONFIGURATIONS: Final = frozenset({FrameType.CFG1, FrameType.CFG2, FrameType.CFG3})


class Command(IntEnum):
    """CMD of a command frame."""

    DATA_OFF = 1
    DATA_ON = 2
    SEND_HEADER = 3
    SEND_CFG1 = 4
    SEND_CFG2 = 5
    SEND_CFG3 = 6
    EXTENDED = 8


REQUEST: Final = {
    FrameType.CFG1: Command.SEND_CFG1,
    FrameType.CFG2: Command.SEND_CFG2,
    FrameType.CFG3: Command.SEND_CFG3,
}
"""How each kind of configuration is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The fields every frame begins with. `fraction` counts parts of TIME_BASE; `type` is 0 to 7."""

    type: int
    id: int
    soc: int = 0
    fraction: int = 0
    time_quality: int = 0
    version: int = VERSION_2005


def head_of(frame: bytes) -> Head:
    """Read the head; raises `C37Error` when the frame is shorter."""
    if len(frame) < HEAD_SIZE:
        raise C37Error(f"{len(frame)} octets are no frame; expected {LEAST_SIZE} at least")
    _, kind, _, idcode, soc, quality, high, low = HEAD.unpack_from(frame)
    return Head(
        type=kind >> 4 & 7, version=kind & 15, id=idcode, soc=soc, fraction=high << 16 | low, time_quality=quality
    )


def body_of(frame: bytes) -> bytes:
    """The fields between head and CHK."""
    return frame[HEAD_SIZE:-CHK_SIZE]


def build(head: Head, body: bytes) -> bytes:
    """A whole frame. Raises `ValueError` when it would be longer than 65,535 octets."""
    size = LEAST_SIZE + len(body)
    if size > LARGEST_SIZE:
        raise ValueError(f"a frame of {size} octets cannot be sent; the most is {LARGEST_SIZE}")
    front = HEAD.pack(
        SYNC,
        head.type << 4 | head.version,
        size,
        head.id,
        head.soc,
        head.time_quality,
        head.fraction >> 16,
        head.fraction & 0xFFFF,
    )
    return front + body + _CHK.pack(crc_hqx(front + body, 0xFFFF))


def command(idcode: int, what: Command, *, time_ns: int = 0, extended: bytes = b"") -> bytes:
    """A command frame; its fraction of a second is in microseconds. `extended` goes with `Command.EXTENDED`."""
    soc, rest_ns = divmod(time_ns, NS)
    head = Head(type=FrameType.COMMAND, id=idcode, soc=soc & 0xFFFFFFFF, fraction=rest_ns // 1000)
    return build(head, _WORD.pack(what) + extended)


def command_of(frame: bytes) -> tuple[int, bytes]:
    """CMD (not necessarily a `Command`) and its extended part. Raises `C37Error`."""
    body = body_of(frame)
    if len(body) < _WORD.size:
        raise C37Error("a command frame without CMD")
    return int(_WORD.unpack_from(body)[0]), body[_WORD.size :]


def header_of(frame: bytes) -> str:
    """The text of a header frame, as written by a person at the device."""
    return body_of(frame).decode("utf-8", "replace")


def time_ns(soc: int, fraction: int, time_base: int) -> int:
    """Ns since 1970 UTC, rounded to the nearest. SOC counts no leap seconds, as Unix time does."""
    return soc * NS + (fraction * NS + time_base // 2) // time_base


def check(frame: bytes) -> bytes:
    """The same frame when SYNC, FRAMESIZE and CHK are right; raises `C37Error`."""
    size = _announced(frame)
    if not size or size != len(frame):
        raise C37Error(f"FRAMESIZE says {size} octets, {len(frame)} came")
    _check_sum(frame)
    return frame


def _announced(data: bytes) -> int:
    """FRAMESIZE of what begins here; 0 while it is not known."""
    if data[:1] not in (b"", _SYNC) or (len(data) > 1 and data[1] & 0x80):
        raise C37Error(f"a frame begins with AA and a type, found {data[:4].hex(' ')}")
    if len(data) < 4:
        return 0
    size = data[2] << 8 | data[3]
    if size < LEAST_SIZE:
        raise C37Error(f"FRAMESIZE {size} is less than head and CHK, {LEAST_SIZE}")
    return size


def _check_sum(frame: bytes) -> None:
    # Run over the whole frame, CHK included, the CRC comes to 0.
    if crc_hqx(frame, 0xFFFF):
        found = frame[-2:].hex()
        raise C37Error(f"CHK is {found}, calculated {crc_hqx(frame[:-2], 0xFFFF):04x}")


class Splitter:
    """Cuts a byte stream, in any chunking, into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now, checked. Raises `C37Error`; where the next begins is then unknown."""
        data = self._rest + data if self._rest else data
        frames: list[bytes] = []
        at = 0
        while at < len(data):
            size = _announced(data[at : at + 4])
            if not size or len(data) - at < size:
                break
            frame = data[at : at + size]
            _check_sum(frame)
            frames.append(frame)
            at += size
        self._rest = data[at:]
        return frames
