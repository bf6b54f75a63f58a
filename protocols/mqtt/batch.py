"""Values on their way to the core, gathered over messages; a row stands once in each publication. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.points import Qualities, Rows, Times, Values

Publish = Callable[[Rows, Values, Qualities, Times], None]
MOST: Final = 1_000
"""Rows after which a publication is made without waiting for more."""


class Batch:
    """`add` values in order, `flush` at the end."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._rows: dict[int, None] = {}
        self._values: list[float] = []
        self._qualities: list[int] = []
        self._times: list[int] = []

    def add(self, row: int, value: float, quality: int, time_ns: int) -> None:
        """One value of one point."""
        if row in self._rows or len(self._rows) >= MOST:
            self.flush()
        self._rows[row] = None
        self._values.append(value)
        self._qualities.append(quality)
        self._times.append(time_ns)

    def flush(self) -> None:
        """Publish what is there."""
        if not self._rows:
            return
        rows = np.fromiter(self._rows, np.uint32, len(self._rows))
        values = np.array(self._values, np.float64)
        qualities = np.array(self._qualities, np.uint32)
        times = np.array(self._times, np.int64)
        self._rows.clear()
        self._values.clear()
        self._qualities.clear()
        self._times.clear()
        self._publish(rows, values, qualities, times)
