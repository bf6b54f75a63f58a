"""The master's side of the SOE buffer test (`gridgate selftest soe`)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts.soechanges import Index, SoeChanges
from gateway.contracts.soeledger import Ledger
from gateway.events import Events
from gateway.points import Changes, Kind, PointCatalogue, Qualities, Times, Values
from protocols.dnp3 import objects
from protocols.dnp3.application import Fragment, FragmentBuilder
from protocols.dnp3.database import Database
from protocols.dnp3.errors import Dnp3Error
from protocols.dnp3.function import Function
from protocols.dnp3.headers import ObjectHeader, read_headers
from protocols.dnp3.iin import CLASS_EVENTS, NO_IIN
from protocols.dnp3.master import Master, class_objects
from protocols.dnp3.objecttable import OBJECTS, ObjectKind
from protocols.dnp3.plan import MasterPlan, ServerPlan
from protocols.dnp3.pointtypes import FROZEN_OF, TYPES, PointType
from protocols.dnp3.responses import EventTable

SILENCE_S: Final = 20.0
QUIET_S: Final = 1.0
"""After so long without an unsolicited response the master polls."""
CONNECT_TRIES: Final = 500
_RETRY_S: Final = 0.01
_READ: Final = 65_536
_CLASSES: Final = (1, 2, 3)
_COMMON_TIME: Final = 51
_ANY_CLASS: Final = CLASS_EVENTS[1] | CLASS_EVENTS[2] | CLASS_EVENTS[3]


@dataclass(slots=True)
class _NoTable:
    """Points are not looked at here, only how they are coded."""

    value: Values
    quality: Qualities
    time_ns: Times


class Dnp3SoeSelftest:
    """Implements `gateway.contracts.selftest.SoeSelftest`: makes the changes and plays the master."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, master: str, seed: int) -> None:
        """`ValueError` when no point of the master has events with a time."""
        self._plan = plan
        self._master = next(each for each in plan.masters if each.name == master)
        points = len(catalogue)
        table = _NoTable(np.zeros(points), np.zeros(points, np.uint32), np.zeros(points, np.int64))
        self._coded = EventTable(Database(self._master.bindings, table))
        index, low, high = _testable(self._master, catalogue)
        if not len(index):
            raise ValueError(
                f"master {master} has no point that can be tested: in class 1 to 3, with an event variation that has a"
                " time, every event kept, mapped once, and with a deadband smaller than its range"
            )
        self._changes = SoeChanges(index, self._master.bindings.row[index], low, high, seed)
        self._cuts = random.Random(seed)  # noqa: S311 - where a link is cut is to be repeatable, not secret
        self._ledger = Ledger()
        self.tally = self._ledger.tally
        used = set(self._master.bindings.event_class[index].tolist())
        self.capacity = min(self._master.capacity[number - 1] for number in used)

    def private_plan(self, port: int) -> ServerPlan:
        """See `SoeSelftest`."""
        master = replace(self._master, addresses=("127.0.0.1",), dial=None, serial=False, commands=False)
        return replace(
            self._plan,
            listen=("127.0.0.1", port),
            udp=None,
            serial=None,
            tls=None,
            masters=[master],
            system={},
            commands={},
        )

    def start_values(self) -> Changes:
        """What the points show before the first change."""
        return self._changes.start_values()

    def changes(self, count: int, time_ns: int) -> Changes:
        """See `SoeSelftest`. Each point goes to and fro between two values, in an order that the seed decides."""
        batch, events = self._changes.make(count, time_ns)
        self._ledger.made(self._looks_of(events))
        return batch

    def _looks_of(self, events: Events) -> list[bytes]:
        """What these events look like on the wire."""
        found: list[bytes] = []
        while len(events):
            builder = FragmentBuilder()
            events = events[self._coded.add(builder, events) :]
            (payload,) = builder.payloads()
            found += _looks(payload.octets)
        return found

    def killed(self, held_from: int) -> None:
        """See `SoeSelftest`."""
        self._ledger.killed(held_from)

    async def visit(self, port: int, octets: int | None) -> None:
        """See `SoeSelftest`. Polls, or lets itself be told where the master may be."""
        plan = self._master
        master = Master(plan.address, plan.outstation, plan.parameters.fragment_size)
        reader, writer = await self._connected(port, master)
        self._ledger.connected()
        link = _Link(reader, writer, master, self._ledger)
        told = plan.unsolicited.classes if plan.unsolicited is not None and self._cuts.random() < 0.5 else ()
        try:
            await (self._stay(link, told) if octets is None else self._cut_after(link, told, octets))
        except Dnp3Error as error:
            raise ConnectionAbortedError(f"the outstation broke the protocol: {error}") from None
        finally:
            if octets is not None and self._cuts.random() < 0.5:
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connected(self, port: int, master: Master) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which the outstation answers; it may not have seen yet that the last one is gone."""
        for attempt in range(CONNECT_TRIES):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if attempt == CONNECT_TRIES - 1:
                    raise
                await asyncio.sleep(_RETRY_S)
                continue
            return reader, writer
        raise TimeoutError("the outstation takes no connection")

    async def _cut_after(self, link: _Link, told: tuple[int, ...], octets: int) -> None:
        """End in the middle of whatever is being said, or with a whole fragment that is never confirmed."""
        link.most, link.mute = octets, self._cuts.random() < 0.5
        with contextlib.suppress(_Cut):
            await self._fetch(link, told)

    async def _stay(self, link: _Link, told: tuple[int, ...]) -> None:
        """Until everything has come, and a poll brings nothing more."""
        await self._fetch(link, told)
        while await link.poll():
            pass

    async def _fetch(self, link: _Link, told: tuple[int, ...]) -> None:
        if told:
            await link.ask(Function.ENABLE_UNSOLICITED, class_objects(told))
        while not self._ledger.complete:
            heard = False
            if told:
                heard = await link.listen(QUIET_S)
            if not heard and not self._ledger.complete:
                await link.poll()


class _Cut(Exception):
    """As many octets have come as were to come."""


@dataclass(slots=True)
class _Link:
    """One connection of the master; every event goes into the ledger and is confirmed."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    master: Master
    ledger: Ledger
    most: int | None = None
    """Octets to be received until the link is cut; None: it is not cut."""
    mute: bool = False
    """The link is cut between a fragment and its confirmation, not within one."""
    pending: bool = False
    """The last response told that events wait."""

    async def poll(self) -> bool:
        """Read all classes; whether events came or wait."""
        before = self.ledger.tally.received
        self.pending = False
        await self.ask(Function.READ, class_objects(_CLASSES))
        return self.pending or self.ledger.tally.received != before

    async def ask(self, function: Function, payload: bytes) -> None:
        """A request and its whole answer."""
        self.master.request(function, payload)
        self.writer.write(self.master.data_to_send())
        while self.master.waiting:
            await self._take(SILENCE_S)

    async def listen(self, wait_s: float) -> bool:
        """What comes unasked; False when nothing came for so long."""
        try:
            await self._take(wait_s)
        except TimeoutError:
            return False
        return True

    async def _take(self, wait_s: float) -> None:
        if self._used_up and not self.mute:
            raise _Cut
        most = _READ if self.most is None or self.mute else min(self.most, _READ)
        data = await asyncio.wait_for(self.reader.read(most), wait_s)
        if not data:
            raise ConnectionResetError("the outstation closed the connection")
        if self.most is not None:
            self.most -= len(data)
        for fragment in self.master.receive(data):
            self._fragment(fragment)
        answer = self.master.data_to_send()
        if answer:
            self.writer.write(answer)

    @property
    def _used_up(self) -> bool:
        return self.most is not None and self.most <= 0

    def _fragment(self, fragment: Fragment) -> None:
        """No outstation says anything more before what it said is confirmed: the one before has been."""
        self.ledger.frame(list(_looks(fragment.payload)), 1)
        iin = fragment.iin if fragment.iin is not None else NO_IIN
        self.pending = bool(iin & _ANY_CLASS)
        if self._used_up:
            raise _Cut
        if fragment.control.con:
            self.master.confirm(fragment)
            self.ledger.acknowledged()


