"""Which changes may move an alarm, found for a whole batch at once. Pure.

For every point there is a band of values within which none of its alarms turns. It follows from the limits, the dead
bands and what the conditions are now::

    hh ─────────────────────┐ raised above hh
    hh less its dead band ──┤         returned at or below it
    h  ───────────┐         │
                  │ band    │ band
                  │ while   │ while h is raised
                  │ normal  │ and hh is not: (h less its dead band, hh]
    l  ───────────┘
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.model import Condition
from gateway.points.change import Changes
from gateway.points.quality import UNUSABLE

_UNUSABLE: Final = np.uint32(UNUSABLE)
_INF: Final = np.inf

Floats = NDArray[np.float64]


class QuietBands:
    """By row: the closed interval of values that turn nothing; by alarm: whether its condition holds.

    A value that may not be used turns no limit and no state: rows that are `heed`ed are looked at all the same when
    they become fit or unfit for use.
    """

    def __init__(self, alarms: AlarmCatalogue) -> None:
        self._alarms = alarms
        size = len(alarms.points)
        self.holds: NDArray[np.bool_] = np.zeros(len(alarms), np.bool_)
        self.low: Floats = np.full(size, -_INF)
        self.high: Floats = np.full(size, _INF)
        self._heeded: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self._heeded[alarms.row[alarms.condition == Condition.QUALITY]] = True
        self._always = self._heeded.copy()
        self._unfit: NDArray[np.bool_] = np.zeros(size, np.bool_)
        low, high = _first_bands(alarms.condition, alarms.limit)
        np.maximum.at(self.low, alarms.row, low)
        np.minimum.at(self.high, alarms.row, high)

    def movers(self, batch: Changes) -> NDArray[np.intp] | None:
        """Positions in the batch that have to be looked at, in order; None when there are none.

        With a row come all its later changes in the batch: what turns an alarm moves the band.
        """
        rows = batch["row"].astype(np.intp)
        values = batch["value"]
        unfit = (batch["quality"] & _UNUSABLE) != 0
        moves = (values < self.low.take(rows)) | (values > self.high.take(rows))
        moves &= ~unfit
        moves |= self._heeded.take(rows) & (unfit != self._unfit.take(rows))
        if not moves.any():
            return None
        return np.flatnonzero(np.isin(rows, rows[moves]))

    def turn(self, index: int, holds: bool) -> None:
        """The condition of one alarm begins or ceases to hold."""
        self.holds[index] = holds
        alarms = self._alarms
        row = int(alarms.row[index])
        low, high = -_INF, _INF
        for at in alarms.of_row(row):
            own_low, own_high = _band(
                int(alarms.condition[at]), float(alarms.limit[at]), float(alarms.deadband[at]), bool(self.holds[at])
            )
            low, high = max(low, own_low), min(high, own_high)
        self.low[row], self.high[row] = low, high

    def seen(self, row: int, unfit: bool) -> None:
        """Whether the point's value may be used, as last looked at."""
        self._unfit[row] = unfit

    def heed(self, row: int, heed: bool) -> None:
        """Look at this row also when its quality alone changes."""
        self._heeded[row] = heed or bool(self._always[row])


def condition_holds(condition: Condition, limit: float, deadband: float, held: bool, value: float, unfit: bool) -> bool:
    """Whether the condition holds at this value, given that it held (or not) before."""
    if condition is Condition.QUALITY:
        return unfit
    if condition is Condition.ALARM:
        return value == limit
    if condition.high:
        return value > (limit - deadband if held else limit)
    return value < (limit + deadband if held else limit)


_QUALITY, _ALARM, _H = int(Condition.QUALITY), int(Condition.ALARM), int(Condition.H)


def _band(condition: int, limit: float, deadband: float, holds: bool) -> tuple[float, float]:
    """The band of one alarm by itself, closed at both ends."""
    if condition == _QUALITY:
        return -_INF, _INF
    if condition == _ALARM:
        # no interval is "any state but this one": every change of such a point is looked at
        return (limit, limit) if holds else (_INF, -_INF)
    if condition >= _H:
        return (math.nextafter(limit - deadband, _INF), _INF) if holds else (-_INF, limit)
    return (-_INF, math.nextafter(limit + deadband, -_INF)) if holds else (limit, _INF)


def _first_bands(conditions: NDArray[np.uint8], limits: Floats) -> tuple[Floats, Floats]:
    """The bands of all alarms while no condition holds."""
    low, high = np.full(len(limits), -_INF), np.full(len(limits), _INF)
    above = (conditions == Condition.H) | (conditions == Condition.HH)
    below = (conditions == Condition.L) | (conditions == Condition.LL)
    state = conditions == Condition.ALARM
    high[above], low[below] = limits[above], limits[below]
    low[state], high[state] = _INF, -_INF
    return low, high
