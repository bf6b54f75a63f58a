"""The wire form of protocol buffers, as much of it as Sparkplug needs. Pure.

    record = key, value          key = field << 3 | wire type
    wire type  0 varint   1 eight octets   2 length and octets   5 four octets

Source: Protocol Buffers, Encoding (public specification).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from protocols.mqtt.errors import MqttError

VARINT, FIXED64, OCTETS, FIXED32 = 0, 1, 2, 5
_WIDTH: Final = {FIXED64: 8, FIXED32: 4}
_MASK64: Final = (1 << 64) - 1

Value = int | bytes


def varint(number: int) -> bytes:
    """An unsigned number below 2**64; a negative one as its two's complement of 64 bits."""
    number &= _MASK64
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def key(field: int, wire_type: int) -> bytes:
    """The key of a record."""
    return varint(field << 3 | wire_type)


def number_field(field: int, number: int) -> bytes:
    """A varint record."""
    return key(field, VARINT) + varint(number)


def octets_field(field: int, data: bytes) -> bytes:
    """A record of octets: text, bytes or a message."""
    return key(field, OCTETS) + varint(len(data)) + data


def records(data: bytes) -> Iterator[tuple[int, int, Value]]:
    """(field, wire type, value) in order; fixed values as their little-endian octets. Raises `MqttError`."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        field, wire_type = tag >> 3, tag & 7
        if not field:
            raise MqttError("a record of field 0")
        if wire_type == VARINT:
            number, at = _varint(data, at)
            yield field, wire_type, number
            continue
        if wire_type == OCTETS:
            size, at = _varint(data, at)
        elif wire_type in _WIDTH:
            size = _WIDTH[wire_type]
        else:
            raise MqttError(f"a record of wire type {wire_type}")
        if at + size > end:
            raise MqttError(f"field {field} is cut short: {size} octets announced, {end - at} there")
        yield field, wire_type, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    end = len(data)
    while at < end:
        octet = data[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number & _MASK64, at
        shift += 7
        if shift > 63:
            raise MqttError("a number of more than ten octets")
    raise MqttError("a number is cut short")
