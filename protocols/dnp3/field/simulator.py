"""Plays the outstations of a line on our own stack, with faults at the turn of a switch.

For demonstration, tests and figures only; it is never part of the gateway's own path. A port of 0 takes a free port;
`address` then says which.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import cast

import numpy as np

from gateway.contracts import Outcome, Reason, Stage
from gateway.points import Qualities, Rows, Times, Values, changes
from protocols.dnp3.effects import Submit
from protocols.dnp3.field.plan import LinePlan, StationPlan
from protocols.dnp3.link import LinkReader
from protocols.dnp3.outstation import Outstation
from protocols.dnp3.plan import BindingColumns, MasterPlan, Mode, Parameters, UnsolicitedPlan
from protocols.dnp3.pointtypes import TYPES, PointType
from protocols.dnp3.session import Rest, Session

_CAPACITY = (10_000, 10_000, 10_000)
_TICK_S = 0.02


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong from now on. All can be changed while it runs."""

    frozen: bool = False
    """Takes connections and everything that comes, sends nothing."""
    garbage: bool = False
    """Octets that are no frame instead of each answer."""
    delay_s: float = 0.0
    """Everything comes this much later, in order."""
    lose: float = 0.0
    """This share of answers is lost (0 to 1)."""
    refuse: bool = False
    """Commands are answered negatively."""


class _Table:
    """What the points are now (`gateway.contracts.TableView`)."""

    def __init__(self, size: int) -> None:
        self.value: Values = np.zeros(size)
        self.quality: Qualities = np.zeros(size, np.uint32)
        self.time_ns: Times = np.full(size, time.time_ns(), np.int64)


class PlayedStation:
    """One outstation with its points and its one master."""

    def __init__(self, plan: StationPlan) -> None:
        self.plan = plan
        size = len(plan.points)
        self.table = _Table(size)
        self.outstation = Outstation(self._master(), self.table)
        self.outstation.store.begin()
        self._order_at = {int(key): order for order in plan.orders for key in [int(order.type) << 16 | order.index]}
        self._seq = 0

    def _master(self) -> MasterPlan:
        plan = self.plan
        unsolicited = UnsolicitedPlan(retry_pause_s=0.2) if plan.unsolicited else None
        return MasterPlan(
            name="gateway",
            address=plan.master,
            outstation=plan.outstation,
            addresses=(),
            bindings=self._columns(),
            commands=True,
            capacity=_CAPACITY,
            unsolicited=unsolicited,
            parameters=Parameters(confirm_timeout_s=0.5, keep_alive_s=0.0),
        )

    def _columns(self) -> BindingColumns:
        points = self.plan.points
        size = len(points)
        types = (points.key >> np.uint32(16)).astype(np.uint8)
        rows = [TYPES[PointType(int(kind))] for kind in types]
        modes = {int(order.type) << 16 | order.index: order for order in self.plan.orders}
        ordered = [modes.get(int(key)) for key in points.key]
        mode = [0 if order is None else int(Mode.SELECT if order.select else Mode.DIRECT) for order in ordered]
        return BindingColumns(
            row=np.arange(size, dtype=np.uint32),
            type=types,
            index=(points.key & np.uint32(0xFFFF)).astype(np.uint16),
            event_class=np.full(size, 1, np.uint8),
            class_0=np.ones(size, np.bool_),
            static_var=np.array([row.static for row in rows], np.uint8),
            event_var=np.array([row.event for row in rows], np.uint8),
            command_event_var=np.zeros(size, np.uint8),
            limit=np.full(size, np.nan),
            newest_only=np.zeros(size, np.bool_),
            mode=np.array(mode, np.uint8),
            controls=np.full(size, 7, np.uint8),
            scale=np.ones(size),
            offset=np.zeros(size),
        )

    def tell(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times) -> None:
        """What the points are from now on, in engineering units; changes are events."""
        points = self.plan.points
        at = {int(row): position for position, row in enumerate(points.row)}
        mine = np.array([n for n, row in enumerate(rows.tolist()) if row in at], np.intp)
        own = np.array([at[int(row)] for row in rows[mine]], np.intp)
        wire = (values[mine] - points.offset[own]) / points.scale[own]
        table = self.table
        moved = (table.value[own] != wire) | (table.quality[own] != qualities[mine])
        own, wire, quality, times = own[moved], wire[moved], qualities[mine][moved], times_ns[mine][moved]
        if len(own):
            table.value[own], table.quality[own], table.time_ns[own] = wire, quality, times
            self._seq += len(own)
            self.outstation.changes(changes(own, wire, quality, times), self._seq)

    def commanded(self, submit: Submit) -> tuple[int, float]:
        """Row and engineering value of a command."""
        key = int(self.plan.points.key[submit.order.position])
        order = self._order_at[key]
        return order.row, submit.order.value * order.scale + order.offset


