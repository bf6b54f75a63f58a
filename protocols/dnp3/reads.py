"""A read request's object headers become the parts of its answer. Pure.

Events go before values, so that a master never overwrites a newer value with an older event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.points import Values
from protocols.dnp3 import time48
from protocols.dnp3.attributes import AttributeTable
from protocols.dnp3.database import Database, Index
from protocols.dnp3.errors import ObjectUnknown, ParameterError, RequestError
from protocols.dnp3.eventstore import ALL_CLASSES, EventStore
from protocols.dnp3.headers import ObjectHeader, count_head, range_head
from protocols.dnp3.iin import NO_IIN, Iin
from protocols.dnp3.objecttable import OBJECTS
from protocols.dnp3.pointtypes import (
    BY_COMMAND_EVENT,
    BY_EVENT_GROUP,
    BY_STATIC_GROUP,
    DEADBAND_GROUP,
    PointType,
    TypeRow,
)
from protocols.dnp3.responses import (
    NO_LIMIT,
    BlockPart,
    DeadbandPart,
    EventPart,
    EventTable,
    Part,
    StaticPart,
)

_CLASS_GROUP: Final = 60
_IIN_BITS: Final = 16


@dataclass(slots=True)
class Gathered:
    """Parts in the making, and what was wrong with the request."""

    events: list[EventPart] = field(default_factory=list)
    statics: list[Part] = field(default_factory=list)
    iin: Iin = NO_IIN

    @property
    def parts(self) -> list[Part]:
        return [*self.events, *self.statics]


class Reader:
    """Answers reads of one master."""

    def __init__(
        self, database: Database, store: EventStore, attributes: AttributeTable, octet_strings: tuple[str, ...]
    ) -> None:
        self._database = database
        self._store = store
        self._attributes = attributes
        self._strings = [text.encode("ascii") for text in octet_strings]
        self.table = EventTable(database)
        self._handlers: dict[int, Callable[[ObjectHeader, Gathered, Iin, int], None]] = {
            0: self._read_attributes,
            50: self._read_time,
            _CLASS_GROUP: self._read_class,
            80: self._read_iin,
            110: self._read_strings,
            111: self._read_no_events,
            DEADBAND_GROUP: self._read_deadbands,
            **dict.fromkeys(BY_STATIC_GROUP, self._read_static),
            **dict.fromkeys(BY_EVENT_GROUP, self._read_events),
            **dict.fromkeys(BY_COMMAND_EVENT, self._read_events),
        }

    def gather(self, headers: list[ObjectHeader], iin: Iin, wall_ns: int) -> Gathered:
        """Parts for every header; what cannot be answered sets a bit of `iin` and leaves the others alone.

        `iin` is what a read of g80 shows, `wall_ns` what a read of g50 shows.
        """
        gathered = Gathered()
        for header in headers:
            try:
                handler = self._handlers.get(header.group)
                if handler is None:
                    raise ObjectUnknown(f"{header.label} cannot be read")
                handler(header, gathered, iin, wall_ns)
            except RequestError as error:
                gathered.iin |= error.iin
        return gathered

    def classes(self, classes: frozenset[int]) -> EventPart:
        """Everything that waits now in these classes."""
        return EventPart(self._store, self.table, classes, self._store.next_number)

    def _read_class(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        number = header.variation - 1
        if not 0 <= number <= 3:
            raise ObjectUnknown(f"{header.label} is no class")
        if number == 0:
            self._read_class_0(header, gathered)
            return
        _events_qualifier(header)
        last = gathered.events[-1] if gathered.events else None
        if header.all and last is not None and last.kinds is None and last.limit == NO_LIMIT:
            # Neighbouring classes are one stretch: their events come in the order in which they came about.
            last.classes |= {number}
        else:
            part = self.classes(frozenset({number}))
            part.limit = header.count or NO_LIMIT
            gathered.events.append(part)

    def _read_class_0(self, header: ObjectHeader, gathered: Gathered) -> None:
        if not header.all:
            raise ParameterError("class 0 is read with qualifier 06")
        for row, positions in self._database.class_0():
            gathered.statics.append(StaticPart(self._database, row, positions))
        gathered.statics.extend(self._string_parts(range(len(self._strings))))

    def _read_static(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        row = BY_STATIC_GROUP[header.group]
        if header.variation and (header.group, header.variation) not in OBJECTS:
            raise ObjectUnknown(f"{header.label} does not exist")
        positions, missing = self.positions(row, header)
        if len(positions):
            gathered.statics.append(StaticPart(self._database, row, positions, header.variation))
        if missing:
            gathered.iin |= Iin.PARAMETER_ERROR

    def _read_deadbands(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        object_row = OBJECTS.get((header.group, header.variation or 3))
        if object_row is None:
            raise ObjectUnknown(f"{header.label} does not exist")
        positions, missing = self.positions(BY_STATIC_GROUP[30], header)
        limits: Values = self._store.deadband.limits
        if len(positions):
            gathered.statics.append(DeadbandPart(self._database, limits, positions, object_row))
        if missing:
            gathered.iin |= Iin.PARAMETER_ERROR

    def positions(self, row: TypeRow, header: ObjectHeader) -> tuple[Index, bool]:
        """Points that a header names, and whether it also names some that do not exist."""
        database = self._database
        if not database.count(row.type):
            raise ObjectUnknown(f"{header.label}: there is no {row.words}")
        if header.all:
            return database.all(row.type), False
        if header.ranged:
            positions = database.between(row.type, header.start, header.stop)
            return positions, len(positions) < header.count
        if header.counted:
            positions = database.all(row.type)[: header.count]
            return positions, len(positions) < header.count
        found = database.find(row.type, header.indices)
        known = np.unique(found[found >= 0])
        return known, bool((found < 0).any())

    def _read_events(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        if header.variation and (header.group, header.variation) not in OBJECTS:
            raise ObjectUnknown(f"{header.label} does not exist")
        _events_qualifier(header)
        gathered.events.append(
            EventPart(
                self._store,
                self.table,
                ALL_CLASSES,
                self._store.next_number,
                limit=header.count or NO_LIMIT,
                kinds=self.table.kinds(header.group),
                variation=header.variation,
            )
        )

    def _read_no_events(self, header: ObjectHeader, _gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        """Octet strings come from the configuration: they do not change."""
        _events_qualifier(header)

    def _read_time(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, wall_ns: int) -> None:
        if header.variation not in (0, 1):
            raise ObjectUnknown(f"{header.label} cannot be read")
        if not (header.all or (header.counted and header.count == 1)):
            raise ParameterError("there is one time")
        now = time48.encode_one(wall_ns // time48.NS_PER_MS)
        gathered.statics.append(BlockPart(count_head(50, 1, 1) + now))

    def _read_iin(self, header: ObjectHeader, gathered: Gathered, iin: Iin, _wall_ns: int) -> None:
        if header.variation not in (0, 1):
            raise ObjectUnknown(f"{header.label} does not exist")
        first, last = (0, _IIN_BITS - 1) if header.all else (header.start, header.stop)
        if not (header.all or header.ranged) or last >= _IIN_BITS:
            raise ParameterError(f"there are {_IIN_BITS} internal indications")
        bits = (int(iin) >> first) & ((1 << (last - first + 1)) - 1)
        octets = bits.to_bytes((last - first) // 8 + 1, "little")
        gathered.statics.append(BlockPart(range_head(80, 1, first, last) + octets))

    def _read_strings(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        count = len(self._strings)
        wanted = range(count) if header.all else range(header.start, min(header.stop + 1, count))
        if not count or header.variation:
            raise ObjectUnknown(f"{header.label}: octet strings are read with variation 0")
        if not (header.all or header.ranged) or (header.ranged and header.stop >= count):
            gathered.iin |= Iin.PARAMETER_ERROR
        gathered.statics.extend(self._string_parts(wanted))

    def _string_parts(self, wanted: range) -> list[Part]:
        """The variation of an octet string is its length."""
        texts = [(index, self._strings[index]) for index in wanted]
        return [BlockPart(range_head(110, len(text), index, index) + text) for index, text in texts if text]

    def _read_attributes(self, header: ObjectHeader, gathered: Gathered, _iin: Iin, _wall_ns: int) -> None:
        gathered.statics.extend(BlockPart(block) for block in self._attributes.read(header))


def _events_qualifier(header: ObjectHeader) -> None:
    if not (header.all or header.counted):
        raise ParameterError(f"{header.label}: events are read with qualifier 06, 07 or 08")


CLASS_OF_FROZEN: Final[Mapping[int, PointType]] = {20: PointType.CTR, 30: PointType.AI}
"""Running points by the group that a freeze names."""
