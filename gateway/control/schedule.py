"""The day's schedule in 96 blocks of 15 minutes, and what was delivered against it."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

BLOCKS: Final = 96
BLOCK_S: Final = 900
_KWH_PER_KWS: Final = 1 / 3600


@dataclass(frozen=True, slots=True, order=True)
class BlockName:
    """One block: the day of the site's own clock and 0 to 95."""

    day: dt.date
    index: int

    FIRST: ClassVar[BlockName]

    @property
    def number(self) -> int:
        """1 to 96, as load despatch centres count."""
        return self.index + 1


BlockName.FIRST = BlockName(dt.date(1970, 1, 1), 0)


def block_at(time_ns: int, zone: ZoneInfo) -> tuple[BlockName, float]:
    """The block that holds this moment (ns since 1970 UTC), and how many seconds of it have passed."""
    local = dt.datetime.fromtimestamp(time_ns / 1e9, zone)
    second = local.hour * 3600 + local.minute * 60 + local.second + local.microsecond / 1e6
    index = int(second // BLOCK_S)
    return BlockName(local.date(), index), second - index * BLOCK_S


@dataclass(frozen=True, slots=True)
class Schedule:
    """kW per block: of every day, and of named days that differ. NaN: nothing is scheduled then."""

    every_day: tuple[float, ...]
    days: dict[dt.date, tuple[float, ...]] = field(default_factory=dict)

    def kw(self, block: BlockName) -> float | None:
        """The scheduled power, or None."""
        value = self.days.get(block.day, self.every_day)[block.index]
        return None if math.isnan(value) else value


@dataclass(frozen=True, slots=True)
class BlockEnergy:
    """Energy of one block in kWh, + export. `measured_s`: seconds of it in which the power was known."""

    block: BlockName
    scheduled_kwh: float
    actual_kwh: float
    measured_s: float

    @property
    def deviation_kwh(self) -> float:
        """Actual less scheduled."""
        return self.actual_kwh - self.scheduled_kwh

    @property
    def deviation_percent(self) -> float:
        """Of the scheduled energy; NaN when nothing was scheduled."""
        return 100 * self.deviation_kwh / abs(self.scheduled_kwh) if self.scheduled_kwh else math.nan


@dataclass(slots=True)
class BlockMeter:
    """Adds up what is delivered in the present block; power stands between two cycles as it was at the first."""

    zone: ZoneInfo
    present: BlockEnergy | None = None
    last: BlockEnergy | None = None
    _time_ns: int = 0

    def step(
        self, time_ns: int, power_kw: float | None, scheduled_kw: float | None, block: BlockName | None = None
    ) -> bool:
        """Account for the time since the last step. True when a block ended. A clock set back starts anew.

        `block`: the one that holds `time_ns`, for a caller that knows it already.
        """
        if block is None:
            block, _ = block_at(time_ns, self.zone)
        before, self._time_ns = self._time_ns, time_ns
        present = self.present
        if present is None or block < present.block or time_ns < before:
            self.present = BlockEnergy(block, 0.0, 0.0, 0.0)
            return False
        passed_s = min((time_ns - before) / 1e9, BLOCK_S)
        self.present = present = _more(present, passed_s, power_kw, scheduled_kw)
        if block == present.block:
            return False
        self.last, self.present = present, BlockEnergy(block, 0.0, 0.0, 0.0)
        return True


def _more(energy: BlockEnergy, passed_s: float, power_kw: float | None, scheduled_kw: float | None) -> BlockEnergy:
    known = power_kw is not None
    return BlockEnergy(
        energy.block,
        energy.scheduled_kwh + (scheduled_kw or 0.0) * passed_s * _KWH_PER_KWS,
        energy.actual_kwh + (power_kw or 0.0) * passed_s * _KWH_PER_KWS,
        energy.measured_s + (passed_s if known else 0.0),
    )
