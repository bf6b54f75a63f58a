"""Plays the RTU of a plan: a small controlled station on our own stack, with faults at the turn of a switch.

For demonstration, tests and figures only; it is never part of the gateway's own path. A port of 0 takes a free port;
`addresses` then says which. Points that are single bits of a larger element, and those of protection equipment, are not
played: the stack of our server does not send them.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final, cast

import numpy as np

from gateway.contracts import Outcome, Reason, Stage
from gateway.points import Kind, Point, PointCatalogue, Qualities, Rows, Times, Values, changes
from protocols.iec104.elements import TYPES
from protocols.iec104.field.plan import RtuPlan
from protocols.iec104.group import Group
from protocols.iec104.plan import BindingColumns, MasterPlan, Mode
from protocols.iec104.session import Close, Effect, Session, Submit
from protocols.iec104.station import Station, StationOptions
from protocols.iec104.time56 import Zone

_LINKS: Final = 16


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong from now on. All can be changed while it runs."""

    frozen: bool = False
    """Takes connections and everything that comes, sends nothing."""
    garbage: bool = False
    """Octets that are no frame instead of each frame."""
    delay_s: float = 0.0
    """Everything comes this much later, in order."""
    lose: float = 0.0
    """This share of frames is lost (0 to 1): the numbers then have a gap."""
    refuse: bool = False
    """Commands are answered negatively."""
    deaf: bool = False
    """Commands are not answered at all."""


class _Table:
    """What the station's points are now (`gateway.contracts.TableView`)."""

    def __init__(self, size: int) -> None:
        self.value: Values = np.zeros(size)
        self.quality: Qualities = np.zeros(size, np.uint32)
        self.time_ns: Times = np.full(size, time.time_ns(), np.int64)


