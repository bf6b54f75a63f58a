"""A raw DNP3 master over a real UDP socket."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.peers.rawdnp3 import RawDnp3


class _Socket(asyncio.DatagramProtocol):
    """Datagrams to a stream, and sizes of those that came."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.sizes: list[int] = []

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.sizes.append(len(data))
        self.reader.feed_data(data)


class _Writer:
    """What `RawDnp3` wants of a writer; every write is one datagram."""

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        self.transport = transport

    def write(self, data: bytes) -> None:
        self.transport.sendto(data)

    async def drain(self) -> None:
        """Datagrams do not wait."""

    def close(self) -> None:
        self.transport.close()

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)


async def connect(port: int, *, address: int = 1, outstation: int = 10, source: str = "127.0.0.1") -> RawDnp3:
    """A master with a socket of its own."""
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        _Socket, local_addr=(source, 0), remote_addr=("127.0.0.1", port)
    )
    master = RawDnp3(protocol.reader, _Writer(transport), address, outstation)  # type: ignore[arg-type]
    master.sizes = protocol.sizes  # type: ignore[attr-defined]
    return master
