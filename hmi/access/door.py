"""Between the listening socket and HTTP: who may come in, how many, and TLS before a word is said."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from gateway.contracts.log import Log
from gateway.refusals import Refusals
from gateway.tls.door import TlsDoor
from gateway.tls.words import words
from hmi.access.http import Http
from hmi.access.limits import Crowd
from hmi.access.peers import Peers

MOST: Final = 300
MOST_OF_PEER: Final = 80
"""Connections at one time, WebSockets among them."""
HANDSHAKE_S: Final = 10.0
_CHECK_S: Final = 1.0
_TOLD: Final = 500


class Door:
    """Counts everybody who is in. Who has no call being answered gives way when there is no more room."""

    def __init__(self, peers: Peers, tls: TlsDoor | None, log: Log) -> None:
        self.crowd = Crowd(MOST, MOST_OF_PEER)
        self._peers, self.tls = peers, tls
        self._in: dict[asyncio.BaseProtocol, str] = {}
        """In the order in which they came, with their peers' addresses."""
        self._shaking: set[asyncio.Task[None]] = set()
        self._refusals = Refusals(log, _TOLD)

    @property
    def turned_away(self) -> int:
        """Connections that were refused or gave way to others, since start."""
        return self._refusals.count

    def entry(self, make: Callable[[], Http]) -> asyncio.Protocol:
        """What a new connection meets; `make` makes what it meets when it is let in."""
        return _Entry(self, make)

    def admit(self, who: asyncio.BaseProtocol, peer: str) -> bool:
        """Let in, if the address may and there is room, or can be made."""
        if not self._peers.admits(peer):
            self.tell(peer, "address is not among those that may come in (addresses)")
            return False
        full = self.crowd.full(peer)
        if full and not self._make_room(peer if full == "peer" else ""):
            self.tell(peer, "too many connections")
            return False
        self.crowd.enter(peer)
        self._in[who] = peer
        return True

    def became(self, before: asyncio.BaseProtocol, after: asyncio.BaseProtocol) -> None:
        """The same connection has another protocol now."""
        peer = self._in.pop(before, None)
        if peer is not None:
            self._in[after] = peer

    def left(self, who: asyncio.BaseProtocol) -> None:
        """It is gone."""
        peer = self._in.pop(who, None)
        if peer is not None:
            self.crowd.leave(peer)

    def tell(self, peer: str, cause: str) -> None:
        """Counted; once per peer and cause in the log."""
        self._refusals.refuse(peer, cause)

    def _make_room(self, peer: str) -> bool:
        """The one that has waited longest gives way: of this peer, or of the peer with most of them."""
        crowded = peer or self.crowd.by_peer.most_common(1)[0][0]
        for each, of in self._in.items():
            if of == crowded and isinstance(each, Http | _Entry) and each.resting:
                each.transport.abort()
                self.left(each)
                self.tell(of, "silent, and its place was needed")
                return True
        return False

    async def watch(self) -> None:
        """Cut off who is too slow; for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_CHECK_S)
            for each in [each for each in self._in if isinstance(each, Http)]:
                each.check(loop.time())

    def shake(self, handshake: asyncio.Task[None]) -> None:
        """Keep a handshake alive until it is done."""
        self._shaking.add(handshake)
        handshake.add_done_callback(self._shaking.discard)

    async def close(self) -> None:
        """End handshakes at the process's end."""
        for task in self._shaking:
            task.cancel()
        await asyncio.gather(*self._shaking, return_exceptions=True)


class _Entry(asyncio.Protocol):
    """A connection before HTTP: turned away, or led through the handshake."""

    resting = True
    transport: asyncio.Transport

    def __init__(self, door: Door, make: Callable[[], Http]) -> None:
        self._door, self._make = door, make
        self._early: list[bytes] = []
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self.transport = transport
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if name else ""
        if not self._door.admit(self, self._peer):
            transport.abort()
        elif self._door.tls is None:
            self._hand_over(transport)
        else:
            self._door.shake(asyncio.get_running_loop().create_task(self._handshake(transport, self._door.tls)))

    def data_received(self, data: bytes) -> None:
        """A client's first words may come with the end of its handshake."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._door.left(self)

    async def _handshake(self, transport: asyncio.Transport, tls: TlsDoor) -> None:
        loop = asyncio.get_running_loop()
        try:
            through = await loop.start_tls(
                transport, self, tls.context(()), server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except ssl.SSLError as error:
            self._door.tell(self._peer, words(error))
            through = None
        except OSError:  # gone, or too slow
            through = None
        if through is None or through.is_closing():
            transport.abort()
            self._door.left(self)
        else:
            self._hand_over(through)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        http = self._make()
        self._door.became(self, http)
        transport.set_protocol(http)
        http.connection_made(transport)
        for data in self._early:
            http.data_received(data)