class _Peer(asyncio.Protocol):
    """One connection of a controlling station."""

    def __init__(self, simulator: RtuSimulator) -> None:
        self._simulator = simulator
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._session: Session | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._simulator.running or self._simulator.group.full:
            self._transport.abort()
            return
        self._session = Session(self._simulator.station, self._simulator.plan.apci, self._loop.time())
        self._simulator.group.join(self._session)
        self._simulator.peers.append(self)
        self._arm()

    def data_received(self, data: bytes) -> None:
        if self._session is not None and not self._simulator.faults.frozen:
            self._apply(self._session, self._session.receive(data, self._loop.time(), time.time_ns()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        session, self._session = self._session, None
        if session is not None:
            self._simulator.group.leave(session)
            self._simulator.peers.remove(self)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pump(self) -> None:
        if self._session is None or self._simulator.faults.frozen:
            return
        while data := self._session.produce(self._loop.time()):
            self._write(data)
        self._arm()

    def _apply(self, session: Session, effects: list[Effect]) -> None:
        for effect in self._simulator.group.apply(session, effects, self._loop.time()):
            if isinstance(effect, Submit):
                for outcome in self._simulator.obey(effect):
                    session.outcome(effect.ticket, outcome)
            elif isinstance(effect, Close):
                self.abort()
        self.pump()

    def _write(self, data: bytes) -> None:
        faults, transport = self._simulator.faults, self._transport
        if transport is None:
            return
        data = self._simulator.spoilt(data)
        if faults.delay_s:
            self._loop.call_later(faults.delay_s, self._late, data)
        elif data:
            transport.write(data)

    def _late(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _arm(self) -> None:
        deadline = self._session.next_deadline() if self._session is not None else None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_time)

    def _on_time(self) -> None:
        if self._session is None:
            return
        if self._simulator.faults.frozen:
            self._timer = self._loop.call_later(0.05, self._on_time)
            return
        self._apply(self._session, self._session.on_time(self._loop.time()))


class RtuSimulator:
    """The RTU of a plan (`gateway.contracts.FieldSimulator`), at all of its addresses."""

    def __init__(self, plan: RtuPlan) -> None:
        self.plan, self.faults = plan, Faults()
        self.addresses = plan.addresses
        self.running = False
        self.peers: list[_Peer] = []
        played = np.flatnonzero((plan.points.bit < 0) & np.isin(plan.points.family, list(TYPES)))
        self._points = played
        self._orders = plan.orders
        size = len(played) + len(plan.orders)
        self._at = {int(row): at for at, row in enumerate(plan.points.row[played])}
        self._table = _Table(size)
        self.station = Station(
            MasterPlan(name="gateway", addresses=(), bindings=self._columns(), links=_LINKS, commands=True),
            self._catalogue(),
            Zone(plan.time_zone),
            self._table,
            StationOptions(end_of_initialisation=True),
        )
        self.group = Group(self.station)
        self._written: list[tuple[int, float]] = []
        self._seq = 0
        self._listeners: list[asyncio.Server] = []
        self._random = random.Random(0)  # noqa: S311 which frames a test loses, not a secret

    def _catalogue(self) -> PointCatalogue:
        points, orders = self.plan.points, self._orders
        spans = [(float(points.low[at]), float(points.high[at])) for at in self._points]
        spans += [(order.low, order.high) for order in orders]
        return PointCatalogue.of(
            [
                Point(row=row, name=f"p{row}", kind=Kind.ANALOG, low=low, high=high)
                for row, (low, high) in enumerate(spans)
            ]
        )

    def _columns(self) -> BindingColumns:
        points = self.plan.points
        rows: list[tuple[int, ...]] = []
        for row, at in enumerate(self._points.tolist()):
            static = TYPES[int(points.family[at])]
            key = int(points.key[at])
            rows.append((key >> 24, static.id, key & 0xFFFFFF, row, static.timed, 0))
        for row, order in enumerate(self._orders, len(self._points)):
            mode = int(Mode.SELECT if order.select else Mode.DIRECT)
            rows.append((order.ca, order.type_id, order.ioa, row, order.type_id, mode))
        table = np.array(sorted(rows), np.int64).reshape(len(rows), 6)
        ca, static_type, ioa, row_, event, mode_ = table.T
        return BindingColumns(
            row=row_.astype(np.uint32),
            ca=ca.astype(np.uint16),
            ioa=ioa.astype(np.uint32),
            event_type=event.astype(np.uint8),
            static_type=static_type.astype(np.uint8),
            group=np.zeros(len(rows), np.uint8),
            limit=np.full(len(rows), np.nan),
            cyclic_s=np.zeros(len(rows), np.float32),
            mode=mode_.astype(np.uint8),
        )

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen at every address. Raises `OSError` when one is taken."""
        loop = asyncio.get_running_loop()
        self.running = True
        addresses = []
        for host, port in self.addresses:
            listener = await loop.create_server(lambda: _Peer(self), host, port)
            self._listeners.append(listener)
            addresses.append((host, int(listener.sockets[0].getsockname()[1])))
        self.addresses = tuple(addresses)

    async def stop(self) -> None:
        """Close every socket; `start` comes back at the same addresses."""
        self.running = False
        for listener in self._listeners:
            listener.close()
        for peer in list(self.peers):
            peer.abort()
        for listener in self._listeners:
            await listener.wait_closed()
        self._listeners.clear()
        await asyncio.sleep(0)

    # -- values -------------------------------------------------------------------------------------------------

    def set(self, rows: Rows, values: Values) -> None:
        """What the RTU measures from now on, in engineering units; changes are told as events."""
        self.tell(rows, values, np.zeros(len(rows), np.uint32), time.time_ns())

    def tell(self, rows: Rows, values: Values, qualities: Qualities, time_ns: int) -> None:
        """The same with quality and time."""
        points = self.plan.points
        known = np.flatnonzero(np.isin(rows, points.row[self._points]))
        own = np.array([self._at[int(row)] for row in rows[known]], np.intp)
        at = self._points[own]
        raw = (values[known] - points.offset[at]) / points.scale[at]
        table = self._table
        moved = (table.value[own] != raw) | (table.quality[own] != qualities[known])
        own, raw, quality = own[moved], raw[moved], qualities[known][moved]
        if not len(own):
            return
        table.value[own], table.quality[own], table.time_ns[own] = raw, quality, time_ns
        times = np.full(len(own), time_ns, np.int64)
        self._seq += len(own)
        self.station.changes(changes(own, raw, quality, times), self._seq, time.monotonic())
        for peer in list(self.peers):
            peer.pump()

    def written(self) -> list[tuple[int, float]]:
        """Commands received since the last call: (row, engineering value), in order."""
        written, self._written = self._written, []
        return written

    # -- for the peers ------------------------------------------------------------------------------------------

    def obey(self, order: Submit) -> list[Outcome]:
        """What becomes of a command."""
        if self.faults.deaf:
            return []
        if self.faults.refuse or order.refusal is not Reason.OK:
            return [Outcome(id=order.ticket, stage=Stage.REFUSED, reason=Reason.BLOCKED)]
        done = [Outcome(id=order.ticket, stage=Stage.ACCEPTED), Outcome(id=order.ticket, stage=Stage.COMPLETED)]
        if order.action.value == "execute":
            binding = self._orders[order.row - len(self._points)]
            self._written.append((binding.row, order.value * binding.scale + binding.offset))
        return done

    def spoilt(self, data: bytes) -> bytes:
        """What goes over the wire for these frames."""
        if self.faults.garbage:
            return self._random.randbytes(len(data))
        if not self.faults.lose:
            return data
        frames, kept = data, b""
        while frames:
            length = frames[1] + 2
            kept += frames[:length] if self._random.random() >= self.faults.lose else b""
            frames = frames[length:]
        return kept
