"""Ramp limits: how far a value may move in a cycle."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RampLimit:
    """The stricter of kW/s and % of rated power per minute; infinite where not given."""

    kw_per_s: float = math.inf

    @classmethod
    def strictest(cls, kw_per_s: float | None, percent_per_min: float | None, rated_kw: float) -> RampLimit:
        """From what a configuration says; None: not limited."""
        rates = [math.inf]
        if kw_per_s is not None:
            rates.append(kw_per_s)
        if percent_per_min is not None:
            rates.append(percent_per_min / 100 * rated_kw / 60)
        return cls(min(rates))

    def step(self, present_kw: float, wanted_kw: float, dt_s: float) -> float:
        """The next value on the way from `present_kw` to `wanted_kw`."""
        most = self.kw_per_s * max(0.0, dt_s)
        if abs(wanted_kw - present_kw) <= most or math.isinf(self.kw_per_s):
            return wanted_kw
        return present_kw + math.copysign(most, wanted_kw - present_kw)
