"""The shell: listener, clocks and the worker's port around the pure stations; `link` holds each connection."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import math
import time
from typing import Final

from gateway.contracts import Command, Origin, ServerPort
from gateway.events import MISSED, EventJournal, journal_path
from gateway.events.housekeeping import FULL, Housekeeping
from gateway.points import Changes
from gateway.refusals import Refusals
from gateway.tls.channel import TlsChannel, TlsEntrance
from gateway.tls.door import TlsDoor
from protocols.iec104.clock import EventClock
from protocols.iec104.group import Group
from protocols.iec104.journal import binding_names
from protocols.iec104.link import Link
from protocols.iec104.memoryfile import MemoryKeeper
from protocols.iec104.plan import ClockTrust, MasterPlan, ServerPlan
from protocols.iec104.session import Session, SetClock, Submit
from protocols.iec104.station import Station, StationOptions
from protocols.iec104.systemclock import ClockWatch, set_system_clock
from protocols.iec104.time56 import Zone

BACKLOG: Final = 64
CLOSE_TIMEOUT_S: Final = 1.0
RETURN_WITHIN_S: Final = 10.0
"""How long a change may take to be taken for a command's effect, where its point says nothing."""
_OFFSET_LOGGED_NS: Final = 1_000_000_000
"""A move of the event clock by so much is worth a line."""

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
        self.housekeeping = Housekeeping(self.groups, plan.system, port, self.log)
        self.memory = MemoryKeeper(port.state_dir / "iec104" / plan.name, self.groups, port.catalogue, self.log)
        self.memory.load()
        self._clock_watch = ClockWatch(self.clock, self.log)
        self._offset_logged_ns = 0
        self._entrance: TlsEntrance | None = None
        self._listener: asyncio.Server | None = None
        self._refusals = Refusals(self.log)
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
                self.housekeeping.overflowed(name, FULL, capacity=group.station.plan.capacity)
            if group.active is not None and group.station.queue.waiting:
                self.links[group.active.number].pump()
        self.housekeeping.due()

    def missed(self, count: int) -> None:
        """Changes never reached this process: every master is told that events may be lost."""
        for name, group in self.groups.items():
            group.station.queue.missed(count)
            self.housekeeping.overflowed(name, MISSED)
        self.housekeeping.due()

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command was written to the field: what changes there next is told as return information."""
        window_s = float(self.port.catalogue.feedback_s[row])
        until = time.monotonic() + (RETURN_WITHIN_S if math.isnan(window_s) else window_s)
        for group in self.groups.values():
            group.station.commanded(row, feedback, remote, until)

    def reported(self, master: str, row: int) -> tuple[float, int] | None:
        """See `gateway.contracts.OutputServer`."""
        group = self.groups.get(master)
        return None if group is None else group.station.reported(row)

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address is taken or a certificate cannot be read."""
        for group in self.groups.values():
            group.station.begin()
        self._entrance = self._tls_entrance()
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._protocol, self.plan.host, self.plan.port, backlog=BACKLOG)
        for group in self.groups.values():
            group.station.queue.start()
        self.housekeeping.start(loop, {name: group.station.queue for name, group in self.groups.items()})
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
    def refused(self) -> int:
        """Connections turned away since start."""
        return self._refusals.count

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
        return TlsEntrance(door, self._masters_at, self._refusals.refuse, lambda _: Link(self), self.log)

    def _protocol(self) -> asyncio.Protocol:
        return Link(self) if self._entrance is None else TlsChannel(self._entrance)

    def _masters_at(self, peer: str) -> tuple[str, ...]:
        """Name of the one master at an address; none for a stranger, who is refused."""
        group = self._group_at(peer)
        return () if group is None else (group.station.plan.name,)

    def _group_at(self, peer: str) -> Group | None:
        address = _plain(peer)
        group = next((group for network, group in self._networks if address in network), None)
        if group is None:
            self._refusals.refuse(peer, "address belongs to no master")
        return group

    def admit(self, peer: str) -> Group | None:
        """The master a peer address belongs to, or None for a stranger or a link too many."""
        group = self._group_at(peer)
        if group is not None and group.full:
            # A link that is dead but not yet known to be: find out within t1, so that the master can come back.
            for session in group.sessions:
                self.links[session.number].probe()
            self._refusals.refuse(peer, f"{group.station.plan.name} already holds {group.station.plan.links} links")
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
        self._refusals.admit(peer)

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


def _plain(peer: str) -> Address:
    """An address as its master's list writes it: a mapped IPv4 address is the IPv4 address."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