class _Peer(asyncio.Protocol):
    """One connection."""

    def __init__(self, simulator: OutstationSimulator) -> None:
        self._simulator = simulator
        self._loop = asyncio.get_running_loop()
        self._reader = LinkReader()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.sessions: list[tuple[PlayedStation, Session]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        for peer in list(self._simulator.peers):
            peer.abort()
        self._simulator.peers.append(self)
        now = time.monotonic()
        self.sessions = [(station, Session(station.outstation, now)) for station in self._simulator.stations]
        for station, session in self.sessions:
            self._apply(station, session, session.begin(now, time.time_ns()))
        self._tick()

    def data_received(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            for station, session in self.sessions:
                if session.link.accepts(frame):
                    self._apply(station, session, session.receive(frame, time.monotonic(), time.time_ns()))

    def connection_lost(self, exc: Exception | None) -> None:
        self.abort()

    def abort(self) -> None:
        if self in self._simulator.peers:
            self._simulator.peers.remove(self)
            for _, session in self.sessions:
                session.end()
        self.sessions = []
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    def work(self) -> None:
        for station, session in self.sessions:
            self._apply(station, session, session.on_time(time.monotonic(), time.time_ns()))

    def _tick(self) -> None:
        self.work()
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _apply(self, station: PlayedStation, session: Session, rest: list[Rest]) -> None:
        for effect in rest:
            if isinstance(effect, Submit):
                outcome = self._simulator.obey(station, effect)
                self._apply(station, session, session.outcome(effect.ticket, outcome, time.monotonic(), time.time_ns()))
        data = session.data_to_send()
        if data:
            self._write(data)

    def _write(self, data: bytes) -> None:
        data = self._simulator.spoilt(data)
        delay_s = self._simulator.faults.delay_s
        if delay_s:
            self._loop.call_later(delay_s, self._send, data)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


class OutstationSimulator:
    """The outstations of a plan (`gateway.contracts.FieldSimulator`)."""

    def __init__(self, plan: LinePlan) -> None:
        self.plan, self.faults = plan, Faults()
        self.address = plan.address
        self.stations = [PlayedStation(station) for station in plan.stations]
        self.peers: list[_Peer] = []
        self._written: list[tuple[int, float]] = []
        self._listener: asyncio.Server | None = None
        self._random = random.Random(0)  # noqa: S311 which answers a test loses, not a secret

    async def start(self) -> None:
        """Listen. Raises `OSError` when the address is taken."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Peer(self), *self.address)
        self.address = self.address[0], int(self._listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every socket; `start` comes back at the same address."""
        if self._listener is not None:
            self._listener.close()
        for peer in list(self.peers):
            peer.abort()
        if self._listener is not None:
            await self._listener.wait_closed()
        self._listener = None
        await asyncio.sleep(0)

    def set(self, rows: Rows, values: Values) -> None:
        """What is measured from now on, in engineering units; changes are told as events."""
        self.tell(rows, values, np.zeros(len(rows), np.uint32), time.time_ns())

    def tell(self, rows: Rows, values: Values, qualities: Qualities, time_ns: int) -> None:
        """The same with quality and time."""
        for station in self.stations:
            station.tell(rows, values, qualities, np.full(len(rows), time_ns, np.int64))
        for peer in list(self.peers):
            peer.work()

    def written(self) -> list[tuple[int, float]]:
        """Commands received since the last call: (row, engineering value), in order."""
        written, self._written = self._written, []
        return written

    def obey(self, station: PlayedStation, submit: Submit) -> Outcome:
        """What becomes of a command."""
        if submit.refusal is not None:
            return Outcome(id=submit.ticket, stage=Stage.REFUSED, reason=submit.refusal.reason)
        if self.faults.refuse:
            return Outcome(id=submit.ticket, stage=Stage.REFUSED, reason=Reason.INTERLOCKED)
        if not submit.select:
            self._written.append(station.commanded(submit))
        return Outcome(id=submit.ticket, stage=Stage.COMPLETED)

    def spoilt(self, data: bytes) -> bytes:
        """What goes over the wire for these frames."""
        faults = self.faults
        if faults.frozen or (faults.lose and self._random.random() < faults.lose):
            return b""
        return self._random.randbytes(len(data)) if faults.garbage else data
