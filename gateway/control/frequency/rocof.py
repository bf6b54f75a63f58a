"""Rate of change of frequency over a sliding window."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MIN_WINDOW_S = 0.1
_FILLED = 0.9
"""Part of the window that must hold samples before a rate is told."""


@dataclass(slots=True)
class Rocof:
    """Slope of the least-squares line through the samples of the last `window_s`.

    Blocked (None) until the window has filled, after a gap, and for `block_s` after a voltage dip, when the phase
    jumps and what is measured is no change of frequency.
    """

    window_s: float = 0.5
    block_s: float = 0.5
    _samples: deque[tuple[float, float]] = field(default_factory=deque)
    _blocked_until_s: float = -1.0

    def sample(self, time_s: float, frequency_hz: float) -> None:
        """One new measurement; `time_s` is its source time. One not newer than the last is ignored."""
        samples = self._samples
        if samples and time_s <= samples[-1][0]:
            return
        if samples and time_s - samples[-1][0] > self.window_s:
            samples.clear()
        samples.append((time_s, frequency_hz))
        while samples[0][0] < time_s - self.window_s - 1e-9:
            samples.popleft()

    def dip(self, now_s: float) -> None:
        """The voltage is low now."""
        self._blocked_until_s = now_s + self.block_s

    def reset(self) -> None:
        """Forget all samples (another source is used now)."""
        self._samples.clear()

    def hz_per_s(self, now_s: float) -> float | None:
        """The rate, or None while it cannot be told."""
        samples = self._samples
        if now_s < self._blocked_until_s or len(samples) < 3:
            return None
        if samples[-1][0] - samples[0][0] < _FILLED * self.window_s or now_s - samples[-1][0] > self.window_s:
            return None
        return _slope(samples)


def _slope(samples: deque[tuple[float, float]]) -> float:
    count = len(samples)
    mean_t = sum(t for t, _ in samples) / count
    mean_f = sum(f for _, f in samples) / count
    above = sum((t - mean_t) * (f - mean_f) for t, f in samples)
    below = sum((t - mean_t) ** 2 for t, _ in samples)
    return above / below if below > 0 else 0.0
