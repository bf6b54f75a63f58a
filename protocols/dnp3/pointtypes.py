"""The types of point that a master map can name: one row each, with groups, defaults and kinds of point. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from gateway.points import Kind
from protocols.dnp3.quality import Family


class PointType(IntEnum):
    """In the order of their static groups, in which a class 0 read is answered."""

    BI = 0
    DBI = 1
    BO = 2
    CTR = 3
    FCTR = 4
    AI = 5
    FAI = 6
    AO = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRow:
    """One type. `command_event` is the group of events that tell of commands, 0 for none."""

    type: PointType
    words: str
    static_group: int
    event_group: int
    static: int
    """Default variation of the static group."""
    event: int
    """Default variation of the event group."""
    kinds: frozenset[Kind]
    family: Family
    command_event: int = 0
    deadband: bool = False
    flagged: int = 0
    """Variation of the static group that replaces the packed one where a point is not plainly online; 0 for none."""

    @property
    def commanded(self) -> bool:
        return self.command_event != 0


_ANY_NUMBER: Final = frozenset({Kind.ANALOG, Kind.COUNTER, Kind.SETPOINT})
_ANY_STATE: Final = frozenset({Kind.BINARY, Kind.CONTROL})

TYPES: Final[Mapping[PointType, TypeRow]] = MappingProxyType(
    {
        row.type: row
        for row in (
            TypeRow(
                type=PointType.BI,
                words="binary input",
                static_group=1,
                event_group=2,
                static=2,
                event=2,
                kinds=_ANY_STATE,
                family=Family.BINARY,
                flagged=2,
            ),
            TypeRow(
                type=PointType.DBI,
                words="double-bit binary input",
                static_group=3,
                event_group=4,
                static=2,
                event=2,
                kinds=frozenset({Kind.DOUBLE}),
                family=Family.DOUBLE,
                flagged=2,
            ),
            TypeRow(
                type=PointType.BO,
                words="binary output",
                static_group=10,
                event_group=11,
                static=2,
                event=2,
                kinds=frozenset({Kind.CONTROL}),
                family=Family.OUTPUT,
                command_event=13,
                flagged=2,
            ),
            TypeRow(
                type=PointType.CTR,
                words="counter",
                static_group=20,
                event_group=22,
                static=1,
                event=5,
                kinds=frozenset({Kind.COUNTER}),
                family=Family.COUNTER,
                deadband=True,
            ),
            TypeRow(
                type=PointType.FCTR,
                words="frozen counter",
                static_group=21,
                event_group=23,
                static=5,
                event=5,
                kinds=frozenset({Kind.COUNTER}),
                family=Family.COUNTER,
            ),
            TypeRow(
                type=PointType.AI,
                words="analog input",
                static_group=30,
                event_group=32,
                static=5,
                event=7,
                kinds=_ANY_NUMBER,
                family=Family.ANALOG,
                deadband=True,
            ),
            TypeRow(
                type=PointType.FAI,
                words="frozen analog input",
                static_group=31,
                event_group=33,
                static=7,
                event=7,
                kinds=_ANY_NUMBER,
                family=Family.ANALOG,
            ),
            TypeRow(
                type=PointType.AO,
                words="analog output",
                static_group=40,
                event_group=42,
                static=3,
                event=7,
                kinds=frozenset({Kind.SETPOINT}),
                family=Family.ANALOG,
                command_event=43,
                deadband=True,
            ),
        )
    }
)

BY_STATIC_GROUP: Final[Mapping[int, TypeRow]] = MappingProxyType({row.static_group: row for row in TYPES.values()})
BY_EVENT_GROUP: Final[Mapping[int, TypeRow]] = MappingProxyType({row.event_group: row for row in TYPES.values()})
BY_COMMAND_EVENT: Final[Mapping[int, TypeRow]] = MappingProxyType(
    {row.command_event: row for row in TYPES.values() if row.command_event}
)

FROZEN_OF: Final[Mapping[PointType, PointType]] = MappingProxyType(
    {PointType.CTR: PointType.FCTR, PointType.AI: PointType.FAI}
)
"""What a freeze of the first fills."""
DEADBAND_GROUP: Final = 34
"""Reads and writes the deadbands of analog inputs."""
