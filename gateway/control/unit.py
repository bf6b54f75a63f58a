"""A unit as the control cycle drives it: where its set-point, run control and measurements stand. Pure data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from gateway.control.arbitration import UnitLimits
from gateway.points.model import NO_ROW


class SafeState(StrEnum):
    """Where a unit goes when the cycle itself has failed (the watchdog's trip)."""

    STOP = "stop"
    ZERO = "zero"
    """Set-point 0, still running."""
    HOLD = "hold"
    """Left alone: the device's own fallback decides."""


class Fallback(StrEnum):
    """What follows a set-point whose validity has ended, when no schedule is there."""

    HOLD = "hold"
    """The last set-point stays."""
    KW = "kw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Rows are table rows, `NO_ROW` where the unit has no such point. Power in kW, + discharge."""

    name: str
    setpoint: int
    run: int = NO_ROW
    running: int = NO_ROW
    power: int = NO_ROW
    heartbeat: int = NO_ROW
    soc: int = NO_ROW
    low_kw: float = -math.inf
    high_kw: float = math.inf
    rated_kw: float
    ramp_kw_per_s: float = math.inf
    soc_limits: tuple[float, float] = (0.0, 100.0)
    soc_hysteresis: float = 0.5
    """How far in percent the state of charge must leave a limit before that way is open again."""
    soc_hold_s: float = 10.0
    """Without a state of charge the last one counts for so long; then the unit does nothing."""
    resolution_kw: float = 0.1
    """Smaller changes are not written."""
    keep_alive_s: float = 0.0
    """The set-point is written again after so long without a change; 0: never."""
    heartbeat_s: float = 1.0
    valid_s: float = math.inf
    """How long a master's set-point holds."""
    operator_valid_s: float = 900.0
    """How long a person's set-point at the gateway holds."""
    fallback: Fallback = Fallback.HOLD
    fallback_kw: float = 0.0
    safe_state: SafeState = SafeState.STOP

    @property
    def limits(self) -> UnitLimits:
        return UnitLimits(low_kw=self.low_kw, high_kw=self.high_kw, ramp_kw_per_s=self.ramp_kw_per_s)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Rows that the cycle reads for this unit."""
        return self.setpoint, self.running, self.power, self.soc


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRows:
    """Table rows of `system/control/UNIT/...`, set by the cycle; `release` is commanded."""

    target_kw: int
    requested_kw: int
    source: int
    limit_low_kw: int
    limit_high_kw: int
    limited: int
    blocked: int
    tripped: int
    write_errors: int
    release: int
