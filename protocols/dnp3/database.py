"""What one master can read: its points by type and index, and how their values become objects. Pure.

Columns are ordered by type and index, so the points of one type are one stretch of them; a *position* is a place in the
columns. Values on the wire are (engineering - offset) / scale.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import TableView
from gateway.points import Qualities, Quality, Times, Values
from protocols.dnp3.plan import BindingColumns
from protocols.dnp3.pointtypes import FROZEN_OF, TYPES, PointType, TypeRow

Index = NDArray[np.intp]
"""Positions in the columns."""

_FROZEN: Final = frozenset(FROZEN_OF.values())


class Database:
    """One master's points. Static values come from the table; frozen ones and counter zeros are kept here."""

    def __init__(self, columns: BindingColumns, table: TableView) -> None:
        self.columns = columns
        self.table = table
        self.version = 0
        """Another one whenever a value, quality or time may be another."""
        size = len(columns)
        self.event_class = columns.event_class.copy()
        """Class of each point, as configured or assigned."""
        self.frozen_value: Values = np.zeros(size)
        self.frozen_quality: Qualities = np.full(size, int(Quality.NEVER_REPORTED), np.uint32)
        self.frozen_time_ns: Times = np.zeros(size, np.int64)
        self.counter_zero: Values = np.zeros(size)
        """What a freeze-and-clear took away from a counter, engineering units."""
        starts = np.searchsorted(columns.type, np.arange(len(PointType) + 1))
        self._stretch = {kind: (int(starts[kind]), int(starts[kind + 1])) for kind in PointType}

    def __len__(self) -> int:
        return len(self.columns)

    def all(self, kind: PointType) -> Index:
        """Every point of a type, by rising index."""
        return np.arange(*self._stretch[kind])

    def count(self, kind: PointType) -> int:
        """How many points of a type there are."""
        start, stop = self._stretch[kind]
        return stop - start

    def highest(self, kind: PointType) -> int:
        """The highest index of a type, 0 when it has no point."""
        start, stop = self._stretch[kind]
        return int(self.columns.index[stop - 1]) if stop > start else 0

    def between(self, kind: PointType, first: int, last: int) -> Index:
        """Points of a type with indices `first` to `last`, inclusive; those that exist."""
        start, stop = self._stretch[kind]
        low, high = np.searchsorted(self.columns.index[start:stop], [first, last + 1])
        return np.arange(start + low, start + high)

    def find(self, kind: PointType, indices: NDArray[np.integer]) -> Index:
        """Position of each index, -1 where there is no such point."""
        start, stop = self._stretch[kind]
        if start == stop:
            return np.full(len(indices), -1, np.intp)
        held = self.columns.index[start:stop].astype(np.int64)
        at = np.searchsorted(held, indices)
        known = held[np.minimum(at, len(held) - 1)] == indices
        return np.where(known & (at < len(held)), start + at, -1)

    def class_0(self) -> list[tuple[TypeRow, Index]]:
        """What answers a class 0 read, type by type."""
        member = self.columns.class_0
        found = ((row, positions[member[positions]]) for row, positions in self._every_type())
        return [(row, positions) for row, positions in found if len(positions)]

    def _every_type(self) -> list[tuple[TypeRow, Index]]:
        return [(row, self.all(kind)) for kind, row in TYPES.items()]

    def now(self, row: TypeRow, positions: Index) -> tuple[Values, Qualities, Times]:
        """Values on the wire, qualities and source times in ns of points of one type."""
        if row.type in _FROZEN:
            values, qualities = self.frozen_value[positions], self.frozen_quality[positions]
            return self.on_wire(positions, values), qualities, self.frozen_time_ns[positions]
        rows = self.columns.row[positions]
        values = self.table.value[rows] - self.counter_zero[positions]
        return self.on_wire(positions, values), self.table.quality[rows], self.table.time_ns[rows]

    def on_wire(self, positions: Index, values: Values) -> Values:
        """Engineering values as they go out."""
        wire: Values = (values - self.columns.offset[positions]) / self.columns.scale[positions]
        return wire

    def engineering(self, position: int, value: float) -> float:
        """A commanded value in engineering units."""
        return value * float(self.columns.scale[position]) + float(self.columns.offset[position])

    def freeze(self, running: PointType, positions: Index, time_ns: int, clear: bool) -> Index:
        """Copy running points to their frozen ones; returns the frozen points' positions.

        A frozen counter keeps quality and value of the moment, and the time of the freeze.
        """
        targets = self.find(FROZEN_OF[running], self.columns.index[positions].astype(np.int64))
        have = targets >= 0
        source, target = positions[have], targets[have]
        rows = self.columns.row[source]
        self.frozen_value[target] = self.table.value[rows] - self.counter_zero[source]
        self.frozen_quality[target] = self.table.quality[rows]
        self.frozen_time_ns[target] = time_ns
        if clear and running is PointType.CTR:
            self.counter_zero[positions] = self.table.value[self.columns.row[positions]]
        return target
