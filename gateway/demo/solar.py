"""The solar inverter of the plant: what the sun of a day gives, clouds, and the limit it is told. Pure."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gateway.demo.grid import Wander

PREFIX: Final = "pv1/"
RATED_KW: Final = 400.0
PANELS_KW: Final = 440.0
"""More panels than inverter, as is usual: around noon it clips."""
EFFICIENCY: Final = 0.975
SUNRISE_H, SUNSET_H, BEGINS_H = 6.0, 18.5, 10.0
"""Of the day on which every plant begins."""
RAMP_KW_PER_S: Final = 80.0
PHASE_V: Final = 231.0
STARTS_KW: Final = 1.0
SLEEPING, MPPT, THROTTLED = 2.0, 4.0, 5.0
"""States of SunSpec model 103."""


def irradiance(hour: float) -> float:
    """Share of the full sun on a clear day, 0 to 1; `hour` may be of any day."""
    height = math.sin(math.pi * (hour % 24.0 - SUNRISE_H) / (SUNSET_H - SUNRISE_H))
    return height**1.3 if SUNRISE_H < hour % 24.0 < SUNSET_H and height > 0.0 else 0.0


class Solar:
    """One inverter. `power_kw` is what it feeds in; nothing without `on`."""

    def __init__(self, seed: int, on: bool) -> None:
        self._on = on
        self._random = np.random.default_rng([seed, 4])
        self._clouds = Wander(0.10, 90.0)
        self._time_s = 0.0
        self._limit_percent = 100.0
        self._sun_kw = 0.0
        self.power_kw = 0.0
        self.energy_kwh = 0.0

    def power_limit(self, value: float) -> None:
        """In percent of the rated power."""
        self._limit_percent = value

    def step(self, dt_s: float, connected: bool) -> None:
        """Move on by `dt_s`; off the grid it gives nothing."""
        if not self._on:
            return
        self._time_s += dt_s
        shade = 1.0 - abs(self._clouds.step(dt_s, float(self._random.standard_normal())))
        self._sun_kw = PANELS_KW * EFFICIENCY * max(shade, 0.0) * irradiance(BEGINS_H + self._time_s / 3600.0)
        wish_kw = min(self._sun_kw, RATED_KW * self._limit_percent / 100.0) if connected else 0.0
        most_kw = RAMP_KW_PER_S * dt_s
        self.power_kw = max(self.power_kw + min(max(wish_kw - self.power_kw, -most_kw), most_kw), 0.0)
        self.energy_kwh += self.power_kw * dt_s / 3600.0

    def values(self, frequency_hz: float, voltage_share: float) -> dict[str, float]:
        """Every point by full name; `voltage_share` is the grid's voltage, 1 as it should be."""
        volts = PHASE_V * voltage_share
        throttled = self._limit_percent < 100.0 and self._sun_kw > RATED_KW * self._limit_percent / 100.0
        state = (THROTTLED if throttled else MPPT) if self.power_kw > STARTS_KW else SLEEPING
        shown = {
            "active_power": self.power_kw,
            "reactive_power": 0.0,
            "frequency": frequency_hz,
            "voltage_l1": volts,
            "current": 1000.0 * self.power_kw / volts,
            "energy": math.floor(self.energy_kwh * 10.0) / 10.0,
            "dc_voltage": 780.0 + 40.0 * self.power_kw / RATED_KW if self.power_kw > STARTS_KW else 0.0,
            "dc_power": self.power_kw / EFFICIENCY,
            "cabinet_temp": 32.0 + 20.0 * self.power_kw / RATED_KW,
            "state": state,
            "producing": float(state == MPPT),
            "throttled": float(state == THROTTLED),
            "rated_power": RATED_KW,
            "power_limit": self._limit_percent,
            "limited": float(self._limit_percent < 100.0),
        }
        return {PREFIX + name: value for name, value in shown.items()}
