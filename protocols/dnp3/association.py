"""One master as the server knows it: its outstation, the connection it holds, its timer, and its road to the broker."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.contracts import Action, Command, Origin, Outcome, Reason, ServerPort
from gateway.events import MISSED, EventJournal, journal_path
from gateway.events.housekeeping import Housekeeping
from gateway.points import Changes
from protocols.dnp3.effects import Confirmed, Submit
from protocols.dnp3.journal import binding_names
from protocols.dnp3.memory import binding_keys
from protocols.dnp3.memoryfile import MemoryFile
from protocols.dnp3.outstation import Outstation
from protocols.dnp3.plan import MasterPlan
from protocols.dnp3.session import Rest, Session

if TYPE_CHECKING:
    from protocols.dnp3.channel import Channel

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_FAR: Final = 86_400.0


class Association:
    """Outlives connections. `channel` and `session` are None while the master cannot be reached."""

    def __init__(self, server: str, plan: MasterPlan, port: ServerPort, housekeeping: Housekeeping) -> None:
        self.plan = plan
        self._server = server
        self._port = port
        self._log = port.log.bind(server=server, master=plan.name)
        self._housekeeping = housekeeping
        names = binding_names(plan.bindings, port.catalogue)
        path = journal_path(port.state_dir, server, plan.name)
        self.journal = EventJournal.open(path, sum(plan.capacity), names, self._log)
        self.outstation = Outstation(plan, port.table, self.journal)
        keys = binding_keys(self.outstation, port.catalogue.names)
        memory_path = port.state_dir / "dnp3" / server / f"{plan.name}.json"
        self.memory = MemoryFile(memory_path, self.outstation, keys, self._log)
        self.memory.load()
        self.channel: Channel | None = None
        self.session: Session | None = None
        self._networks = [ipaddress.ip_network(address, strict=False) for address in plan.addresses]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def heard(self) -> bool:
        """The master has spoken on the connection that it holds."""
        return self.session is not None and self.session.heard

    def calls_from(self, address: Address) -> bool:
        """Whether this master may connect from there."""
        return any(address in network for network in self._networks)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """The table is right and the server serves."""
        self._loop = loop
        self.outstation.store.begin()
        self.journal.start()
        self.work()

    def stop(self) -> None:
        """No more timers. The journal is the caller's to close, for that waits for the disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.outstation.store.settle()
        self._loop = None

    def hold(self, channel: Channel, session: Session) -> None:
        """This connection is the master's from now on; the one before, if any, has lost it."""
        self.release()
        self.channel, self.session = channel, session
        self.carry_out(session.begin(time.monotonic(), time.time_ns()))

    def release(self) -> None:
        """The connection is gone, or belongs to the master no more."""
        channel, session = self.channel, self.session
        self.channel = self.session = None
        if channel is not None and session is not None:
            heard = session.heard
            session.end()
            if heard:
                self._log.info("master offline", peer=channel.peer)
                self._housekeeping.online(self.name, False)

    def greet(self) -> None:
        """The master spoke for the first time on this connection."""
        if self.channel is not None:
            self._log.info("master online", peer=self.channel.peer)
        self._housekeeping.online(self.name, True)

    def changes(self, batch: Changes, seq: int) -> None:
        """Make events, and tell them if the master wants that."""
        if self.outstation.changes(batch, seq):
            self._housekeeping.overflowed(self.name)
        if self._loop is not None and self.outstation.store.waiting:
            self.work(unread=True)

    def missed(self, count: int) -> None:
        """Changes never reached this process: IIN2.3, and counted."""
        self.outstation.store.missed(count)
        self._housekeeping.overflowed(self.name, MISSED)
        self._housekeeping.due()

    def work(self, unread: bool = False) -> None:
        """Do what is due, send what there is, and look again in time. `unread`: see `Outstation.work`."""
        now, wall_ns = time.monotonic(), time.time_ns()
        if self.session is not None:
            session = self.session
            self.carry_out(session.happened(now, wall_ns) if unread else session.on_time(now, wall_ns))
        else:
            self.outstation.work(now, wall_ns)
            self.memory.save_altered()

    def carry_out(self, rest: list[Rest]) -> None:
        """Effects of what was received or was due, in their order; then what they leave to be sent and kept."""
        for effect in rest:
            if isinstance(effect, Submit):
                self._submit(effect)
            elif isinstance(effect, Confirmed):
                self._housekeeping.due()
            else:
                self._log.debug("time written by the master", ahead_ms=effect.ahead_ms)
        self._flush()
        self._arm()
        self.memory.save_altered()

    def _flush(self) -> None:
        session, channel = self.session, self.channel
        if session is None or channel is None:
            return
        data = session.data_to_send()
        if data:
            channel.write(data, self.name)
            session.prepare()
        if session.lost:
            channel.lose(self)

    def _submit(self, effect: Submit) -> None:
        """Hand a command to the broker; its outcomes go back to the outstation."""
        now_ns = time.time_ns()
        commands, order, refusal = self._port.commands, effect.order, effect.refusal
        command = Command(
            id=commands.next_id(),
            row=order.row,
            value=order.value,
            action=Action.SELECT if effect.select else Action.EXECUTE,
            origin=Origin(
                protocol="dnp3",
                server=self._server,
                master=self.name,
                peer=self.channel.peer if self.channel is not None else "",
            ),
            deadline_ns=now_ns + int(self.plan.parameters.command_wait_s * 1e9),
            pulse=order.pulse,
            received_ns=now_ns,
            refusal=Reason.OK if refusal is None else refusal.reason,
            refusal_text="" if refusal is None else refusal.text,
        )
        commands.submit(command, self._listener(effect))

    def _listener(self, effect: Submit) -> Callable[[Outcome], None]:
        def heard(outcome: Outcome) -> None:
            if effect.refusal is not None or self._loop is None:
                return
            now, wall_ns = time.monotonic(), time.time_ns()
            session = self.session
            if session is not None:
                self.carry_out(session.outcome(effect.ticket, outcome, now, wall_ns))
            else:
                self.outstation.outcome(effect.ticket, outcome, now, wall_ns)

        return heard

    def _arm(self) -> None:
        """One timer, moved only when something is due sooner; a timer that fires early looks again."""
        if self._loop is None:
            return
        now, wall_ns = time.monotonic(), time.time_ns()
        holder = self.outstation if self.session is None else self.session
        wait_s = min(_FAR, max(0.0, holder.next_deadline(now, wall_ns) - now))
        when = self._loop.time() + wait_s
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self.work()
        self._arm()
