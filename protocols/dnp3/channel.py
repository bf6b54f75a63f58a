"""One connection: frames out of its octets, each to the master it comes from."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.contracts import LinkSocket
from protocols.dnp3.association import Association
from protocols.dnp3.link import LinkFrame, LinkReader
from protocols.dnp3.linktrace import LinkTrace
from protocols.dnp3.session import Session

if TYPE_CHECKING:
    from protocols.dnp3.server import Dnp3Server

WRITE_BUFFER: Final = 65_536
"""Octets that wait for a slow reader before nothing more is read from it."""
STALL_S: Final = 30.0
"""How long a peer may take nothing before its connection ends."""
IDLE_S: Final = 60.0
"""How long a connection may say nothing that is for us before it ends."""
PIECE: Final = 1_024
"""Octets of one connection that are acted on before others have their turn."""
GARBAGE: Final = 4_096
"""Octets without a frame among them after which a TCP peer is taken for something that is not DNP3."""

_numbers = count(1)


class Channel(ABC):
    """Routes frames between a transport and the associations that may use it.

    An association holds one channel. It takes the first one that its master could have made and moves to where the
    master speaks.
    """

    stream = True
    """Ends on what is not DNP3; a serial line goes on."""

    def __init__(self, server: Dnp3Server, peer: str) -> None:
        self.server = server
        self.peer = peer
        self.number = next(_numbers)
        self.began = time.monotonic()
        self.heard = False
        self.strays = 0
        """Frames that belong to no master of ours."""
        self._reader = LinkReader()
        self._skipped = 0
        self._sessions: list[tuple[Association, Session]] = []
        self._trace: LinkTrace | None = None

    @abstractmethod
    def _write(self, data: bytes) -> None: ...

    @abstractmethod
    def _ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """Our address and the peer's."""

    def _socket(self) -> LinkSocket | None:
        """Where a TCP connection's round trip can be asked."""
        return None

    @abstractmethod
    def drop(self, cause: str) -> None:
        """End at once."""

    @abstractmethod
    def close(self) -> None:
        """End after what is written has gone out."""

    def lose(self, association: Association) -> None:
        """A master does not answer here any more: nothing is left to keep a connection for if no other one speaks."""
        others = [other for other in self.associations if other is not association and other.heard]
        if self.stream and not others:
            self.drop(f"{association.name} does not answer")
        else:
            association.release()

    @property
    def associations(self) -> list[Association]:
        """Those that hold this channel."""
        return [association for association, _ in self._sessions if association.channel is self]

    @property
    def malformed(self) -> int:
        """What came and was of no use: broken frames, frames of strangers, fragments out of place."""
        return self._reader.bad + self.strays + sum(session.malformed for _, session in self._sessions)

    def open(self, candidates: list[Association]) -> None:
        """Masters that may speak here; each that speaks nowhere else is reached here from now on."""
        now = time.monotonic()
        self._sessions = [(association, Session(association.outstation, now)) for association in candidates]
        names = [association.name for association in candidates]
        self._trace = LinkTrace(self.server.port.trace, names, self.number, *self._ends(), self._socket())
        for association, session in self._sessions:
            if not association.heard:
                association.hold(self, session)

    def ended(self, outgoing: bool, cause: str = "") -> None:
        """The transport is gone."""
        if self._trace is not None:
            self._trace.closed(outgoing, cause)
            self._trace = None
        held = self.associations
        for association in held:
            association.release()
        self._sessions = []
        self.server.forget(self, held)

    def offer(self, association: Association) -> bool:
        """An association has lost its channel: it takes this one if its master may speak here."""
        for candidate, session in self._sessions:
            if candidate is association:
                association.hold(self, session)
                return True
        return False

    def write(self, data: bytes, master: str) -> None:
        """Frames of an association that holds this channel."""
        if self._trace is not None:
            self._trace.sent(master, data)
        self._write(data)

    def received(self, data: bytes) -> None:
        """Octets of the peer, cut anywhere."""
        frames = self._reader.feed(data)
        if self._trace is not None:
            self._trace.received(data, self._speakers(frames))
        for frame in frames:
            self._route(frame)
        if frames:
            self._skipped = self._reader.skipped
        elif self.stream and self._reader.skipped - self._skipped > GARBAGE:
            self.drop(f"{GARBAGE} octets without a DNP3 frame")

    def _speakers(self, frames: list[LinkFrame]) -> list[str]:
        """Masters that these frames come from, where it could be more than one."""
        if len(self._sessions) == 1:
            return []
        return [
            association.name
            for association, session in self._sessions
            if any(session.link.accepts(frame) for frame in frames)
        ]

    def _route(self, frame: LinkFrame) -> None:
        taken = False
        for association, session in self._sessions:
            if not session.link.accepts(frame) or not frame.from_master:
                continue
            taken = True
            self.heard = True
            self._take(association, session)
            association.carry_out(session.receive(frame, time.monotonic(), time.time_ns()))
        if not taken:
            self.strays += 1

    def _take(self, association: Association, session: Session) -> None:
        """The master speaks here: this is its channel."""
        before = association.channel
        if before is not self:
            association.hold(self, session)
            if before is not None and not before.associations:
                before.drop(f"{association.name} speaks on another connection")
        if not session.heard:
            session.heard = True
            association.greet()


