"""The shell: sockets, clocks and the worker's port around the pure sessions."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import time
from typing import Any, Final, cast

from gateway.contracts import Command, LinkName, Origin, Outcome, ServerPort
from gateway.events import EventJournal, journal_path
from gateway.points import Changes
from protocols.iec104.clock import EventClock
from protocols.iec104.group import Group
from protocols.iec104.housekeeping import Housekeeping
from protocols.iec104.journal import binding_names
from protocols.iec104.memoryfile import MemoryKeeper
from protocols.iec104.plan import ClockTrust, MasterPlan, ServerPlan
from protocols.iec104.session import Close, Effect, Session, SetClock, Submit
from protocols.iec104.station import Station, StationOptions
from protocols.iec104.systemclock import ClockWatch, set_system_clock
from protocols.iec104.time56 import Zone
from protocols.iec104.tls import TlsDoor
from protocols.iec104.tlschannel import TlsChannel, TlsEntrance

WRITE_BUFFER: Final = 65_536
"""Octets that wait for a slow reader before nothing more is produced for it or read from it."""
BACKLOG: Final = 64
STRANGERS_LOGGED: Final = 1_000
CLOSE_TIMEOUT_S: Final = 1.0
RETURN_WITHIN_S: Final = 10.0
"""How long a change may take to be taken for a command's effect, where its point says nothing."""
_OFFSET_LOGGED_NS: Final = 1_000_000_000
"""A move of the event clock by so much is worth a line."""
_BY_MASTER: Final = "closed by the master"

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Iec104Server:
    """One listener, its masters and their links. Implements `gateway.contracts.OutputServer`."""

    def __init__(self, plan: ServerPlan, port: ServerPort) -> None:
        self.plan = plan
        self.port = port
        self.log = port.log.bind(server=plan.name)
        zone = Zone(plan.time_zone, day_of_week=plan.day_of_week)
        self.clock = EventClock()
        options = StationOptions(
            select_timeout_s=plan.select_timeout_s,
            command_max_age_s=plan.command_max_age_s,
            clock_sync=plan.clock_sync,
            end_of_initialisation=plan.end_of_initialisation,
            reset_process=plan.reset_process,
            clock=self.clock,
        )
        self.groups = {
            master.name: Group(
                Station(master, port.catalogue, zone, port.table, options, self._journal(master)),
            )
            for master in plan.masters
        }
        self._networks = [
            (ipaddress.ip_network(address, strict=False), self.groups[master.name])
            for master in plan.masters
            for address in master.addresses
        ]
        self.links: dict[int, Link] = {}
        self.housekeeping = Housekeeping(plan, self.groups, port, self.log)
        self.memory = MemoryKeeper(port.state_dir / "iec104" / plan.name, self.groups, port.catalogue, self.log)
        self.memory.load()
        self._clock_watch = ClockWatch(self.clock, self.log)
        self._offset_logged_ns = 0
        self._entrance: TlsEntrance | None = None
        self._listener: asyncio.Server | None = None
        self._refused: set[tuple[str, str]] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()

    def _journal(self, master: MasterPlan) -> EventJournal:
        path = journal_path(self.port.state_dir, self.plan.name, master.name)
        names = binding_names(master.bindings, self.port.catalogue)
        return EventJournal.open(path, master.capacity, names, self.log.bind(master=master.name))

    def _close_journals(self) -> None:
        for group in self.groups.values():
            group.station.queue.close()

    def resume(self, confirmed: dict[str, int]) -> None:
        """Feed sequence numbers that masters had confirmed before this process started."""
        for name, seq in confirmed.items():
            if name in self.groups:
                self.groups[name].station.resume(seq)

    def changes(self, batch: Changes, seq: int) -> None:
        """Make events for every master and send what the windows allow, at once."""
        now = time.monotonic()
        for name, group in self.groups.items():
            dropped = group.station.changes(batch, seq, now)
            if dropped:
                self.housekeeping.overflowed(name)
            if group.active is not None and group.station.queue.waiting:
                self.links[group.active.number].pump()
        self.housekeeping.due()

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command was written to the field: what changes there next is told as return information."""
        window_s = float(self.port.catalogue.feedback_s[row])
        until = time.monotonic() + (RETURN_WITHIN_S if math.isnan(window_s) else window_s)
        for group in self.groups.values():
            group.station.commanded(row, feedback, remote, until)

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address is taken or a certificate cannot be read."""
        for group in self.groups.values():
            group.station.begin()
        self._entrance = self._tls_entrance()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._protocol, self.plan.host, self.plan.port, backlog=BACKLOG)
        for group in self.groups.values():
            group.station.queue.start()
        self.housekeeping.start(loop)
        if self.plan.clock_trusted is ClockTrust.KERNEL:
            self._clock_watch.start(loop)
        self.log.info("listening", address=f"{self.plan.host}:{self.bound_port}", tls=self._entrance is not None)

    async def stop(self) -> None:
        """Accept nothing more, let written answers go out, close every link."""
        if self._listener is not None:
            self._listener.close()
        if self._entrance is not None:
            self._entrance.close()
        for link in list(self.links.values()):
            link.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_closed.wait(), CLOSE_TIMEOUT_S)
        for link in list(self.links.values()):
            link.abort()
        await asyncio.sleep(0)
        await asyncio.to_thread(self._close_journals)
        self.housekeeping.stop()
        self._clock_watch.stop()
        await self.memory.stop()
        if self._listener is not None:
            await self._listener.wait_closed()
            self._listener = None

    @property
    def bound_port(self) -> int:
        """The TCP port listened on; 0 before `start`."""
        sockets = self._listener.sockets if self._listener is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    def _tls_entrance(self) -> TlsEntrance | None:
        if self.plan.tls is None:
            return None
        door = TlsDoor(self.plan.tls, self.log)
        door.open()
        return TlsEntrance(door, self._master_at, self._refuse, lambda: Link(self), self.log)

    def _protocol(self) -> asyncio.Protocol:
        return Link(self) if self._entrance is None else TlsChannel(self._entrance)

    def _master_at(self, peer: str) -> str:
        """Name of the master at an address; empty for a stranger, who is refused."""
        group = self._group_at(peer)
        return "" if group is None else group.station.plan.name

    def _group_at(self, peer: str) -> Group | None:
        address = _plain(peer)
        group = next((group for network, group in self._networks if address in network), None)
        if group is None:
            self._refuse(peer, "address belongs to no master")
        return group

    def admit(self, peer: str) -> Group | None:
        """The master a peer address belongs to, or None for a stranger or a link too many."""
        group = self._group_at(peer)
        if group is not None and group.full:
            # A link that is dead but not yet known to be: find out within t1, so that the master can come back.
            for session in group.sessions:
                self.links[session.number].probe()
            self._refuse(peer, f"{group.station.plan.name} already holds {group.station.plan.links} links")
            return None
        return group

    def remember(self, session: Session, link: Link) -> None:
        """A link is up."""
        self.links[session.number] = link
        self._all_closed.clear()

    def forget(self, session: Session) -> None:
        """A link is gone."""
        del self.links[session.number]
        if not self.links:
            self._all_closed.set()

    def admitted(self, peer: str) -> None:
        """A link was taken: its next refusal is news again."""
        self._refused = {(address, cause) for address, cause in self._refused if address != peer}

    def _refuse(self, peer: str, cause: str) -> None:
        if (peer, cause) in self._refused or len(self._refused) >= STRANGERS_LOGGED:
            return
        self._refused.add((peer, cause))
        self.log.warning("connection refused", peer=peer, cause=cause)
        if len(self._refused) == STRANGERS_LOGGED:
            self.log.warning("further refused addresses are not logged", logged=STRANGERS_LOGGED)

    def submit(self, link: Link, order: Submit) -> None:
        """Hand a command to the broker; its outcomes go back to the link that asked, if it is still there."""
        now_ns = time.time_ns()
        commands = self.port.commands
        command = Command(
            id=commands.next_id(),
            row=order.row,
            value=order.value,
            action=order.action,
            origin=Origin(protocol="iec104", server=self.plan.name, master=link.master, peer=link.peer),
            deadline_ns=now_ns + int(self.plan.command_timeout_s * 1e9),
            pulse=order.pulse,
            received_ns=now_ns,
            test=order.test,
            refusal=order.refusal,
            refusal_text=order.text,
        )
        commands.submit(command, lambda outcome: link.outcome(order.ticket, outcome))

    def set_clock(self, link: Link, order: SetClock) -> None:
        """Set the machine's clock; the master hears whether it could be done."""
        try:
            set_system_clock(order.time_ns)
        except OSError as error:
            self.log.error("clock not set", master=link.master, cause=str(error))
            link.clock_set(order, False)
        else:
            self.log.info("clock set", master=link.master, to_ns=order.time_ns)
            link.clock_set(order, True)

    def look_after(self, master: str) -> None:
        """A request may have moved the event clock or changed what must be kept."""
        self.memory.save_altered()
        offset_ns = self.clock.offset_ns
        if abs(offset_ns - self._offset_logged_ns) >= _OFFSET_LOGGED_NS:
            self._offset_logged_ns = offset_ns
            self.log.info("event clock moved", master=master, offset_s=round(offset_ns / 1e9, 3))


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
        self._server.port.trace.opened(self._name)
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
        self._server.port.trace.closed(self._name, self._cause != _BY_MASTER)
        cause = str(exc) if exc is not None else self._cause
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


def _plain(peer: str) -> Address:
    """An address as its master's list writes it: a mapped IPv4 address is the IPv4 address."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
