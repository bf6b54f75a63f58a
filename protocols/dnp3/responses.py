"""What a read is answered with, filled into fragments one by one: events first, then values as they are by then. Pure.

A fragment is filled when it is about to be sent: its values are never older than the confirmation of the one before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.events import Events
from gateway.points import Quality, Values
from protocols.dnp3 import objects, quality, time48
from protocols.dnp3.application import FragmentBuilder
from protocols.dnp3.database import Database, Index
from protocols.dnp3.eventstore import Chosen, EventStore, Sent
from protocols.dnp3.headers import runs
from protocols.dnp3.objecttable import OBJECTS, ObjectRow
from protocols.dnp3.pointtypes import TYPES, PointType, TypeRow
from protocols.dnp3.quality import ONLINE, Octets

_RANGE_HEAD: Final = 7
_PREFIX_HEAD: Final = 5
_PREFIX: Final = 2
_CTO: Final = 10
_SMALLEST_EVENT: Final = 2
_LOOK: Final = 64
"""Points that are looked at to see whether more of them are in a row."""
_CODED: Final = 4_096
"""Points in a row that are coded at once."""
NO_LIMIT: Final = 1 << 40


class Part(Protocol):
    """A stretch of an answer."""

    def fill(self, builder: FragmentBuilder, sent: Sent) -> bool:
        """Put in what fits; True when nothing is left. Events that went in are noted in `sent`."""
        ...

    def copy(self) -> Part:
        """One that goes its own way."""
        ...


@dataclass(slots=True)
class BlockPart:
    """Octets with their header, made when the request came; kept together."""

    block: bytes

    def fill(self, builder: FragmentBuilder, sent: Sent) -> bool:
        if len(self.block) > builder.room:
            return False
        builder.add_block(self.block)
        return True

    def copy(self) -> BlockPart:
        return self  # `fill` leaves it as it is


@dataclass(frozen=True, slots=True)
class _Run:
    """Coded objects of one variation with indices from `first` on."""

    row: ObjectRow
    first: int
    coded: Octets
    version: int
    whole: bool
    """The row ends with it: behind it lies a gap, or another variation."""


@dataclass(slots=True)
class StaticPart:
    """Present values of points of one type, by rising index; `variation` 0: each its own default."""

    database: Database
    type: TypeRow
    positions: Index
    variation: int = 0
    ahead: bool = False
    """More may be coded than a fragment holds."""
    run: _Run | None = None
    """What was coded ahead; not used once a value may have changed."""

    def copy(self) -> StaticPart:
        return StaticPart(self.database, self.type, self.positions, self.variation, self.ahead, self.run)

    def fill(self, builder: FragmentBuilder, sent: Sent) -> bool:
        while len(self.positions):
            run = self.run
            most = 0 if run is None else _most(builder.room, run.row)
            # What is left of a run would leave room: the next one begins here, so that one header serves both.
            short = run is not None and not run.whole and len(run.coded) < min(most, len(self.positions))
            if run is None or short or run.version != self.database.version:
                run = self.run = self._code(builder.room)
            fits = min(len(run.coded), _most(builder.room, run.row))
            if not fits:
                return False
            builder.add_range(run.row, run.first, run.coded[:fits])
            self.positions = self.positions[fits:]
            rest = run.coded[fits:]
            self.run = _Run(run.row, run.first + fits, rest, run.version, run.whole) if len(rest) else None
        return True

    def _code(self, room: int) -> _Run:
        """The next points, as far as variation and index stay in the row."""
        database, chunk = self.database, self.positions[:_LOOK]
        indices = database.columns.index[chunk]
        wanted = self._wanted(chunk)
        count = _row_length(indices, wanted)
        ends = count < _LOOK
        fits = _most(room, OBJECTS[self.type.static_group, int(wanted[0])])
        chunk = self.positions[: count if ends else _CODED if self.ahead else max(fits, _LOOK)]
        indices = database.columns.index[chunk]
        values, qualities, times_ns = database.now(self.type, chunk)
        flags = quality.flags(self.type.family, qualities)
        variations = self._variations(chunk, values, flags)
        count = _row_length(indices, variations)
        row = OBJECTS[self.type.static_group, int(variations[0])]
        times_ms = time48.ms_of_ns(times_ns[:count]) if row.has_time else None
        coded = objects.encode(row, values[:count], flags[:count], times_ms)
        whole = ends or count < len(chunk) or len(chunk) == len(self.positions)
        return _Run(row, int(indices[0]), coded, database.version, whole)

    def _wanted(self, chunk: Index) -> NDArray[np.uint8]:
        if self.variation:
            return np.full(len(chunk), self.variation, np.uint8)
        return self.database.columns.static_var[chunk]

    def _variations(self, chunk: Index, values: Values, flags: Octets) -> NDArray[np.uint8]:
        """A variation without flags gives way to one with flags where there is something to be said by them."""
        variations = self._wanted(chunk)
        for number in set(variations.tolist()):
            row = OBJECTS[self.type.static_group, number]
            if row.flagged:
                mine = variations == number
                doubtful = objects.wire_flags(row, values[mine], flags[mine]) != ONLINE
                variations[mine] = np.where(doubtful, row.flagged, number)
        return variations


@dataclass(slots=True)
class DeadbandPart:
    """Deadbands of analog inputs (g34)."""

    database: Database
    limits: Values
    """By position, engineering units."""
    positions: Index
    row: ObjectRow

    def copy(self) -> DeadbandPart:
        return DeadbandPart(self.database, self.limits, self.positions, self.row)

    def fill(self, builder: FragmentBuilder, sent: Sent) -> bool:
        while len(self.positions):
            chunk = self.positions[: _most(builder.room, self.row)]
            indices = self.database.columns.index[chunk].astype(np.int64)
            stop = runs(indices)[0][1] if len(chunk) else 0
            if not stop:
                return False
            at = chunk[:stop]
            wire = self.limits[at] / np.abs(self.database.columns.scale[at])
            coded = objects.encode(self.row, wire, np.full(len(at), ONLINE, np.uint8))
            builder.add_range(self.row, int(indices[0]), coded)
            self.positions = self.positions[stop:]
        return True


def _most(room: int, row: ObjectRow) -> int:
    """How many objects in one range fit."""
    left = max(0, room - _RANGE_HEAD)
    return left * 8 // row.bits if row.bits else left // row.size


def _row_length(indices: NDArray[np.integer], variations: NDArray[np.uint8]) -> int:
    """How many of them, from the first on, have indices without a gap and one variation."""
    ends = (indices[1:] != indices[:-1] + 1) | (variations[1:] != variations[:-1])
    at = int(ends.argmax()) if len(ends) else 0
    return at + 1 if len(ends) and ends[at] else len(indices)


class EventTable:
    """How the events of each binding are coded; the second half is of command events."""

    def __init__(self, database: Database) -> None:
        columns = database.columns
        self._database = database
        self.size = len(columns)
        groups = np.zeros((2, len(PointType)), np.uint8)
        for kind, row in TYPES.items():
            groups[:, kind] = row.event_group, row.command_event
        self.group: NDArray[np.uint8] = np.concatenate([groups[0][columns.type], groups[1][columns.type]])
        self.variation: NDArray[np.uint8] = np.concatenate([columns.event_var, columns.command_event_var])
        self.index: NDArray[np.uint16] = np.concatenate([columns.index, columns.index])
        used = set(zip(self.group.tolist(), self.variation.tolist(), strict=True))
        sizes = [OBJECTS[key].size + 1 for key in used if key in OBJECTS]
        self._least = max(_SMALLEST_EVENT, min(sizes, default=_SMALLEST_EVENT))

    def least_octets(self, variation: int) -> int:
        """What an event takes at least, with its index; `variation` 0: each its own default."""
        return self._least if not variation else _SMALLEST_EVENT

    def kinds(self, group: int) -> NDArray[np.bool_]:
        """Which bindings have events of this group."""
        marked: NDArray[np.bool_] = self.group == group
        return marked

    def add(self, builder: FragmentBuilder, events: Events, variation: int = 0) -> int:
        """Put events in, in their order; returns how many fitted."""
        binding = events["binding"].astype(np.intp)
        variations = np.full(len(events), variation, np.uint8) if variation else self.variation[binding]
        keys = self.group[binding].astype(np.uint16) << 8 | variations
        edges = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1).tolist(), len(keys)]
        for start, stop in pairwise(edges):
            row = OBJECTS[int(keys[start]) >> 8, int(keys[start]) & 0xFF]
            fitted = self._add_run(builder, row, events[start:stop])
            if fitted < stop - start:
                return start + fitted
        return len(events)

    def _add_run(self, builder: FragmentBuilder, row: ObjectRow, events: Events) -> int:
        if not row.relative_time:
            return self._add_piece(builder, row, events)
        done = 0
        for start, stop, base_ms, synchronised in _common_times(events):
            lead = objects.encode_cto(base_ms, synchronised)
            fitted = self._add_piece(builder, row, events[start:stop], base_ms, lead)
            done += fitted
            if fitted < stop - start:
                break
        return done

    def _add_piece(
        self, builder: FragmentBuilder, row: ObjectRow, events: Events, base_ms: int = 0, lead: bytes = b""
    ) -> int:
        fits = max(0, builder.room - _PREFIX_HEAD - len(lead)) // (_PREFIX + row.size)
        events = events[:fits]
        if len(events):
            binding = events["binding"].astype(np.intp)
            values = self._database.on_wire(binding % self.size, events["value"])
            times_ms = time48.ms_of_ns(events["time_ns"])
            coded = objects.encode(row, values, _event_flags(row, events), times_ms, base_ms)
            builder.add_indexed(row, self.index[binding], coded, lead)
        return len(events)


def _event_flags(row: ObjectRow, events: Events) -> Octets:
    """Flag octets, or the status codes of command events, which stand in place of a quality."""
    if row.family is None:
        status: Octets = events["quality"].astype(np.uint8)
        return status
    return quality.flags(row.family, events["quality"])


def _common_times(events: Events) -> list[tuple[int, int, int, bool]]:
    """Runs that share a common time of occurrence: (start, stop, time in ms, whether it can be trusted)."""
    trusted = (events["quality"] & np.uint32(Quality.TIME_INVALID)) == 0
    edges = [0, *(np.flatnonzero(trusted[1:] != trusted[:-1]) + 1).tolist(), len(events)]
    times = time48.ms_of_ns(events["time_ns"])
    out = []
    for start, stop in pairwise(edges):
        for begin, end, base in objects.relative_runs(times[start:stop]):
            out.append((start + begin, start + end, base, bool(trusted[start])))
    return out


@dataclass(slots=True)
class EventPart:
    """Waiting events of some classes that came about before the request; `variation` 0: each its own default."""

    store: EventStore
    table: EventTable
    classes: frozenset[int]
    before: int
    limit: int = NO_LIMIT
    kinds: NDArray[np.bool_] | None = None
    variation: int = 0

    def copy(self) -> EventPart:
        return replace(self)

    def fill(self, builder: FragmentBuilder, sent: Sent) -> bool:
        at_once = max(1, builder.room // self.table.least_octets(self.variation))
        chosen = self._choose(min(self.limit, at_once))
        if not len(chosen):
            return True
        fitted = self.table.add(builder, chosen.events, self.variation)
        self.store.send(chosen, fitted, sent)
        self.limit -= fitted
        return self.limit <= 0 or (fitted == len(chosen) and len(chosen) < at_once)

    def _choose(self, limit: int) -> Chosen:
        return self.store.choose(self.classes, limit, self.before, self.kinds)


@dataclass(slots=True)
class Answer:
    """One response on its way, fragment by fragment."""

    parts: deque[Part]
    size: int
    """Octets of a fragment at most."""
    ahead: bool = False
    """The master takes fragment after fragment: what follows may be made before it is asked for."""

    def flow(self) -> None:
        """The master has confirmed a fragment; who only asks costs no more than one."""
        self.ahead = True
        for part in self.parts:
            if isinstance(part, StaticPart):
                part.ahead = True

    @property
    def steady(self) -> bool:
        """Something is left, and no events: it can be made ahead."""
        return self.ahead and bool(self.parts) and not any(isinstance(part, EventPart) for part in self.parts)

    def copy(self) -> Answer:
        """One that goes its own way."""
        return Answer(deque(part.copy() for part in self.parts), self.size, self.ahead)

    def next_payload(self) -> tuple[bytes, Sent, bool]:
        """Objects of the next fragment, the events among them, and whether it is the last."""
        builder, sent = FragmentBuilder(self.size), Sent()
        empty = builder.room
        while self.parts:
            done = self.parts[0].fill(builder, sent)
            if not done and builder.room < empty:
                break
            # Done, or what no fragment can hold.
            self.parts.popleft()
        return builder.payloads()[0].octets, sent, not self.parts
