"""What a phasor measurement unit at the point of interconnection sees of the plant. Pure."""

from __future__ import annotations

import math
from typing import Final

PREFIX: Final = "poi/pmu/"
NOMINAL_HZ: Final = 50.0
ROCOF_WINDOW_S: Final = 0.1
TRIGGER_HZ, TRIGGER_HZ_PER_S = 0.5, 0.5
UNBALANCE: Final = (1.0, 0.997, 1.002)
POWER_FACTOR_ANGLE_DEG: Final = -4.0


class PmuView:
    """Turns frequency, voltage and power into phasors. Angles are against UTC at 50 Hz, in degrees."""

    def __init__(self, frequency_hz: float) -> None:
        self._frequency_hz = self._smooth_hz = frequency_hz
        self._rocof_hz_per_s = 0.0
        self._angle_deg = 30.0

    def step(self, dt_s: float, frequency_hz: float) -> None:
        """Move on by `dt_s`."""
        self._frequency_hz = frequency_hz
        share = -math.expm1(-dt_s / ROCOF_WINDOW_S)
        before_hz, self._smooth_hz = self._smooth_hz, self._smooth_hz + share * (frequency_hz - self._smooth_hz)
        self._rocof_hz_per_s = (self._smooth_hz - before_hz) / dt_s
        self._angle_deg = _wrapped(self._angle_deg + 360.0 * (frequency_hz - NOMINAL_HZ) * dt_s)

    def values(self, voltage_kv: float, power_kw: float, breaker_closed: bool) -> dict[str, float]:
        """Every point by full name; `power_kw` is + export at the line voltage `voltage_kv`."""
        phase_kv = voltage_kv / math.sqrt(3.0)
        angle_deg = self._angle_deg + POWER_FACTOR_ANGLE_DEG + (180.0 if power_kw < 0.0 else 0.0)
        shown = {
            "frequency": self._frequency_hz,
            "rocof": self._rocof_hz_per_s,
            **{f"voltage_l{number}": phase_kv * share for number, share in enumerate(UNBALANCE, 1)},
            "voltage_l1_angle": self._angle_deg,
            "current_l1": abs(power_kw) / (3.0 * phase_kv),
            "current_l1_angle": _wrapped(angle_deg),
            "active_power": power_kw,
            "breaker": float(breaker_closed),
            "triggered": float(
                abs(self._frequency_hz - NOMINAL_HZ) > TRIGGER_HZ or abs(self._rocof_hz_per_s) > TRIGGER_HZ_PER_S
            ),
            "sync_lost": 0.0,
        }
        return {PREFIX + name: value for name, value in shown.items()}


def _wrapped(angle_deg: float) -> float:
    return (angle_deg + 180.0) % 360.0 - 180.0
