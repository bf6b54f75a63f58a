"""Application protocol control information: frames out of a byte stream and back (IEC 60870-5-104 clause 5).

    0x68 | length (4 to 253) | four control octets | ASDU (I format only)

    I format    N(S) << 1         | N(R) << 1      information, numbered
    S format    0x01 0x00         | N(R) << 1      acknowledges only
    U format    one of six octets | 0x00 0x00 0x00 STARTDT, STOPDT, TESTFR; act and con

A stream that is out of step is not searched for the next start octet: the connection closes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from protocols.iec104.errors import Iec104Error

START: Final = 0x68
MIN_LENGTH: Final = 4
MAX_LENGTH: Final = 253
MODULUS: Final = 1 << 15
"""Sequence numbers count modulo 32768."""

_APCI: Final = struct.Struct("<BBHH")


class U(IntEnum):
    """Control octet of the U format."""

    STARTDT_ACT = 0x07
    STARTDT_CON = 0x0B
    STOPDT_ACT = 0x13
    STOPDT_CON = 0x23
    TESTFR_ACT = 0x43
    TESTFR_CON = 0x83

    @property
    def words(self) -> str:
        return self.name.replace("_", " ").lower().replace("dt", "DT").replace("fr", "FR")


_U_BY_OCTET: Final = {int(u): u for u in U}


@dataclass(frozen=True, slots=True)
class IFrame:
    """Information: send and receive sequence number and the ASDU."""

    ssn: int
    rsn: int
    asdu: bytes


@dataclass(frozen=True, slots=True)
class SFrame:
    """Acknowledgement up to, not including, `rsn`."""

    rsn: int


@dataclass(frozen=True, slots=True)
class UFrame:
    """Start, stop or test."""

    function: U


Frame = IFrame | SFrame | UFrame


class FrameReader:
    """Cuts a byte stream into frames, however TCP cut it before."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Frames completed by `data`, in order; the rest waits. Raises `Iec104Error` at the first wrong octet."""
        buffer = self._buffer
        buffer += data
        offset = 0
        try:
            while True:
                length = _length(buffer, offset)
                if length is None:
                    return
                frame = bytes(buffer[offset : offset + length])
                offset += length
                yield decode(frame)
        finally:
            del buffer[:offset]


def _length(buffer: bytearray, offset: int) -> int | None:
    """Octets of the frame at `offset`, or None while it is not complete."""
    available = len(buffer) - offset
    if available > 0 and buffer[offset] != START:
        raise Iec104Error(f"frame begins with 0x{buffer[offset]:02x}: 0x68 expected")
    if available < 2:
        return None
    length = buffer[offset + 1]
    if not MIN_LENGTH <= length <= MAX_LENGTH:
        raise Iec104Error(f"frame announces {length} octets: 4 to 253 expected")
    return length + 2 if available >= length + 2 else None


def decode(frame: bytes) -> Frame:
    """One whole frame with its two leading octets. Raises `Iec104Error` for control octets that do not exist."""
    _, length, first, second = _APCI.unpack_from(frame)
    if not first & 1:
        return _information(frame, first, second)
    if length != MIN_LENGTH:
        raise Iec104Error(f"S or U frame of {length} octets: 4 expected")
    if first & 3 == 1:
        return _supervisory(first, second)
    function = _U_BY_OCTET.get(first)
    if function is None or second:
        raise Iec104Error(f"U frame with control octets {frame[2:6].hex()}: one function and zeros expected")
    return UFrame(function)


def _information(frame: bytes, first: int, second: int) -> IFrame:
    if second & 1:
        raise Iec104Error(f"I frame with control octets {frame[2:6].hex()}: an even N(R) octet expected")
    if len(frame) == 6:
        raise Iec104Error("I frame without an ASDU")
    return IFrame(first >> 1, second >> 1, frame[6:])


def _supervisory(first: int, second: int) -> SFrame:
    if first != 1 or second & 1:
        raise Iec104Error(f"S frame with control octets {first:04x} {second:04x}: 0001 and an even N(R) expected")
    return SFrame(second >> 1)


def encode_i(ssn: int, rsn: int, asdu: bytes) -> bytes:
    """An I frame; `ValueError` for an ASDU that does not fit."""
    length = MIN_LENGTH + len(asdu)
    if length > MAX_LENGTH:
        raise ValueError(f"ASDU of {len(asdu)} octets: at most {MAX_LENGTH - MIN_LENGTH}")
    return _APCI.pack(START, length, ssn << 1, rsn << 1) + asdu


def encode_s(rsn: int) -> bytes:
    """An S frame."""
    return _APCI.pack(START, MIN_LENGTH, 1, rsn << 1)


def encode_u(function: U) -> bytes:
    """A U frame."""
    return _APCI.pack(START, MIN_LENGTH, function, 0)
