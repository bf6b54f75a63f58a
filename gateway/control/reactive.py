"""Reactive power of a unit: fixed, by power factor, or by voltage; always within what the unit can do.

Positive is injection (over-excited, raises the voltage).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from gateway.control.frequency.curve import Curve


class ReactiveMode(StrEnum):
    """How the reactive set-point comes about."""

    FIXED = "fixed"
    POWER_FACTOR = "power-factor"
    VOLTAGE = "voltage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """What the unit can do: apparent power, and optionally limits in kvar over |P| in kW."""

    rated_kva: float
    high_over_power: Curve | None = None
    low_over_power: Curve | None = None

    def limits_kvar(self, power_kw: float) -> tuple[float, float]:
        """(low, high) at this active power: the circle of apparent power, cut by the curves."""
        size = abs(power_kw)
        circle = math.sqrt(max(0.0, self.rated_kva**2 - size**2))
        high = circle if self.high_over_power is None else min(circle, max(0.0, self.high_over_power(size)))
        low = -circle if self.low_over_power is None else max(-circle, min(0.0, self.low_over_power(size)))
        return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactiveSettings:
    """`kvar_over_voltage`: kvar over voltage in per unit, with its dead band and slope drawn in."""

    mode: ReactiveMode
    capability: Capability
    kvar: float = 0.0
    power_factor: float = 1.0
    """Negative: under-excited."""
    kvar_over_voltage: Curve | None = None
    hold_s: float = 10.0


def voltage_curve(nominal_pu: float, deadband_pu: float, slope_percent: float, limit_kvar: float) -> Curve:
    """Q(U): zero within +-`deadband_pu` of nominal, then falling so that `slope_percent` of voltage gives the limit."""
    low, high, width = nominal_pu - deadband_pu, nominal_pu + deadband_pu, slope_percent / 100
    return Curve.of([(low - width, limit_kvar), (low, 0.0), (high, 0.0), (high + width, -limit_kvar)])


@dataclass(slots=True)
class ReactiveControl:
    """State between cycles: the last answer, held for a while when the voltage is lost."""

    settings: ReactiveSettings
    _kvar: float = 0.0
    _lost_since_s: float | None = None

    def step(self, power_kw: float, voltage_pu: float | None, now_s: float, asked_kvar: float | None = None) -> float:
        """The set-point in kvar; `asked_kvar`: a valid remote set-point, in place of the fixed one."""
        low, high = self.settings.capability.limits_kvar(power_kw)
        wanted = _WANTED[self.settings.mode](self, power_kw, voltage_pu, now_s, asked_kvar)
        self._kvar = max(low, min(high, wanted))
        return self._kvar

    def _fixed(self, power_kw: float, voltage_pu: float | None, now_s: float, asked_kvar: float | None) -> float:
        return self.settings.kvar if asked_kvar is None else asked_kvar

    def _factor(self, power_kw: float, voltage_pu: float | None, now_s: float, asked_kvar: float | None) -> float:
        factor = self.settings.power_factor
        size = abs(power_kw) * math.tan(math.acos(min(1.0, abs(factor))))
        return math.copysign(size, factor)

    def _voltage(self, power_kw: float, voltage_pu: float | None, now_s: float, asked_kvar: float | None) -> float:
        curve = self.settings.kvar_over_voltage
        if voltage_pu is not None and curve is not None:
            self._lost_since_s = None
            return curve(voltage_pu)
        if self._lost_since_s is None:
            self._lost_since_s = now_s
        return self._kvar if now_s - self._lost_since_s < self.settings.hold_s else 0.0


_WANTED = {
    ReactiveMode.FIXED: ReactiveControl._fixed,
    ReactiveMode.POWER_FACTOR: ReactiveControl._factor,
    ReactiveMode.VOLTAGE: ReactiveControl._voltage,
}
