"""The master's side of the SOE buffer test (`gridgate selftest soe`)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import replace
from typing import Final

import numpy as np

from gateway.contracts.soechanges import SoeChanges
from gateway.contracts.soeledger import Ledger
from gateway.points import Changes, Kind, PointCatalogue, Values
from protocols.iec104.asdu import HEAD, IOA_SIZE, Asdu, Cause
from protocols.iec104.bindings import Bindings, Index
from protocols.iec104.elements import TYPES, Tag
from protocols.iec104.errors import Iec104Error
from protocols.iec104.master import ControllingLink
from protocols.iec104.plan import ClockTrust, MasterPlan, ServerPlan
from protocols.iec104.time56 import Zone

SILENCE_S: Final = 20.0
CONNECT_TRIES: Final = 500
_RETRY_S: Final = 0.01
_EVENT_CAUSES: Final = frozenset({Cause.SPONTANEOUS, Cause.RETURN_REMOTE, Cause.RETURN_LOCAL})
_READ: Final = 65_536


class Iec104SoeSelftest:
    """Implements `gateway.contracts.selftest.SoeSelftest`: makes the changes and plays the master."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, master: str, seed: int) -> None:
        """`ValueError` when no point of the master has events with a CP56 time tag."""
        self._plan = plan
        self._master = next(each for each in plan.masters if each.name == master)
        self._bindings = Bindings(self._master.bindings, catalogue, Zone(plan.time_zone, day_of_week=plan.day_of_week))
        index, low, high = _testable(self._master, self._bindings, catalogue)
        if not len(index):
            raise ValueError(
                f"master {master} has no point that can be tested: monitored, with a CP56 time tag, mapped once, and"
                " with a deadband smaller than its range"
            )
        self._changes = SoeChanges(index, self._master.bindings.row[index], low, high, seed)
        self._cuts = random.Random(seed)  # noqa: S311 - where a link is cut is to be repeatable, not secret
        self._ledger = Ledger()
        self.tally = self._ledger.tally
        self.capacity = self._master.capacity

    def private_plan(self, port: int) -> ServerPlan:
        """See `SoeSelftest`."""
        master = replace(self._master, addresses=("127.0.0.1",), commands=False)
        return replace(
            self._plan,
            host="127.0.0.1",
            port=port,
            masters=[master],
            tls=None,
            clock_trusted=ClockTrust.ALWAYS,
            system={},
            commands={},
        )

    def start_values(self) -> Changes:
        """What the points show before the first change."""
        return self._changes.start_values()

    def changes(self, count: int, time_ns: int) -> Changes:
        """See `SoeSelftest`. Each point goes to and fro between two values, in an order that the seed decides."""
        batch, events = self._changes.make(count, time_ns)
        self._ledger.made([look for asdu, _ in self._bindings.encode_events(events, 1) for look in _looks(asdu)])
        return batch

    def killed(self, held_from: int) -> None:
        """See `SoeSelftest`."""
        self._ledger.killed(held_from)

    async def visit(self, port: int, octets: int | None) -> None:
        """See `SoeSelftest`."""
        link = ControllingLink(min(self._plan.apci.w, self._plan.apci.k))
        reader, writer = await self._connected(port, link)
        self._ledger.connected()
        try:
            if octets is None:
                await self._stay(reader, writer, link)
            else:
                await self._cut_after(octets, reader, writer, link)
        except Iec104Error as error:
            raise ConnectionAbortedError(f"the station broke the protocol: {error}") from None
        finally:
            if octets is not None and self._cuts.random() < 0.5:
                writer.transport.abort()
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connected(self, port: int, link: ControllingLink) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A started link. The station may not have seen yet that the last one is gone: then it is tried again."""
        for attempt in range(CONNECT_TRIES):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                if attempt == CONNECT_TRIES - 1:
                    raise
                await asyncio.sleep(_RETRY_S)
                continue
            fresh = ControllingLink(link.w)
            fresh.start()
            writer.write(fresh.data_to_send())
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                first = await asyncio.wait_for(reader.readexactly(6), SILENCE_S)
                fresh.receive(first)
                link.receive(first)
                return reader, writer
            writer.close()
            await asyncio.sleep(_RETRY_S)
        raise TimeoutError("the station takes no connection")

    async def _cut_after(
        self, octets: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: ControllingLink
    ) -> None:
        while octets > 0 and not self._ledger.complete:
            data = await self._read(reader, min(octets, _READ))
            octets -= len(data)
            self._take(data, writer, link)

    async def _stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: ControllingLink) -> None:
        while not self._ledger.complete:
            self._take(await self._read(reader, _READ), writer, link)
        link.acknowledge()
        self._ledger.acknowledged()
        link.test()
        writer.write(link.data_to_send())
        while not link.tested:
            self._take(await self._read(reader, _READ), writer, link)

    async def _read(self, reader: asyncio.StreamReader, most: int) -> bytes:
        data = await asyncio.wait_for(reader.read(most), SILENCE_S)
        if not data:
            raise ConnectionResetError("the station closed the link")
        return data

    def _take(self, data: bytes, writer: asyncio.StreamWriter, link: ControllingLink) -> None:
        for asdu in link.receive(data):
            self._ledger.frame(_looks(asdu) if Asdu.parse(asdu).cause in _EVENT_CAUSES else [], self._plan.apci.k)
            if link.acknowledgement_due:
                link.acknowledge()
                self._ledger.acknowledged()
        answer = link.data_to_send()
        if answer:
            writer.write(answer)


def _looks(asdu: bytes) -> list[bytes]:
    """Each object of an ASDU with what it has from the head: type, common address, ioa, element."""
    type_id, vsq, _, _, address = HEAD.unpack_from(asdu)
    size = IOA_SIZE + TYPES[type_id].size
    head = bytes([type_id]) + address.to_bytes(2, "little")
    return [head + asdu[HEAD.size + size * n : HEAD.size + size * (n + 1)] for n in range(vsq & 0x7F)]


def _testable(master: MasterPlan, bindings: Bindings, catalogue: PointCatalogue) -> tuple[Index, Values, Values]:
    """Bindings whose every change is one event with a time tag, and the two values that they go between."""
    columns = master.bindings
    timed = np.array([TYPES[type_id].tag is Tag.CP56 for type_id in columns.event_type.tolist()], np.bool_)
    once = np.bincount(columns.row[bindings.monitored], minlength=len(catalogue))[columns.row] == 1
    kinds = catalogue.kinds[columns.row]
    limit = np.nan_to_num(columns.limit, nan=0.0)
    ranged = np.isfinite(bindings.low) & np.isfinite(bindings.high)
    span = np.where(ranged, bindings.high - bindings.low, 2.0 * np.ceil(limit) + 2.0)
    low = np.where(ranged, bindings.low, 0.0) + np.where(ranged, 0.1 * span, 0.0)
    high = low + 0.8 * span
    for kind, values in ((Kind.BINARY, (0.0, 1.0)), (Kind.DOUBLE, (1.0, 2.0))):
        low, high = np.where(kinds == kind, values[0], low), np.where(kinds == kind, values[1], high)
    whole = kinds == Kind.COUNTER
    low, high = np.where(whole, np.ceil(low), low), np.where(whole, np.floor(high), high)
    good = bindings.monitored & timed & once & (high - low > limit)
    index = np.flatnonzero(good)
    return index, low[index], high[index]
