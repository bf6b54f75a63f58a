"""Swinging doors: a straight line between two recorded samples misses none between them by more than a width.

The last sample is held until the door shuts; per-point Python, for the points that ask for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class _Door:
    start_ns: int
    start: float
    held: Any = None
    low: float = -math.inf
    high: float = math.inf


class SwingingDoors:
    """Doors by table row; `width` in engineering units."""

    def __init__(self, width: NDArray[np.float64]) -> None:
        self._width = width
        self._doors: dict[int, _Door] = {}

    def step(self, row: int, change: Any, quality_changed: bool) -> list[Any]:
        """What is to be recorded now that this change has come."""
        door = self._doors.get(row)
        value, time_ns = float(change["value"]), int(change["time_ns"])
        if door is None or quality_changed or time_ns <= door.start_ns or not math.isfinite(value):
            self._doors[row] = _Door(time_ns, value)
            return [change] if door is None or door.held is None else [door.held, change]
        width, span_s = float(self._width[row]), (time_ns - door.start_ns) / 1e9
        slope = (value - door.start) / span_s
        if door.held is None or door.low <= slope <= door.high:
            door.held = change
            self._narrow(door, value, width, span_s)
            return []
        held: Any = door.held
        fresh = _Door(int(held["time_ns"]), float(held["value"]), change)
        if time_ns > fresh.start_ns:
            self._narrow(fresh, value, width, (time_ns - fresh.start_ns) / 1e9)
        self._doors[row] = fresh
        return [held]

    def flush(self) -> list[Any]:
        """Every sample that is held."""
        held = [door.held for door in self._doors.values() if door.held is not None]
        self._doors.clear()
        return held

    @staticmethod
    def _narrow(door: _Door, value: float, width: float, span_s: float) -> None:
        door.low = max(door.low, (value - width - door.start) / span_s)
        door.high = min(door.high, (value + width - door.start) / span_s)