def _looks(payload: bytes) -> Iterator[bytes]:
    """Each event of a fragment as what it says: group, index, flags and value, time in ms."""
    headers, _, error = read_headers(payload, Function.RESPONSE)
    if error is not None:
        raise error
    base_ms = 0
    for header in headers:
        row = header.row
        if header.group == _COMMON_TIME:
            base_ms = int.from_bytes(header.data[:6], "little")
        elif row is not None and row.event:
            yield from _header_looks(header, base_ms)


def _header_looks(header: ObjectHeader, base_ms: int) -> list[bytes]:
    row = OBJECTS[header.group, header.variation]
    records = objects.decode(row, header.data, header.count)
    times = objects.times_ms(row, records, base_ms)
    stamps = np.zeros(header.count, np.int64) if times is None else times
    said = header.objects()[:, : row.size - (2 if row.relative_time else 6 if row.has_time else 0)]
    head = bytes((header.group,))
    indices = header.indices.astype("<u2")
    return [
        head + index.tobytes() + octets.tobytes() + stamp.tobytes()
        for index, octets, stamp in zip(indices, said, stamps, strict=True)
    ]


def _testable(master: MasterPlan, catalogue: PointCatalogue) -> tuple[Index, Values, Values]:
    """Bindings whose every change is one event with a time, and the two values that they go between."""
    columns = master.bindings
    timed = np.array(
        [_timed(kind, event) for kind, event in zip(columns.type, columns.event_var, strict=True)], np.bool_
    )
    own = ~np.isin(columns.type, [int(kind) for kind in FROZEN_OF.values()])
    once = np.bincount(columns.row[own], minlength=len(catalogue))[columns.row] == 1
    kinds = catalogue.kinds[columns.row]
    limit = np.nan_to_num(columns.limit, nan=0.0)
    low, high = _two_values(columns.row, catalogue, limit + np.abs(columns.scale))
    for kind, values in ((Kind.BINARY, (0.0, 1.0)), (Kind.CONTROL, (0.0, 1.0)), (Kind.DOUBLE, (1.0, 2.0))):
        low, high = np.where(kinds == kind, values[0], low), np.where(kinds == kind, values[1], high)
    whole = kinds == Kind.COUNTER
    low, high = np.where(whole, np.ceil(low), low), np.where(whole, np.floor(high), high)
    good = timed & own & once & (columns.event_class > 0) & ~columns.newest_only & (high - low > limit)
    index = np.flatnonzero(good)
    return index, low[index], high[index]


def _timed(kind: np.uint8, variation: np.uint8) -> bool:
    row = OBJECTS[TYPES[PointType(int(kind))].event_group, int(variation)]
    return row.kind is ObjectKind.EVENT and row.has_time


def _two_values(rows: NDArray[np.uint32], catalogue: PointCatalogue, apart: Values) -> tuple[Values, Values]:
    """Inside the range where there is one."""
    least, most = catalogue.low[rows], catalogue.high[rows]
    ranged = np.isfinite(least) & np.isfinite(most)
    span = np.where(ranged, most - least, 2.0 * np.ceil(apart) + 2.0)
    low = np.where(ranged, least + 0.1 * span, 0.0)
    values: tuple[Values, Values] = low, low + 0.8 * span
    return values
