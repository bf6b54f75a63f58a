"""The sockets of a stream: one TCP connection, or one UDP socket that asks or listens. Octets in, octets out."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import cast

from protocols.c37118.frame import C37Error
from protocols.c37118.plan import LISTEN, TCP, Url

Receive = Callable[[bytes], None]
"""Takes what came. Raises `C37Error` when the link is of no more use."""


class Link(asyncio.Protocol, asyncio.DatagramProtocol):
    """An open socket. `closed` is done, with the reason in words, once it is of no more use."""

    def __init__(self, url: Url, receive: Receive) -> None:
        self._url, self._receive = url, receive
        self._transport: asyncio.Transport | asyncio.DatagramTransport | None = None
        self._datagrams = url.scheme != TCP
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport | asyncio.DatagramTransport, transport)

    def data_received(self, data: bytes) -> None:
        if self.closed.done():
            return
        try:
            self._receive(data)
        except C37Error as error:
            self._over(f"{self._url}: {error}")
            self.abort()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self._url.source or addr[0] == self._url.source:
            self.data_received(data)

    def error_received(self, exc: Exception) -> None:
        """What ICMP said of a datagram that was sent."""
        self._over(f"{self._url}: {exc}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._over(f"{self._url}: {exc}" if exc else f"{self._url} closed the connection")

    def _over(self, why: str) -> None:
        if not self.closed.done():
            self.closed.set_result(why)

    def send(self, data: bytes) -> None:
        """One command."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._datagrams:
            cast(asyncio.DatagramTransport, transport).sendto(data)
        else:
            cast(asyncio.Transport, transport).write(data)

    def close(self) -> None:
        """What was sent still goes out."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """At once."""
        if self._transport is not None:
            self._transport.abort()


async def open_link(url: Url, receive: Receive) -> Link:
    """Open the socket of a stream. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    link = Link(url, receive)
    if url.scheme == TCP:
        await loop.create_connection(lambda: link, url.host, url.port)
    elif url.scheme == LISTEN:
        await loop.create_datagram_endpoint(lambda: link, sock=_listening(url))
    else:
        any_address = "::" if ":" in url.host else "0.0.0.0"  # noqa: S104 the peer is fixed by `remote_addr`
        await loop.create_datagram_endpoint(
            lambda: link,
            remote_addr=(url.host, url.port),
            local_addr=(any_address, url.local_port) if url.local_port else None,
        )
    return link


def _listening(url: Url) -> socket.socket:
    """A UDP socket at our address, or in a multicast group. Raises `OSError`."""
    found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setblocking(False)
        group = ipaddress.ip_address(str(address[0]).partition("%")[0])
        if group.is_multicast:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        if group.is_multicast:
            _join(listening, group)
    except OSError:
        listening.close()
        raise
    return listening


def _join(listening: socket.socket, group: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if group.version == 4:
        request = group.packed + bytes(4)  # on whichever interface routes there
        listening.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    else:
        request = group.packed + struct.pack("@I", 0)
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
