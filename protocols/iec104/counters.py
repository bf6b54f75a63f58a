"""Integrated totals of one master: what it froze, from where it counts. Pure.

A meter is shared by all masters: nothing here touches it. Freeze and reset concern this master's reading alone, which
is the meter's value less its value at this master's last reset (IEC 60870-5-101 7.4.8 and 7.2.6.23).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Qualities, Values
from protocols.iec104.marks import ADJUSTED, READING_SHIFT

Index = NDArray[np.intp]

_SEQUENCE_NUMBERS: Final = 32


class Freeze(IntEnum):
    """FRZ of the qualifier of counter interrogation command."""

    READ = 0
    FREEZE = 1
    FREEZE_AND_RESET = 2
    RESET = 3


class Counters:
    """Readings by binding; `of` says which bindings are counters."""

    def __init__(self, of: NDArray[np.bool_]) -> None:
        self.index: Index = np.flatnonzero(of)
        size = len(self.index)
        self._slot: Index = np.full(len(of), -1, np.intp)
        self._slot[self.index] = np.arange(size)
        self.zero: Values = np.zeros(size)
        """The meter's value at which this master's reading is 0."""
        self.before: Values = np.full(size, np.nan)
        """The meter's value at the last freeze or reset: one that is smaller now was adjusted."""
        self.frozen: Values = np.full(size, np.nan)
        self.frozen_quality: Qualities = np.zeros(size, np.uint32)
        self.number: NDArray[np.uint8] = np.zeros(size, np.uint8)
        """Sequence number of the last freeze, 1 to 31 and 0 in turn; 0 before the first."""
        self.held: NDArray[np.bool_] = np.zeros(size, np.bool_)
        """Something is frozen."""

    def live(self, index: Index, values: Values) -> Values:
        """What bindings show now: of counters the whole reading of this master, of others the value as it is."""
        if not len(self.index):
            return values
        slots = self._slot[index]
        counting = slots >= 0
        if not counting.any():
            return values
        out = values.copy()
        out[counting] = np.rint(values[counting] - self.zero[slots[counting]])
        return out

    def marked(self, index: Index, qualities: Qualities) -> Qualities:
        """Qualities with the sequence number of counters in their upper bits."""
        if not len(self.index):
            return qualities
        slots = self._slot[index]
        counting = slots >= 0
        if not counting.any():
            return qualities
        out = qualities.copy()
        out[counting] |= self.number[slots[counting]].astype(np.uint32) << np.uint32(READING_SHIFT)
        return out

    def shown(self, index: Index, values: Values, qualities: Qualities) -> tuple[Values, Qualities]:
        """The present readings."""
        return self.live(index, values), self.marked(index, qualities)

    def memorised(self, index: Index, values: Values, qualities: Qualities) -> tuple[Values, Qualities]:
        """The frozen readings; of a counter that was never frozen the present one."""
        values, qualities = self.shown(index, values, qualities)
        if not len(self.index):
            return values, qualities
        slots = self._slot[index]
        held = self.held[slots] & (slots >= 0)
        if not held.any():
            return values, qualities
        return (
            np.where(held, self.frozen[slots], values),
            np.where(held, self.frozen_quality[slots], qualities).astype(np.uint32),
        )

    def act(self, freeze: Freeze, index: Index, values: Values, qualities: Qualities) -> None:
        """Freeze and reset what the qualifier says; `index` holds counters only, `values` are the meters'."""
        slots = self._slot[index]
        adjusted = values < self.before[slots]
        if freeze in (Freeze.FREEZE, Freeze.FREEZE_AND_RESET):
            self.number[slots] = (self.number[slots] + 1) % _SEQUENCE_NUMBERS
            self.held[slots] = True
            self.frozen[slots] = self.live(index, values)
            self.frozen_quality[slots] = self.marked(index, qualities) | np.where(adjusted, ADJUSTED, 0)
        if freeze in (Freeze.FREEZE_AND_RESET, Freeze.RESET):
            known = ~np.isnan(values)
            self.zero[slots[known]] = np.rint(values[known])
        if freeze is not Freeze.READ:
            self.before[slots] = values
