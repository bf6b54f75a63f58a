"""State-of-charge recovery: back to the middle while the grid does not need the unit."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySettings:
    """Outside `low_percent` to `high_percent` the unit is brought back to `target_percent` within `restore_s`."""

    target_percent: float = 50.0
    low_percent: float = 40.0
    high_percent: float = 60.0
    limit_kw: float = math.inf
    capacity_kwh: float = math.nan
    restore_s: float = 7_200.0


@dataclass(slots=True)
class SocRecovery:
    """Starts outside its band, ends at the target; rests while frequency is outside the dead band."""

    settings: RecoverySettings
    _running: bool = False

    def step(self, soc_percent: float | None, in_band: bool) -> float:
        """Power in kW to be added to the base set-point, + discharge."""
        settings = self.settings
        if soc_percent is None or math.isnan(settings.capacity_kwh):
            self._running = False
            return 0.0
        away = soc_percent - settings.target_percent
        outside = not settings.low_percent <= soc_percent <= settings.high_percent
        reached = abs(away) < 0.1
        self._running = (self._running and not reached) or outside
        if not self._running or not in_band:
            return 0.0
        widest = max(settings.high_percent - settings.target_percent, settings.target_percent - settings.low_percent)
        rate_kw = max(abs(away), widest) / 100 * settings.capacity_kwh / (settings.restore_s / 3600)
        return math.copysign(min(rate_kw, settings.limit_kw), away)
