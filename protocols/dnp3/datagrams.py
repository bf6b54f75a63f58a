"""DNP3 over UDP (IEEE 1815-2012, IP networking): each datagram carries whole link frames.

A peer is an address and a port. It is known from its first datagram on, and answered where that came from; so a master
hears unsolicited responses once it has spoken. A frame that is not whole within its datagram is lost, as a datagram is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from protocols.dnp3.channel import Channel
from protocols.dnp3.link import LinkReader, frame_size

if TYPE_CHECKING:
    from protocols.dnp3.association import Association
    from protocols.dnp3.server import Dnp3Server

DATAGRAM: Final = 1_460
"""Octets sent in one datagram at most: five full frames, which an Ethernet frame holds."""

_Peer = tuple[str, int]


def datagrams(frames: bytes) -> list[bytes]:
    """Whole frames, one behind the other, as datagrams of at most `DATAGRAM` octets."""
    out: list[bytes] = []
    begin = at = 0
    while at < len(frames):
        end = at + frame_size(frames[at + 2])
        if end - begin > DATAGRAM:
            out.append(frames[begin:at])
            begin = at
        at = end
    return [*out, frames[begin:]] if frames else []


class UdpChannel(Channel):
    """One peer."""

    stream = False

    def __init__(self, server: Dnp3Server, endpoint: UdpEndpoint, end: _Peer) -> None:
        super().__init__(server, end[0])
        self._endpoint = endpoint
        self._end = end
        self.broken = 0
        """Start octets without a frame, in all datagrams of this peer."""

    def datagram(self, data: bytes) -> None:
        """Frames that are whole in this datagram."""
        self._reader = LinkReader()
        self.received(data)
        self.broken += self._reader.bad
        self._reader = LinkReader()

    @property
    def malformed(self) -> int:
        return super().malformed + self.broken

    def lose(self, association: Association) -> None:
        """A master does not answer: the peer is forgotten when no other one speaks there."""
        if any(other is not association and other.heard for other in self.associations):
            association.release()
        else:
            self.drop(f"{association.name} does not answer")

    def drop(self, cause: str) -> None:
        self.server.log.info("UDP peer forgotten", peer=self.peer, cause=cause)
        self._endpoint.forget(self._end)
        self.ended(outgoing=True, cause=cause)

    def close(self) -> None:
        self._endpoint.forget(self._end)
        self.ended(outgoing=True)

    def _write(self, data: bytes) -> None:
        for datagram in datagrams(data):
            self._endpoint.send(datagram, self._end)

    def _ends(self) -> tuple[_Peer, _Peer]:
        return self._endpoint.local, self._end


class UdpEndpoint(asyncio.DatagramProtocol):
    """The socket that all UDP masters of a server share."""

    def __init__(self, server: Dnp3Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: dict[_Peer, UdpChannel] = {}

    @property
    def local(self) -> _Peer:
        """Our address; port 0 while there is no socket."""
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return (str(name[0]), int(name[1])) if name else ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """To the peer's channel; a stranger's datagram goes nowhere."""
        end = str(addr[0]), int(addr[1])
        channel = self._peers.get(end)
        if channel is None:
            channel = self._meet(data, end)
        if channel is not None:
            channel.datagram(data)

    def _meet(self, data: bytes, end: _Peer) -> UdpChannel | None:
        """A peer is worth remembering from its first whole frame on."""
        if not LinkReader().feed(data):
            self._server.udp_broken += 1
            return None
        channel = UdpChannel(self._server, self, end)
        candidates = self._server.admit_datagrams(channel)
        if not candidates:
            return None
        self._peers[end] = channel
        channel.open(candidates)
        return channel

    def send(self, datagram: bytes, end: _Peer) -> None:
        """One datagram; nobody hears whether it arrived."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, end)

    def forget(self, end: _Peer) -> None:
        """This peer has to begin anew."""
        self._peers.pop(end, None)

    def close(self) -> None:
        """No more datagrams."""
        if self._transport is not None:
            self._transport.close()
