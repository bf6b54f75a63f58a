"""What an excursion is worth: reaction time, time to 90 %, droop seen, delivered against expected."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.control.evidence.excursion import Excursion
from gateway.control.frequency.curve import Band

REACTED_PART: Final = 0.05
FULL_PART: Final = 0.9
SETTLED_S: Final = 2.0
SETTLED_PART: Final = 0.02
_LEAST_POINTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What the response was set to: dead band, nominal frequency in Hz, rated power in kW.

    `counted_from_hz`: where a droop counts its deviation from, below and above: the edges of the band (no-step) or
    nominal (with-step); None for a free curve, which has no one droop.
    """

    band: Band
    nominal_hz: float
    rated_kw: float
    counted_from_hz: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """NaN where the excursion does not allow a finding (too short, too small, not measured)."""

    duration_s: float
    lowest_hz: float
    highest_hz: float
    largest_expected_kw: float
    """Largest change of power that the response asked for, with its sign."""
    reaction_s: float
    """From the first cycle outside the band to a measured change of 5 % of the largest expected."""
    to_90_percent_s: float
    droop_percent: float
    """Seen: from the slope of measured change of power over deviation beyond the band."""
    expected_kwh: float
    delivered_kwh: float
    """Energy of the response, beside the base set-point, while the frequency was outside."""

    @property
    def delivered_percent(self) -> float:
        return 100 * self.delivered_kwh / self.expected_kwh if self.expected_kwh else math.nan


def analyse(excursion: Excursion, grounds: Grounds) -> Findings:
    """Findings of one excursion, from its samples alone."""
    samples = excursion.samples
    time_s = (samples["time_ns"] - samples["time_ns"][0]) / 1e9
    frequency = samples["frequency_hz"]
    outside = (frequency < grounds.band.low_hz) | (frequency > grounds.band.high_hz)
    expected = samples["expected_kw"] - samples["base_kw"]
    first = int(np.argmax(outside)) if outside.any() else 0
    # What was delivered before the excursion beside its base is an offset of the meter or of auxiliaries.
    measured = samples["measured_kw"] - samples["base_kw"] - _before(samples, first)
    largest = float(expected[np.argmax(np.abs(expected))]) if len(expected) else 0.0
    return Findings(
        duration_s=float(time_s[outside][-1] - time_s[outside][0]) if outside.any() else 0.0,
        lowest_hz=float(np.nanmin(frequency)),
        highest_hz=float(np.nanmax(frequency)),
        largest_expected_kw=largest,
        reaction_s=_reached(time_s, measured, first, REACTED_PART * largest),
        to_90_percent_s=_reached(time_s, measured, first, FULL_PART * largest),
        droop_percent=_droop(samples, measured, expected, grounds),
        expected_kwh=_energy(time_s, expected, outside),
        delivered_kwh=_energy(time_s, measured, outside),
    )


def _before(samples: NDArray[np.void], first: int) -> float:
    rest = samples["measured_kw"][:first] - samples["base_kw"][:first]
    known = rest[~np.isnan(rest)]
    return float(np.median(known)) if len(known) >= _LEAST_POINTS else 0.0


def _reached(time_s: NDArray[np.float64], measured: NDArray[np.float64], first: int, wanted_kw: float) -> float:
    """Seconds from `first` until the measured change reaches `wanted_kw`."""
    if not wanted_kw:
        return math.nan
    there = measured[first:] * math.copysign(1.0, wanted_kw) >= abs(wanted_kw)
    return float(time_s[first + int(np.argmax(there))] - time_s[first]) if there.any() else math.nan


def _droop(
    samples: NDArray[np.void], measured: NDArray[np.float64], expected: NDArray[np.float64], grounds: Grounds
) -> float:
    """From the samples whose expectation stood still for 2 s: ramps and the plant's own lag do not count."""
    if grounds.counted_from_hz is None:
        return math.nan
    low_hz, high_hz = grounds.counted_from_hz
    frequency = samples["frequency_hz"]
    outside = (frequency < grounds.band.low_hz) | (frequency > grounds.band.high_hz)
    deviation = frequency - np.where(frequency < grounds.band.low_hz, low_hz, high_hz)
    earlier = np.searchsorted(samples["time_ns"], samples["time_ns"] - int(SETTLED_S * 1e9))
    still = np.abs(expected - expected[earlier]) < SETTLED_PART * grounds.rated_kw
    chosen = outside & still & outside[earlier] & ~np.isnan(measured)
    if chosen.sum() < _LEAST_POINTS:
        return math.nan
    x, y = deviation[chosen], measured[chosen]
    slope = float(x @ y) / float(x @ x) if float(x @ x) > 0 else 0.0
    return math.nan if slope >= 0 else -100 * grounds.rated_kw / (slope * grounds.nominal_hz)


def _energy(time_s: NDArray[np.float64], power_kw: NDArray[np.float64], where: NDArray[np.bool_]) -> float:
    """kWh over the cycles in `where`, each standing until the next."""
    if len(time_s) < 2:
        return 0.0
    each = np.diff(time_s, append=time_s[-1])
    return float(np.nansum(np.where(where, power_kw, 0.0) * each)) / 3600
