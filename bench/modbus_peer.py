"""One connection to something that stands for a Modbus TCP device: requests are cut out of the stream, answers go back.

As cheap as can be: the registers are the caller's.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Final

READ: Final = struct.Struct(">HHHBBHH")
"""Transaction, protocol, length, unit, function, address, count or value: how a request begins."""
_ANSWER: Final = struct.Struct(">HHHBB")
_HEAD: Final = 6
"""Octets up to the length of the rest."""

Answer = Callable[[bytes, "ModbusPeer"], bytes | None]
"""A whole request; the whole response to it, or None for silence."""


class ModbusPeer(asyncio.Protocol):
    """Hands every whole request to `answer`, and writes what it gives."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _HEAD:
            length = _HEAD + int.from_bytes(self._buffer[4:_HEAD], "big")
            if len(self._buffer) < length:
                return
            request, self._buffer = self._buffer[:length], self._buffer[length:]
            response = self._answer(request, self)
            if response is not None:
                self._transport.write(response)


def response(request: bytes, data: bytes) -> bytes:
    """With the request's transaction, unit and function before `data`."""
    transaction, _, _, unit, function = _ANSWER.unpack_from(request)
    return _ANSWER.pack(transaction, 0, 2 + len(data), unit, function) + data


def values(request: bytes, octets: bytes | bytearray) -> bytes:
    """The response to a read: how many octets, and they."""
    return response(request, bytes([len(octets)]) + octets)


def written(request: bytes) -> bytes:
    """The response to a write: its address, and its value or count."""
    return response(request, request[8:12])
