"""The frequency of a large grid: it wanders in its band, and now and then a generator trips.

Pure: time is what `step` is given; the same seed and the same steps give the same hours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

BAND_HZ: Final = (49.90, 50.05)
"""Where the frequency stays while nothing happens: the operating band of the Indian Electricity Grid Code."""
LIMITS_HZ: Final = (47.0, 53.0)
"""What an injected event can reach at most: beyond it every generator has long left the grid."""

MEAN_HZ: Final = 49.985
MEAN_TRIP_INTERVAL_S: Final = 900.0


@dataclass(slots=True)
class Wander:
    """Mean-reverting noise (Ornstein-Uhlenbeck, exact for any step) with standard deviation `sd` and time `tau_s`."""

    sd: float
    tau_s: float
    value: float = 0.0

    def step(self, dt_s: float, normal: float) -> float:
        """Advance by `dt_s` with one standard normal draw; returns the new value."""
        keep = math.exp(-dt_s / self.tau_s)
        self.value = self.value * keep + self.sd * math.sqrt(1.0 - keep * keep) * normal
        return self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class FrequencyEvent:
    """A fall (or rise) to `delta_hz` over `fall_s`, held for `hold_s`, then an exponential return."""

    start_s: float
    delta_hz: float
    fall_s: float
    hold_s: float
    recover_s: float

    def at(self, time_s: float) -> float:
        """The deviation at `time_s`, in Hz."""
        since_s = time_s - self.start_s
        if since_s <= 0.0:
            return 0.0
        if since_s < self.fall_s:
            return self.delta_hz * since_s / self.fall_s
        after_s = since_s - self.fall_s - self.hold_s
        return self.delta_hz * math.exp(-max(after_s, 0.0) / self.recover_s)

    def over(self, time_s: float) -> bool:
        """Whether the return is complete for every practical purpose."""
        return time_s > self.start_s + self.fall_s + self.hold_s + 10.0 * self.recover_s


class Grid:
    """Grid frequency by time. `frequency_hz` is the present value."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._slow = Wander(0.018, 120.0, float(self._random.normal(0.0, 0.018)))
        self._fast = Wander(0.004, 2.0)
        self._events: list[FrequencyEvent] = []
        self._time_s = 0.0
        self._next_trip_s = self._trip_after(0.0)
        self._held_hz: float | None = None
        self.frequency_hz = MEAN_HZ + self._slow.value

    def step(self, dt_s: float) -> float:
        """Advance by `dt_s`; returns the frequency in Hz."""
        self._time_s += dt_s
        normal = self._random.standard_normal(2)
        wander_hz = self._slow.step(dt_s, float(normal[0])) + self._fast.step(dt_s, float(normal[1]))
        calm_hz = _clamp(MEAN_HZ + wander_hz, *BAND_HZ)
        if self._time_s >= self._next_trip_s:
            self._trip()
        free_hz = calm_hz + self._deviation()
        self.frequency_hz = _clamp(free_hz if self._held_hz is None else self._held_hz, *LIMITS_HZ)
        return self.frequency_hz

    def hold(self, frequency_hz: float | None) -> None:
        """A step to this frequency, which then stands; None: the grid is free again."""
        self._held_hz = frequency_hz

    def inject(self, delta_hz: float, duration_s: float) -> None:
        """Move the frequency by `delta_hz` for `duration_s`, beginning now; it moves at about 1 Hz/s."""
        fall_s = max(abs(delta_hz), 0.05)
        self._events.append(
            FrequencyEvent(
                start_s=self._time_s, delta_hz=delta_hz, fall_s=fall_s, hold_s=max(duration_s, 0.0), recover_s=3.0
            )
        )

    def _deviation(self) -> float:
        self._events = [event for event in self._events if not event.over(self._time_s)]
        return sum(event.at(self._time_s) for event in self._events)

    def _trip(self) -> None:
        """A large unit is lost: about 6 s to the nadir near 49.6 Hz, minutes to come back."""
        depth_hz = float(self._random.uniform(0.32, 0.40))
        self._events.append(
            FrequencyEvent(start_s=self._time_s, delta_hz=-depth_hz, fall_s=6.0, hold_s=2.0, recover_s=40.0)
        )
        self._next_trip_s = self._trip_after(self._time_s)

    def _trip_after(self, time_s: float) -> float:
        return time_s + 60.0 + float(self._random.exponential(MEAN_TRIP_INTERVAL_S))


def _clamp(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
