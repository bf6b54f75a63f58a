"""What a unit can do now: its power limits from rating, state of charge, temperature, reserve; and its headroom."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gateway.control.frequency.curve import Curve
from gateway.control.socgate import SocGate

_ALWAYS = Curve((0.0,), (100.0,))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeSettings:
    """Ratings in kW and kWh; the curves give % of the rating over SoC in % or over temperature in deg C."""

    discharge_kw: float
    charge_kw: float
    """Positive."""
    soc_low_percent: float = 20.0
    soc_high_percent: float = 95.0
    soc_hysteresis_percent: float = 0.0
    capacity_kwh: float = math.nan
    discharge_over_soc: Curve = _ALWAYS
    charge_over_soc: Curve = _ALWAYS
    power_over_temperature: Curve = _ALWAYS
    reserve_s: float = 0.0
    """Energy kept for so long at full response: set-points may not use it, the frequency response may."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Power limits in kW, `low_kw` <= 0 <= `high_kw`. `base_*` hold for set-points, the others for the response too."""

    low_kw: float
    high_kw: float
    base_low_kw: float
    base_high_kw: float
    reasons: tuple[str, ...] = field(default=())

    def headroom_up_kw(self, power_kw: float) -> float:
        """How much more can be exported than now."""
        return max(0.0, self.high_kw - power_kw)

    def headroom_down_kw(self, power_kw: float) -> float:
        """How much more can be imported than now."""
        return max(0.0, power_kw - self.low_kw)


def envelope(
    settings: EnvelopeSettings, soc_percent: float | None, temperature_c: float | None, gate: SocGate | None = None
) -> Envelope:
    """The limits now. A value that is not known (None) forbids what it would have to allow.

    `gate` remembers whether the state of charge has been at a limit; None: it has not.

    Without the state of charge the unit neither charges nor discharges; without the temperature the lowest of its
    derating curve holds.
    """
    part, reasons = _temperature_part(settings, temperature_c)
    if soc_percent is None:
        return Envelope(0.0, 0.0, 0.0, 0.0, (*reasons, "state of charge not known"))
    high = settings.discharge_kw * min(part, _part(settings.discharge_over_soc, soc_percent))
    low = -settings.charge_kw * min(part, _part(settings.charge_over_soc, soc_percent))
    if gate is None:
        gate = SocGate(settings.soc_low_percent, settings.soc_high_percent)
    gate.step(soc_percent)
    if gate.at_floor:
        high = 0.0
        reasons.append(f"state of charge at its floor of {settings.soc_low_percent:g} %")
    if gate.at_ceiling:
        low = 0.0
        reasons.append(f"state of charge at its ceiling of {settings.soc_high_percent:g} %")
    base_low, base_high = _behind_reserve(settings, soc_percent, low, high)
    return Envelope(low, high, base_low, base_high, tuple(reasons))


def _part(curve: Curve, at: float) -> float:
    return min(100.0, max(0.0, curve(at))) / 100


def _temperature_part(settings: EnvelopeSettings, temperature_c: float | None) -> tuple[float, list[str]]:
    curve = settings.power_over_temperature
    if curve is _ALWAYS:
        return 1.0, []
    if temperature_c is None:
        return max(0.0, min(curve.y)) / 100, ["temperature not known"]
    part = _part(curve, temperature_c)
    return part, ["derated by temperature"] if part < 1 else []


def _behind_reserve(
    settings: EnvelopeSettings, soc_percent: float, low_kw: float, high_kw: float
) -> tuple[float, float]:
    """Set-points may take what is left above the reserve, at a rate that would last as long as the reserve does."""
    if settings.reserve_s <= 0 or math.isnan(settings.capacity_kwh):
        return low_kw, high_kw
    hours = settings.reserve_s / 3600
    up_kwh = (soc_percent - settings.soc_low_percent) / 100 * settings.capacity_kwh - settings.discharge_kw * hours
    down_kwh = (settings.soc_high_percent - soc_percent) / 100 * settings.capacity_kwh - settings.charge_kw * hours
    return max(low_kw, -max(0.0, down_kwh) / hours), min(high_kw, max(0.0, up_kwh) / hours)
