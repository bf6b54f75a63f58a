"""An OPC UA client made of octets: it sends what no client would, and says what came back."""

from __future__ import annotations

import asyncio
import contextlib
import struct

from protocols.opcua import wire


class RawClient:
    """A TCP connection to a server; `answer` is (message type, status code or 0) of the next message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, port: int) -> RawClient:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def hello(self, url: str = "opc.tcp://127.0.0.1:4840", receive: int = 65_536, send: int = 65_536) -> None:
        text = url.encode()
        body = struct.pack("<5Ii", 0, receive, send, 0, 0, len(text)) + text
        self.send(wire.HEADER.pack(b"HEL", b"F", 8 + len(body)) + body)

    def open_none(self, channel: int = 0, request: bytes = b"") -> None:
        """OpenSecureChannel under policy None."""
        from protocols.opcua.uastack import encode, ua

        asked = ua.OpenSecureChannelRequest()
        asked.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        asked.Parameters.RequestedLifetime = 60_000
        uri = b"http://opcfoundation.org/UA/SecurityPolicy#None"
        body = struct.pack("<Ii", channel, len(uri)) + uri + struct.pack("<iiII", -1, -1, 1, 1)
        body += request or encode(asked)
        self.send(wire.HEADER.pack(b"OPN", b"F", 8 + len(body)) + body)

    async def answer(self, timeout_s: float = 30.0) -> tuple[bytes, int]:
        """The next message: its type, and the code of an ERR; (b"", 0): the server closed."""
        async with asyncio.timeout(timeout_s):
            try:
                kind, _, size = wire.HEADER.unpack(await self.reader.readexactly(8))
                body = await self.reader.readexactly(size - 8)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b"", 0
        return kind, struct.unpack_from("<I", body)[0] if kind == b"ERR" else 0

    async def closed(self, timeout_s: float = 30.0) -> None:
        """Until the server has closed."""
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    if not await self.reader.read(65_536):
                        return
                except ConnectionError:
                    return

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
