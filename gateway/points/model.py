"""What a point is, and the catalogue of all points as columns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

NO_ROW = -1
"""Stands for "no such point" in columns that hold a row."""


class Kind(IntEnum):
    """What a point carries. `CONTROL` and `SETPOINT` are commanded, the others measured."""

    ANALOG = 0
    BINARY = 1
    DOUBLE = 2
    COUNTER = 3
    SETPOINT = 4
    CONTROL = 5

    @property
    def commanded(self) -> bool:
        return self in (Kind.SETPOINT, Kind.CONTROL)

    @property
    def word(self) -> str:
        return self.name.lower()


KIND_BY_WORD: Mapping[str, Kind] = {kind.word: kind for kind in Kind}

DOUBLE_INTERMEDIATE, DOUBLE_OFF, DOUBLE_ON, DOUBLE_BAD = 0.0, 1.0, 2.0, 3.0
"""Values of a `Kind.DOUBLE` point: 1 open (off), 2 closed (on), 0 and 3 indeterminate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The static side of one point; made on demand from the catalogue."""

    row: int
    name: str
    kind: Kind
    description: str = ""
    unit: str = ""
    low: float = math.nan
    high: float = math.nan
    alarm_ll: float = math.nan
    alarm_l: float = math.nan
    alarm_h: float = math.nan
    alarm_hh: float = math.nan
    max_age_s: float = math.nan
    device: str = ""
    feedback: int = NO_ROW
    feedback_tolerance: float = math.nan
    feedback_s: float = math.nan
    chatter_count: float = math.nan
    chatter_s: float = math.nan


def _floats() -> NDArray[np.float64]:
    return np.empty(0, np.float64)


def _ints() -> NDArray[np.int32]:
    return np.empty(0, np.int32)


@dataclass(slots=False, kw_only=True)
class PointCatalogue:
    """All points of a site as columns, index = table row. Small to hold, quick to pickle.

    Float columns use NaN for "not given"; `device` indexes `devices` (-1: none: calculated or system
    points); `feedback` is a row or `NO_ROW`.
    """

    names: list[str] = field(default_factory=list)
    kinds: NDArray[np.uint8] = field(default_factory=lambda: np.empty(0, np.uint8))
    descriptions: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)
    low: NDArray[np.float64] = field(default_factory=_floats)
    high: NDArray[np.float64] = field(default_factory=_floats)
    alarm_ll: NDArray[np.float64] = field(default_factory=_floats)
    alarm_l: NDArray[np.float64] = field(default_factory=_floats)
    alarm_h: NDArray[np.float64] = field(default_factory=_floats)
    alarm_hh: NDArray[np.float64] = field(default_factory=_floats)
    max_age_s: NDArray[np.float64] = field(default_factory=_floats)
    device: NDArray[np.int32] = field(default_factory=_ints)
    feedback: NDArray[np.int32] = field(default_factory=_ints)
    feedback_tolerance: NDArray[np.float64] = field(default_factory=_floats)
    feedback_s: NDArray[np.float64] = field(default_factory=_floats)
    chatter_count: NDArray[np.float64] = field(default_factory=_floats)
    chatter_s: NDArray[np.float64] = field(default_factory=_floats)
    devices: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, points: list[Point]) -> PointCatalogue:
        """Columns from points whose `row` runs 0, 1, 2, ...; `ValueError` otherwise."""
        if [point.row for point in points] != list(range(len(points))):
            raise ValueError("points must be given in the order of their rows")
        devices = list(dict.fromkeys(point.device for point in points if point.device))
        index = {name: i for i, name in enumerate(devices)}

        def column(name: str) -> NDArray[np.float64]:
            return np.array([getattr(point, name) for point in points], np.float64)

        return cls(
            names=[point.name for point in points],
            kinds=np.array([point.kind for point in points], np.uint8),
            descriptions=[point.description for point in points],
            units=[point.unit for point in points],
            low=column("low"),
            high=column("high"),
            alarm_ll=column("alarm_ll"),
            alarm_l=column("alarm_l"),
            alarm_h=column("alarm_h"),
            alarm_hh=column("alarm_hh"),
            max_age_s=column("max_age_s"),
            device=np.array([index.get(point.device, -1) for point in points], np.int32),
            feedback=np.array([point.feedback for point in points], np.int32),
            feedback_tolerance=column("feedback_tolerance"),
            feedback_s=column("feedback_s"),
            chatter_count=column("chatter_count"),
            chatter_s=column("chatter_s"),
            devices=devices,
        )

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Point]:
        return (self.point(row) for row in range(len(self)))

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Row by point name."""
        return {name: row for row, name in enumerate(self.names)}

    def kind(self, row: int) -> Kind:
        return Kind(int(self.kinds[row]))

    def point(self, row: int) -> Point:
        """The point at `row`; `IndexError` beyond the table."""
        device = int(self.device[row])
        return Point(
            row=row,
            name=self.names[row],
            kind=self.kind(row),
            description=self.descriptions[row],
            unit=self.units[row],
            low=float(self.low[row]),
            high=float(self.high[row]),
            alarm_ll=float(self.alarm_ll[row]),
            alarm_l=float(self.alarm_l[row]),
            alarm_h=float(self.alarm_h[row]),
            alarm_hh=float(self.alarm_hh[row]),
            max_age_s=float(self.max_age_s[row]),
            device=self.devices[device] if device >= 0 else "",
            feedback=int(self.feedback[row]),
            feedback_tolerance=float(self.feedback_tolerance[row]),
            feedback_s=float(self.feedback_s[row]),
            chatter_count=float(self.chatter_count[row]),
            chatter_s=float(self.chatter_s[row]),
        )

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "rows"}
