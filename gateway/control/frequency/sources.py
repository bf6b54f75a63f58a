"""Which of several frequency measurements is believed: the first good one, changed without a jump."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NO_SOURCE: Final = -1
MAX_BLEND_HZ: Final = 0.1
"""Sources that differ by more are not blended over more than this: one of them is wrong, and time matters."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source says: `good` when its quality allows a decision, `time_s` its source time."""

    frequency_hz: float
    good: bool
    time_s: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is believed. `source` is an index, `NO_SOURCE` when none is good; then the last frequency stands here."""

    source: int
    frequency_hz: float
    time_s: float
    changed: bool = False


@dataclass(slots=True)
class FrequencySources:
    """First good source wins; a better one takes over again once it has been good for `return_s`.

    At a change the difference to what was believed is taken away in `blend_s`, so that two meters that do not agree
    to the millihertz make no jump in power.
    """

    low_hz: float
    high_hz: float
    """A reading outside is a fault of the measurement, not a frequency."""
    blend_s: float = 1.0
    return_s: float = 10.0
    _source: int = NO_SOURCE
    _last_hz: float = 0.0
    _last_s: float = 0.0
    _offset_hz: float = 0.0
    _changed_s: float = 0.0
    _good_since: dict[int, float] | None = None

    def choose(self, readings: list[Reading], now_s: float) -> Chosen:
        """The frequency to act on at `now_s`."""
        since = self._note_good(readings, now_s)
        source = self._pick(since, now_s)
        changed = source != self._source
        if changed and source != NO_SOURCE:
            self._begin_blend(readings[source].frequency_hz, now_s)
        self._source = source
        if source == NO_SOURCE:
            return Chosen(NO_SOURCE, self._last_hz, self._last_s, changed)
        reading = readings[source]
        self._last_hz, self._last_s = reading.frequency_hz + self._blend(now_s), reading.time_s
        return Chosen(source, self._last_hz, reading.time_s, changed)

    def _note_good(self, readings: list[Reading], now_s: float) -> dict[int, float]:
        before = self._good_since
        good = [
            i
            for i, reading in enumerate(readings)
            if reading.good and self.low_hz <= reading.frequency_hz <= self.high_hz
        ]
        first = before is None
        if before is None:
            before = {}
        # Those that are good when the gateway starts have nothing to prove.
        self._good_since = {i: before.get(i, now_s - self.return_s if first else now_s) for i in good}
        return self._good_since

    def _pick(self, since: dict[int, float], now_s: float) -> int:
        if not since:
            return NO_SOURCE
        proven = [i for i, start in since.items() if now_s - start >= self.return_s]
        if self._source in since:
            return min([self._source, *(i for i in proven if i < self._source)])
        return min(proven or since)

    def _begin_blend(self, frequency_hz: float, now_s: float) -> None:
        # After a loss of all sources what was believed is old: nothing to blend with.
        offset = self._last_hz - frequency_hz if self._source != NO_SOURCE else 0.0
        self._offset_hz = max(-MAX_BLEND_HZ, min(MAX_BLEND_HZ, offset))
        self._changed_s = now_s

    def _blend(self, now_s: float) -> float:
        left = 1.0 - (now_s - self._changed_s) / self.blend_s if self.blend_s > 0 else 0.0
        return self._offset_hz * left if left > 0 else 0.0
