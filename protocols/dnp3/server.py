"""The shell: listener, dialled connections and serial line, and the masters behind them."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from gateway.contracts import ServerPort
from gateway.events.housekeeping import Housekeeping
from gateway.points import Changes
from gateway.refusals import Refusals
from gateway.tls.channel import TlsChannel, TlsEntrance
from gateway.tls.door import TlsDoor
from protocols.dnp3.association import Address, Association
from protocols.dnp3.channel import Channel, TcpChannel
from protocols.dnp3.datagrams import UdpChannel, UdpEndpoint
from protocols.dnp3.plan import SerialPlan, ServerPlan
from protocols.dnp3.serialline import REOPEN_S, SerialChannel
from protocols.dnp3.tlsgroups import masters_by_dial, masters_by_place

BACKLOG: Final = 64
CLOSE_TIMEOUT_S: Final = 1.0
SILENT: Final = "silent, and its place was needed"


class Dnp3Server:
    """Any number of masters at one or more outstation addresses. Implements `gateway.contracts.OutputServer`."""

    def __init__(self, plan: ServerPlan, port: ServerPort) -> None:
        self.plan = plan
        self.port = port
        self.log = port.log.bind(server=plan.name)
        self.housekeeping = Housekeeping([master.name for master in plan.masters], plan.system, port, self.log)
        self.associations = {
            master.name: Association(plan.name, master, port, self.housekeeping) for master in plan.masters
        }
        self.channels: list[Channel] = []
        self._listener: asyncio.Server | None = None
        self._udp: UdpEndpoint | None = None
        self.udp_broken = 0
        """Datagrams of unknown peers without a frame."""
        self._door: TlsDoor | None = None
        self._entrances: list[TlsEntrance] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._refusals = Refusals(self.log)
        self._stopping = False

    def resume(self, confirmed: dict[str, int]) -> None:
        """Feed sequence numbers that masters had confirmed before this process started."""
        for name, seq in confirmed.items():
            if name in self.associations:
                self.associations[name].outstation.store.resume(seq)
                self.housekeeping.resume(name, seq)

    def changes(self, batch: Changes, seq: int) -> None:
        """Make events for every master, and send unsolicited responses that are due."""
        for association in self.associations.values():
            association.changes(batch, seq)
        self.housekeeping.due()

    def missed(self, count: int) -> None:
        """Changes never reached this process: every master is told that events may be lost."""
        for association in self.associations.values():
            association.missed(count)

    def commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command was written to the field; its effect is told as an event like any other."""

    def reported(self, master: str, row: int) -> tuple[float, int] | None:
        """See `gateway.contracts.OutputServer`."""
        association = self.associations.get(master)
        return None if association is None else association.outstation.store.reported(row)

    async def start(self) -> None:
        """Listen, dial, open the line. Raises `OSError` when the address is taken or a certificate cannot be read."""
        loop = asyncio.get_running_loop()
        self._door = self._tls_door()
        for association in self.associations.values():
            association.start(loop)
        if self.plan.listen is not None:
            host, number = self.plan.listen
            self._listener = await loop.create_server(self._way_in(), host, number, backlog=BACKLOG)
            self.log.info("listening", address=f"{host}:{self.bound_port}", tls=self._door is not None)
        if self.plan.udp is not None:
            udp = UdpEndpoint(self)
            await loop.create_datagram_endpoint(lambda: udp, local_addr=self.plan.udp)
            self._udp = udp
            self.log.info("listening", address=f"udp {self.plan.udp[0]}:{self.udp_port}")
        stores = {name: association.outstation.store for name, association in self.associations.items()}
        self.housekeeping.start(loop, stores)
        for association in self.associations.values():
            if association.plan.dial is not None:
                self._tasks.append(loop.create_task(self._dial(association)))
        if self.plan.serial is not None:
            self._tasks.append(loop.create_task(self._serve_line(self.plan.serial)))

    async def stop(self) -> None:
        """Accept and dial nothing more, let written answers go out, close every connection."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for entrance in self._entrances:
            entrance.close()
        for channel in list(self.channels):
            channel.close()
        open_ones = [channel for channel in self.channels if isinstance(channel, TcpChannel)]
        if open_ones:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(channel.closed for channel in open_ones)), CLOSE_TIMEOUT_S)
        for channel in open_ones:
            channel.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)
        if self._udp is not None:
            self._udp.close()
        for association in self.associations.values():
            association.stop()
        for association in self.associations.values():
            await association.memory.stop()
        await asyncio.to_thread(self._close_journals)
        self.housekeeping.stop()
        if self._listener is not None:
            await self._listener.wait_closed()
            self._listener = None

    def _close_journals(self) -> None:
        for association in self.associations.values():
            association.journal.close()

    @property
    def refused(self) -> int:
        """Connections turned away since start, those that gave way to others among them."""
        return self._refusals.count

    @property
    def bound_port(self) -> int:
        """The TCP port listened on; 0 before `start`, or when only dialling."""
        sockets = self._listener.sockets if self._listener is not None else ()
        return int(sockets[0].getsockname()[1]) if sockets else 0

    @property
    def udp_port(self) -> int:
        """The UDP port listened on; 0 before `start`, or without one."""
        return 0 if self._udp is None else self._udp.local[1]

    @property
    def malformed(self) -> int:
        """What came on the open connections and was of no use, and fragments that were none since start."""
        fragments = sum(association.outstation.malformed for association in self.associations.values())
        return fragments + self.udp_broken + sum(channel.malformed for channel in self.channels)

    def _tls_door(self) -> TlsDoor | None:
        if self.plan.tls is None:
            return None
        masters = self.plan.masters
        door = TlsDoor(self.plan.tls, self.log, masters_by_place(masters), masters_by_dial(masters))
        door.open()
        return door

    def _way_in(self, dialled: Association | None = None) -> Callable[[], TcpChannel | TlsChannel]:
        """Makes what holds a connection: one that we accepted, or one to the end point of `dialled`."""
        if self._door is None:
            return lambda: TcpChannel(self, dialled)
        entrance = TlsEntrance(
            self._door,
            lambda peer: [other.name for other in self._at(peer, dialled)],
            self._refusals.refuse,
            lambda certified: TcpChannel(self, dialled, certified),
            self.log,
            client=dialled is not None,
        )
        self._entrances.append(entrance)
        return lambda: TlsChannel(entrance)

    def _at(self, peer: str, dialled: Association | None) -> list[Association]:
        """Masters that may be at the other end; empty for a stranger, who is refused."""
        if dialled is not None:
            return [other for other in self.associations.values() if other.plan.dial == dialled.plan.dial]
        address = _plain(peer)
        candidates = [other for other in self.associations.values() if other.calls_from(address)]
        if not candidates:
            self._refusals.refuse(peer, "address belongs to no master")
        return candidates

    def admit(
        self, channel: TcpChannel, dialled: Association | None, certified: Sequence[str] | None
    ) -> list[Association]:
        """Masters that may speak on a new connection; empty for a stranger or one too many."""
        if self._stopping:
            return []
        candidates = self._at(channel.peer, dialled)
        if certified is not None:
            candidates = [candidate for candidate in candidates if candidate.name in certified]
        if candidates and dialled is None and not self._has_room(channel.peer):
            self._refusals.refuse(channel.peer, f"{self.plan.connections} connections are open already")
            return []
        return self._take_in(channel, candidates)

    def admit_datagrams(self, channel: UdpChannel) -> list[Association]:
        """Masters that may speak from a new UDP peer; the longest silent one gives way where there are too many."""
        if self._stopping:
            return []
        candidates = self._at(channel.peer, None)
        peers = [other for other in self.channels if isinstance(other, UdpChannel)]
        if candidates and len(peers) >= self.plan.connections:
            silent = [peer for peer in peers if not peer.associations]
            (silent or peers)[0].drop("its place is needed")
        return self._take_in(channel, candidates)

    def _take_in(self, channel: Channel, candidates: list[Association]) -> list[Association]:
        if candidates:
            self.channels.append(channel)
        return candidates

    def _has_room(self, peer: str) -> bool:
        """For one more of this address. A connection on which no master ever spoke gives way to a new one."""
        # One that gives way stays in the list until its transport is gone: in a burst that is many connections later.
        accepted = [channel for channel in self.channels if isinstance(channel, TcpChannel) and not channel.ending]
        if len(accepted) < self.plan.connections:
            self._refusals.admit(peer)
            return True
        silent = next((channel for channel in accepted if not channel.heard), None)
        if silent is None:
            return False
        self._refusals.refuse(silent.peer, SILENT)
        silent.give_way(SILENT)
        return True

    def forget(self, channel: Channel, held: list[Association]) -> None:
        """A connection is gone; those that held it look for another one that their master made."""
        if channel in self.channels:
            self.channels.remove(channel)
        if self._stopping:
            return
        for association in held:
            any(other.offer(association) for other in reversed(self.channels))

    async def _dial(self, association: Association) -> None:
        """Keep a connection to a master that does not connect to us; the first master of an end point dials it."""
        plan = association.plan
        same = [other for other in self.associations.values() if other.plan.dial == plan.dial]
        if plan.dial is None or same[0] is not association:
            return
        host, number = plan.dial
        loop, failing, way = asyncio.get_running_loop(), False, self._way_in(association)
        while True:
            try:
                _, channel = await loop.create_connection(way, host, number)
            except OSError as error:
                if not failing:
                    failing = True
                    self.log.warning("cannot connect", master=plan.name, address=f"{host}:{number}", cause=str(error))
            else:
                failing = False
                await channel.closed
            await asyncio.sleep(plan.dial_retry_s)

    async def _serve_line(self, plan: SerialPlan) -> None:
        """Keep the serial port open."""
        failing = False
        while True:
            try:
                channel = SerialChannel(self, plan)
            except OSError as error:
                if not failing:
                    failing = True
                    self.log.warning("serial port cannot be opened", port=plan.path, cause=str(error))
            else:
                failing = False
                self.channels.append(channel)
                self.log.info("serial port open", port=plan.path, baudrate=plan.baudrate)
                channel.open([other for other in self.associations.values() if other.plan.serial])
                cause = await channel.closed
                self.log.warning("serial port lost", port=plan.path, cause=cause)
            await asyncio.sleep(REOPEN_S)


def _plain(peer: str) -> Address:
    """An address as its master's list writes it: a mapped IPv4 address is the IPv4 address."""
    address = ipaddress.ip_address(peer.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
