"""UA Connection Protocol (Part 6, 7.1): headers, Hello, Acknowledge, Error, and cutting a stream into chunks.

```
 0      3   4        8          12
 | type | F | size   | channel  | security header ... |      type HEL ACK ERR OPN MSG CLO, little-endian numbers
```

`size` counts the whole chunk. It is checked before anything behind it is kept.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from protocols.opcua.errors import ChannelFault
from protocols.opcua.uastack import Codes

HELLO, ACKNOWLEDGE, ERROR = b"HEL", b"ACK", b"ERR"
OPEN, MESSAGE, CLOSE = b"OPN", b"MSG", b"CLO"
FINAL, INTERMEDIATE, ABORT = b"F", b"C", b"A"

HEADER: Final = struct.Struct("<3scI")
HEADER_SIZE: Final = HEADER.size
_HELLO: Final = struct.Struct("<5I")
MIN_BUFFER: Final = 8192
"""Part 6, 7.1.2.3: both buffers are at least this large."""
MAX_HELLO: Final = HEADER_SIZE + _HELLO.size + 4 + 4096
"""Part 6, 7.1.2.3: the URL has at most 4,096 octets."""

_CHUNK_TYPES: Final = {
    HELLO: FINAL,
    OPEN: FINAL,
    MESSAGE: FINAL + INTERMEDIATE + ABORT,
    CLOSE: FINAL,
}
"""Messages that a client sends, and the chunk types each may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this side takes and sends. Sizes in octets; `message` and `chunks` count one whole request."""

    receive_buffer: int = 65_536
    send_buffer: int = 65_536
    message: int = 4 << 20
    chunks: int = 256
    open_message: int = 32_768
    """An OPN chunk: certificates and little else."""
    peer_message: int = 0
    """What the peer takes of one response; 0: any size."""
    peer_chunks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Part 6, 7.1.2.3."""

    version: int
    receive_buffer: int
    send_buffer: int
    max_message: int
    max_chunks: int
    url: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """One whole chunk as it came. `data` begins with the header."""

    type: bytes
    final: bytes
    data: bytes


class ChunkReader:
    """Cuts octets into chunks. `largest` is set by who knows what may come next."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Octets as they came. What `take` is not asked for stays here: the caller feeds no more until it has asked."""
        self._data += data

    def take(self) -> Chunk | None:
        """The next whole chunk; None: more is needed. Raises `ChannelFault` for a header that cannot be."""
        if len(self._data) < HEADER_SIZE:
            self._check_start()
            return None
        kind, final, size = HEADER.unpack_from(self._data)
        allowed = _CHUNK_TYPES.get(kind)
        if allowed is None or final not in allowed:
            raise ChannelFault(Codes.BadTcpMessageTypeInvalid, f"not OPC UA: it begins with {bytes(self._data[:8])!r}")
        if not HEADER_SIZE <= size <= self.largest:
            raise ChannelFault(
                Codes.BadTcpMessageTooLarge, f"a chunk of {size:,} octets announced, {self.largest:,} are taken"
            )
        if len(self._data) < size:
            return None
        data = bytes(self._data[:size])
        del self._data[:size]
        return Chunk(kind, final, data)

    def _check_start(self) -> None:
        start = bytes(self._data[:3])
        if start and not any(kind.startswith(start) for kind in _CHUNK_TYPES):
            raise ChannelFault(Codes.BadTcpMessageTypeInvalid, f"not OPC UA: it begins with {bytes(self._data)!r}")


def parse_hello(data: bytes) -> Hello:
    """A Hello chunk. Raises `ChannelFault`."""
    try:
        numbers = _HELLO.unpack_from(data, HEADER_SIZE)
        at = HEADER_SIZE + _HELLO.size
        (length,) = struct.unpack_from("<i", data, at)
        url = data[at + 4 : at + 4 + max(length, 0)]
        if len(url) != max(length, 0) or length > 4096:
            raise ValueError("the URL is cut off")
        text = url.decode("utf-8")
    except (struct.error, ValueError) as error:
        raise ChannelFault(Codes.BadTcpInternalError, f"broken Hello: {error}") from None
    version, receive, send, message, chunks = numbers
    if min(receive, send) < MIN_BUFFER:
        raise ChannelFault(
            Codes.BadConnectionRejected, f"Hello with buffers of {receive} and {send}, 8192 is the least"
        )
    return Hello(
        version=version, receive_buffer=receive, send_buffer=send, max_message=message, max_chunks=chunks, url=text
    )


def negotiate(hello: Hello, own: Limits) -> Limits:
    """Limits of this connection (Part 6, 7.1.2.4): nobody sends more than the other takes."""
    return Limits(
        receive_buffer=min(own.receive_buffer, hello.send_buffer),
        send_buffer=min(own.send_buffer, hello.receive_buffer),
        message=own.message,
        chunks=own.chunks,
        open_message=own.open_message,
        peer_message=hello.max_message,
        peer_chunks=hello.max_chunks,
    )


def acknowledge(limits: Limits) -> bytes:
    """The Acknowledge chunk that tells `limits`."""
    body = _HELLO.pack(0, limits.receive_buffer, limits.send_buffer, limits.message, limits.chunks)
    return HEADER.pack(ACKNOWLEDGE, FINAL, HEADER_SIZE + len(body)) + body


def error_message(code: int, reason: str = "") -> bytes:
    """The Error chunk (Part 6, 7.1.2.5)."""
    text = reason.encode()[:4096]
    body = struct.pack("<Ii", code, len(text) if text else -1) + text
    return HEADER.pack(ERROR, FINAL, HEADER_SIZE + len(body)) + body
