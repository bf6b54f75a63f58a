"""Plausible values for points that the plant model does not know, so that any site can be simulated. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import DOUBLE_ON, Kind, PointCatalogue, Rows, Values

DEFAULT_RANGE: Final = (0.0, 100.0)
"""For an analog without `low` and `high` in its map."""
PERIOD_S: Final = (60.0, 600.0)


class WanderingPoints:
    """Analogs swing slowly in the middle half of their range, counters count, binaries stay off, doubles closed.

    `rows` are the points to play (set-points and controls among them start at 0, or the nearest allowed value,
    and are left to whoever writes them).
    """

    def __init__(self, catalogue: PointCatalogue, rows: Rows, seed: int) -> None:
        self.rows = rows
        random = np.random.default_rng([seed, 2])
        kinds = catalogue.kinds[rows]
        low, high = _range(catalogue, rows)
        self._middle = (low + high) / 2.0
        self._swing = np.where(kinds == Kind.ANALOG, (high - low) / 4.0, 0.0)
        self._omega = 2.0 * np.pi / random.uniform(*PERIOD_S, len(rows))
        self._phase = random.uniform(0.0, 2.0 * np.pi, len(rows))
        self._rate_per_s = np.where(kinds == Kind.COUNTER, random.uniform(0.01, 1.0, len(rows)), 0.0)
        self._base = _base(kinds, self._middle, low, high)
        self._measured = ~np.isin(kinds, (Kind.SETPOINT, Kind.CONTROL))

    def at(self, time_s: float) -> Values:
        """Values of `rows` at `time_s` since the start."""
        swing = self._swing * np.sin(self._omega * time_s + self._phase)
        values: Values = self._base + swing + np.floor(self._rate_per_s * time_s)
        return values

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which of `rows` are measured: only those are set again and again."""
        return self._measured


def _range(catalogue: PointCatalogue, rows: Rows) -> tuple[Values, Values]:
    low, high = catalogue.low[rows], catalogue.high[rows]
    low = np.where(np.isnan(low), np.where(np.isnan(high), DEFAULT_RANGE[0], high - 100.0), low)
    high = np.where(np.isnan(high), low + DEFAULT_RANGE[1], high)
    return low, high


def _base(kinds: NDArray[np.uint8], middle: Values, low: Values, high: Values) -> Values:
    base: Values = np.zeros(len(kinds))
    base[kinds == Kind.ANALOG] = middle[kinds == Kind.ANALOG]
    base[kinds == Kind.DOUBLE] = DOUBLE_ON
    setpoint = kinds == Kind.SETPOINT
    base[setpoint] = np.clip(0.0, low[setpoint], high[setpoint])
    return base
