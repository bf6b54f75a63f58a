"""Freezes: at once, and at a time, again and again if so asked. Pure.

    g50v2   time of the first freeze, ms since 1970 (0: now) | interval in ms (0: once)

A time stands in front of the objects that it is for; a new freeze at a time of the same objects replaces the old one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from protocols.dnp3 import time48
from protocols.dnp3.database import Database, Index
from protocols.dnp3.errors import ObjectUnknown, ParameterError
from protocols.dnp3.headers import ObjectHeader
from protocols.dnp3.pointtypes import PointType

_RUNNING: Final = {20: PointType.CTR, 30: PointType.AI}
MAX_SCHEDULES: Final = 64


@dataclass(frozen=True, slots=True)
class Freeze:
    """Points of one type to be frozen."""

    type: PointType
    positions: Index


@dataclass(frozen=True, slots=True)
class Schedule:
    """A freeze that is due at `at_ns` (UTC), then every `interval_ns` (0: never again)."""

    freeze: Freeze
    at_ns: int
    interval_ns: int


def named(header: ObjectHeader, database: Database) -> tuple[Freeze, bool]:
    """What a header asks to freeze, and whether it names points that do not exist.

    Raises `ObjectUnknown` for groups that are not frozen.
    """
    kind = _RUNNING.get(header.group)
    if kind is None or header.variation:
        raise ObjectUnknown(f"{header.label} cannot be frozen: g20v0 or g30v0 expected")
    if not database.count(kind):
        raise ObjectUnknown(f"{header.label}: there is no such point")
    if header.all:
        return Freeze(kind, database.all(kind)), False
    if header.ranged:
        positions = database.between(kind, header.start, header.stop)
        return Freeze(kind, positions), len(positions) < header.count
    if header.indexed:
        found = database.find(kind, header.indices)
        return Freeze(kind, np.unique(found[found >= 0])), bool((found < 0).any())
    raise ParameterError(f"{header.label}: points to freeze are named by qualifier 06, 00, 01, 17 or 28")


def time_of(header: ObjectHeader, now_ns: int) -> tuple[int, int]:
    """(first freeze in ns UTC, interval in ns) of a g50v2."""
    if header.variation != 2 or header.count != 1:
        raise ParameterError(f"{header.label} x {header.count}: one time and interval (g50v2) expected")
    first_ms = time48.decode_one(header.data)
    interval_ms = int.from_bytes(header.data[time48.SIZE :], "little")
    return (first_ms * time48.NS_PER_MS or now_ns), interval_ms * time48.NS_PER_MS


class Schedules:
    """Freezes to come. Times are UTC, for the master gives them so."""

    def __init__(self) -> None:
        self._entries: list[Schedule] = []

    def add(self, schedule: Schedule) -> None:
        """Raises `ParameterError` when there are too many."""
        kept = [entry for entry in self._entries if not _same(entry.freeze, schedule.freeze)]
        if len(kept) >= MAX_SCHEDULES:
            raise ParameterError(f"{MAX_SCHEDULES} freezes wait already")
        self._entries = [*kept, schedule]

    @property
    def entries(self) -> list[Schedule]:
        """All of them, in the order in which they were asked for."""
        return list(self._entries)

    def next_ns(self) -> int | None:
        """When the next one is due."""
        return min((entry.at_ns for entry in self._entries), default=None)

    def due(self, now_ns: int) -> list[Freeze]:
        """Freezes that are due; those with an interval are scheduled again, without making up what was missed."""
        ready = [entry for entry in self._entries if entry.at_ns <= now_ns]
        if ready:
            again = [_following(entry, now_ns) for entry in ready if entry.interval_ns]
            self._entries = [entry for entry in self._entries if entry.at_ns > now_ns] + again
        return [entry.freeze for entry in ready]


def _following(entry: Schedule, now_ns: int) -> Schedule:
    missed = (now_ns - entry.at_ns) // entry.interval_ns
    return replace(entry, at_ns=entry.at_ns + (missed + 1) * entry.interval_ns)


def _same(one: Freeze, other: Freeze) -> bool:
    return one.type is other.type and np.array_equal(one.positions, other.positions)
