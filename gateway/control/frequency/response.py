"""Frequency response of one unit: droop, damping, fast response, and what happens when the frequency is not known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from gateway.control.frequency.curve import Band, Curve
from gateway.control.frequency.sources import NO_SOURCE, Chosen

MAX_INSENSITIVITY_HZ: Final = 0.010


class ResponseState(IntEnum):
    """What the response does now; the number is the value of its point."""

    OFF = 0
    IN_BAND = 1
    """Frequency within the dead band: nothing to do."""
    RESPONDING = 2
    FAST = 3
    """The fast response is triggered on top of the droop."""
    HOLDING = 4
    """No frequency: the last answer is held."""
    LOST = 5
    """No frequency for longer than the hold time: the answer fades to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FastResponse:
    """A block of power at once when frequency falls or rises quickly."""

    rate_hz_per_s: float
    """Triggered by a rate beyond this, away from nominal ..."""
    deviation_hz: float
    """... while the frequency is further from nominal than this."""
    percent: float
    hold_s: float = 10.0
    """Held for so long, then taken away over `fade_s`."""
    fade_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """`curve` gives % of rated power over Hz; `lost_ramp_percent_per_s` is of rated power."""

    curve: Curve
    band: Band
    nominal_hz: float = 50.0
    insensitivity_hz: float = 0.0
    damping_percent_s_per_hz: float = 0.0
    """% of rated power per Hz/s, while the frequency moves away from nominal outside the dead band."""
    fast: FastResponse | None = None
    hold_s: float = 5.0
    lost_ramp_percent_per_s: float = 2.0
    limit_percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Response:
    """The answer in % of rated power, positive for export, to be added to the unit's base set-point."""

    percent: float
    state: ResponseState


@dataclass(slots=True)
class FrequencyResponse:
    """State between cycles. Times are seconds of one monotonic clock."""

    settings: ResponseSettings
    _held_hz: float | None = None
    _percent: float = 0.0
    _last_s: float = 0.0
    _lost_since_s: float | None = None
    _fast_s: float | None = None
    _fast_sign: float = 0.0

    def step(self, chosen: Chosen, rocof_hz_per_s: float | None, now_s: float) -> Response:
        """The answer for this cycle."""
        dt_s = max(0.0, now_s - self._last_s)
        self._last_s = now_s
        if chosen.source == NO_SOURCE:
            return self._without(now_s, dt_s)
        self._lost_since_s = None
        frequency_hz = self._sensed(chosen.frequency_hz)
        if self.settings.band.holds(frequency_hz) and self._fast_s is None:
            self._percent = 0.0
            return Response(0.0, ResponseState.IN_BAND)
        fast = self._fast(chosen.frequency_hz, rocof_hz_per_s, now_s)
        whole = self.settings.curve(frequency_hz) + self._damping(frequency_hz, rocof_hz_per_s) + fast
        limit = self.settings.limit_percent
        self._percent = max(-limit, min(limit, whole))
        if fast:
            return Response(self._percent, ResponseState.FAST)
        in_band = self.settings.band.holds(frequency_hz)
        return Response(self._percent, ResponseState.IN_BAND if in_band else ResponseState.RESPONDING)

    def stand_by(self, now_s: float) -> Response:
        """The response is switched off: nothing is remembered."""
        self._percent, self._held_hz, self._fast_s, self._lost_since_s, self._last_s = 0.0, None, None, None, now_s
        return Response(0.0, ResponseState.OFF)

    def _without(self, now_s: float, dt_s: float) -> Response:
        if self._lost_since_s is None:
            self._lost_since_s = now_s
        self._held_hz = self._fast_s = None
        if now_s - self._lost_since_s < self.settings.hold_s:
            return Response(self._percent, ResponseState.HOLDING)
        step = self.settings.lost_ramp_percent_per_s * dt_s
        self._percent -= max(-step, min(step, self._percent))
        return Response(self._percent, ResponseState.LOST)

    def _sensed(self, frequency_hz: float) -> float:
        """Changes smaller than the insensitivity are not acted on; the dead band always is."""
        held = self._held_hz
        small = held is not None and abs(frequency_hz - held) <= self.settings.insensitivity_hz
        if not small or held is None or self.settings.band.holds(frequency_hz):
            self._held_hz = held = frequency_hz
        return held

    def _damping(self, frequency_hz: float, rocof_hz_per_s: float | None) -> float:
        if rocof_hz_per_s is None or rocof_hz_per_s * (frequency_hz - self.settings.nominal_hz) <= 0:
            return 0.0
        if self.settings.band.holds(frequency_hz):
            return 0.0
        return -self.settings.damping_percent_s_per_hz * rocof_hz_per_s

    def _fast(self, frequency_hz: float, rocof_hz_per_s: float | None, now_s: float) -> float:
        fast = self.settings.fast
        if fast is None:
            return 0.0
        away_hz = frequency_hz - self.settings.nominal_hz
        rate = 0.0 if rocof_hz_per_s is None else rocof_hz_per_s
        if abs(away_hz) > fast.deviation_hz and rate * away_hz > 0 and abs(rate) >= fast.rate_hz_per_s:
            self._fast_s, self._fast_sign = now_s, -1.0 if away_hz > 0 else 1.0
        if self._fast_s is None:
            return 0.0
        since_s = now_s - self._fast_s
        left = 1.0 if since_s <= fast.hold_s else 1.0 - (since_s - fast.hold_s) / max(fast.fade_s, 1e-9)
        if left <= 0:
            self._fast_s = None
            return 0.0
        return self._fast_sign * fast.percent * left