class TcpChannel(Channel, asyncio.Protocol):
    """A TCP connection, accepted (`dialled` None) or made for one master.

    `certified`: the masters whose certificate was shown in TLS; None without TLS.
    """

    def __init__(
        self, server: Dnp3Server, dialled: Association | None = None, certified: Sequence[str] | None = None
    ) -> None:
        super().__init__(server, "")
        self._dialled = dialled
        self._certified = certified
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._paused = False
        self._backlog = bytearray()
        self._cause = ""
        self.closed: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or turn away."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _host(transport.get_extra_info("peername"))
        candidates = self.server.admit(self, self._dialled, self._certified)
        if not candidates:
            self._transport.abort()
            return
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self.server.log.debug("connected", peer=self.peer)
        self._watch_for(IDLE_S, self._still_idle)
        self.open(candidates)

    def data_received(self, data: bytes) -> None:
        """Octets of the peer: what is more than a piece is taken piece by piece, turn by turn with the others."""
        self._backlog += data
        self._drain()

    def _drain(self) -> None:
        """Take the next piece, unless the peer does not read our answers."""
        transport = self._transport
        if self._paused or transport is None or transport.is_closing():
            return
        piece = bytes(self._backlog[:PIECE])
        del self._backlog[:PIECE]
        if piece:
            self.received(piece)
        if transport.is_closing():
            self._backlog.clear()
        elif self._backlog:
            transport.pause_reading()
            self._loop.call_soon(self._drain)
        elif not self._paused:
            transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, for whatever reason."""
        if self._watch is not None:
            self._watch.cancel()
        self._transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        if self._sessions:
            words = self._cause or (str(exc) if exc is not None else "closed by the master")
            self.server.log.debug("disconnected", peer=self.peer, cause=words)
        self.ended(bool(self._cause), self._cause or (str(exc) if exc is not None else ""))

    def pause_writing(self) -> None:
        """The peer does not read: read nothing more from it, and do not wait for ever."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()
        self._watch_for(STALL_S, self._still_paused)

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._paused = False
        self._drain()

    def drop(self, cause: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self.server.log.warning("connection dropped", peer=self.peer, cause=cause)
            self.give_way(cause)

    @property
    def ending(self) -> bool:
        """It was told to end; its place is free."""
        return self._transport is None or self._transport.is_closing()

    def give_way(self, cause: str) -> None:
        """End at once; the server has told why."""
        if self._transport is not None and not self._transport.is_closing():
            self._cause = cause
            self._transport.abort()

    def close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._cause = "closed by the gateway"
            (self._transport.abort if self._paused else self._transport.close)()

    def abort(self) -> None:
        """End at once, at the end of the server."""
        if self._transport is not None:
            self._cause = "closed by the gateway"
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing() and not self._paused:
            self._transport.write(data)

    def _ends(self) -> tuple[tuple[str, int], tuple[str, int]]:
        transport = self._transport
        if transport is None:
            return ("", 0), ("", 0)
        return _end(transport.get_extra_info("sockname")), _end(transport.get_extra_info("peername"))

    def _socket(self) -> LinkSocket | None:
        found: LinkSocket | None = None if self._transport is None else self._transport.get_extra_info("socket")
        return found

    def _watch_for(self, wait_s: float, look: Any) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_later(wait_s, look)

    def _still_paused(self) -> None:
        if self._paused:
            self.drop(f"nothing was read for {STALL_S:g} s")

    def _still_idle(self) -> None:
        if not self.heard:
            self.drop(f"no frame of a master for {IDLE_S:g} s")


def _end(name: Any) -> tuple[str, int]:
    return (str(name[0]), int(name[1])) if name else ("", 0)


def _host(name: Any) -> str:
    return str(name[0]) if name else ""
