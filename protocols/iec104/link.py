"""One TCP connection of the shell, around one pure session."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.contracts import LinkName, Outcome
from protocols.iec104.group import Group
from protocols.iec104.session import Close, Effect, Session, SetClock

if TYPE_CHECKING:
    from protocols.iec104.server import Iec104Server

WRITE_BUFFER: Final = 65_536
"""Octets that wait for a slow reader before nothing more is produced for it or read from it."""
_BY_MASTER: Final = "closed by the master"


class Link(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, server: Iec104Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._group: Group | None = None
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._cause = _BY_MASTER
        self._name = LinkName("", 0, ("", 0), ("", 0))
        self.peer = ""
        self.master = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Admit or turn away."""
        self._transport = cast(asyncio.Transport, transport)
        self.peer = _peer(transport.get_extra_info("peername"))
        group = self._server.admit(self.peer)
        if group is None:
            self._transport.abort()
            return
        self._server.admitted(self.peer)
        self._group, self.master = group, group.station.plan.name
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._session = Session(group.station, self._server.plan.apci, self._loop.time())
        group.join(self._session)
        self._server.remember(self._session, self)
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._name = LinkName(self.master, self._session.number, _end(local), _end(peer))
        self._server.port.trace.opened(self._name, transport.get_extra_info("socket"))
        self._server.log.info("master connected", master=self.master, peer=self.peer)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Octets of the peer, cut anywhere."""
        if self._session is not None:
            self._server.port.trace.record(self._name, False, data)
            self._apply(self._session.receive(data, self._loop.time(), time.time_ns()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, for whatever reason."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        session, group = self._session, self._group
        self._session = self._transport = None
        if session is None or group is None:
            return
        was_active = session is group.active
        group.leave(session)
        self._server.forget(session)
        cause = str(exc) if exc is not None else self._cause
        self._server.port.trace.closed(self._name, self._cause != _BY_MASTER, cause)
        self._server.log.info("master disconnected", master=self.master, peer=self.peer, cause=cause)
        if was_active:
            self._server.housekeeping.online(self.master, False)

    def pause_writing(self) -> None:
        """The peer does not read: produce nothing more, and read nothing more from it."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._paused = False
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self.pump()

    def pump(self) -> None:
        """Send what the window and the transport take."""
        session, transport = self._session, self._transport
        if session is None or transport is None or transport.is_closing():
            return
        while not self._paused:
            data = session.produce(self._loop.time())
            if not data:
                break
            self._write(transport, data)
        self._arm()

    def outcome(self, ticket: int, outcome: Outcome) -> None:
        """A step of a command that this link asked for."""
        if self._session is not None:
            self._session.outcome(ticket, outcome)
            self.pump()

    def clock_set(self, order: SetClock, done: bool) -> None:
        """Whether the machine's clock was set."""
        if self._session is not None:
            self._session.clock_set(order.request, done)

    def probe(self) -> None:
        """Test the connection now."""
        if self._session is not None:
            self._session.connection.probe(self._loop.time())
            self.pump()

    def close(self) -> None:
        """Close after what is written has gone out; at once when the peer does not read."""
        if self._transport is not None and not self._transport.is_closing():
            self._cause = "closed by the gateway"
            self.pump()
            (self._transport.abort if self._paused else self._transport.close)()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, transport: asyncio.Transport, data: bytes) -> None:
        if data:
            transport.write(data)
            self._server.port.trace.record(self._name, True, data)

    def _apply(self, effects: list[Effect]) -> None:
        group, session = self._group, self._session
        if group is None or session is None:
            return
        before = group.active
        for effect in group.apply(session, effects, self._loop.time()):
            if isinstance(effect, Close):
                self._break(effect.cause)
                return
            if isinstance(effect, SetClock):
                self._server.set_clock(self, effect)
            else:
                self._server.submit(self, effect)
        self._tell(before)
        if effects:
            self._server.housekeeping.due()
        self._server.look_after(self.master)
        self.pump()

    def _tell(self, before: Session | None) -> None:
        """Log and publish that data transfer began, moved or ended."""
        group = self._group
        if group is None or group.active is before:
            return
        started = group.active is self._session
        words = "data transfer started" if started else "data transfer stopped"
        self._server.log.info(words, master=self.master, peer=self.peer)
        self._server.housekeeping.online(self.master, group.active is not None)

    def _break(self, cause: str) -> None:
        """Close because the peer broke the protocol or is silent."""
        self._server.log.warning("connection closed", master=self.master, peer=self.peer, cause=cause)
        self._cause = cause
        transport, session = self._transport, self._session
        if transport is None or session is None:
            return
        self._write(transport, session.connection.data_to_send())
        (transport.abort if transport.get_write_buffer_size() else transport.close)()

    def _arm(self) -> None:
        """One timer, moved only when something is due sooner; a timer that fires early looks again."""
        deadline = self._session.next_deadline() if self._session is not None else None
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._session is not None:
            self._apply(self._session.on_time(self._loop.time()))
            self._arm()


def _peer(name: Any) -> str:
    return str(name[0]) if name else ""


def _end(name: Any) -> tuple[str, int]:
    """Address and port of one end of a connection."""
    return (str(name[0]), int(name[1])) if name else ("", 0)
