"""Curves of straight pieces, and the three ways a droop is drawn as one.

::

    power %                      no-step starts at the edge of the dead band;
     100 ┐                       with-step counts the deviation from nominal, so it jumps at the edge;
         └┐ ← limit              a free curve is a list of (x, y).
          │╲
     ─────┴──┬─────┬──────── f
            low nominal high

Positive power is discharge (export): a low frequency gives a positive answer.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


class CurveError(ValueError):
    """The points make no curve. The text says which and why."""


@dataclass(frozen=True, slots=True)
class Curve:
    """y over x, straight between the points, constant beyond the ends.

    Two points of equal x are a step; at the step itself the value nearer zero holds, so that the edge of a dead
    band belongs to the band.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]

    @classmethod
    def of(cls, points: Iterable[tuple[float, float]]) -> Self:
        """From (x, y) in rising order of x. Raises `CurveError`."""
        pairs = [(float(a), float(b)) for a, b in points]
        pairs = [pair for i, pair in enumerate(pairs) if i == 0 or pair != pairs[i - 1]]
        if not pairs:
            raise CurveError("a curve needs at least one point")
        x, y = tuple(a for a, _ in pairs), tuple(b for _, b in pairs)
        for i in range(1, len(x)):
            if x[i] < x[i - 1]:
                raise CurveError(
                    f"point {i + 1} at {x[i]:g} stands before {x[i - 1]:g}: give the points in rising order"
                )
            if i > 1 and x[i] == x[i - 2]:
                raise CurveError(f"three points at {x[i]:g}: a step has two")
        return cls(x, y)

    def __call__(self, at: float) -> float:
        """y at `at`."""
        x, y = self.x, self.y
        right = bisect.bisect_left(x, at)
        if right < len(x) and x[right] == at:
            stepped = right + 1 < len(x) and x[right + 1] == at
            return min(y[right], y[right + 1], key=abs) if stepped else y[right]
        if right == 0:
            return y[0]
        if right == len(x):
            return y[-1]
        part = (at - x[right - 1]) / (x[right] - x[right - 1])
        return y[right - 1] + part * (y[right] - y[right - 1])

    @property
    def falling(self) -> bool:
        """Whether y never rises with x: what a droop must be."""
        return all(b <= a for a, b in zip(self.y, self.y[1:], strict=False))


@dataclass(frozen=True, slots=True)
class Band:
    """A dead band in Hz; it may lie asymmetric about the nominal frequency."""

    low_hz: float
    high_hz: float

    def holds(self, frequency_hz: float) -> bool:
        return self.low_hz <= frequency_hz <= self.high_hz


def no_step(nominal_hz: float, droop_percent: float, band: Band, limit_percent: float = 100.0) -> Curve:
    """dP = -(f - edge) / (R fn) Pn outside the band, in % of rated power, up to +-`limit_percent`."""
    full_hz = droop_percent / 100 * nominal_hz * limit_percent / 100
    return Curve.of(
        [
            (band.low_hz - full_hz, limit_percent),
            (band.low_hz, 0.0),
            (band.high_hz, 0.0),
            (band.high_hz + full_hz, -limit_percent),
        ]
    )


def with_step(nominal_hz: float, droop_percent: float, band: Band, limit_percent: float = 100.0) -> Curve:
    """dP = -(f - fn) / (R fn) Pn outside the band, in % of rated power: a step at each edge."""
    slope = 100.0 / (droop_percent / 100 * nominal_hz)
    full_hz = limit_percent / slope
    low_step = min(limit_percent, slope * (nominal_hz - band.low_hz))
    high_step = min(limit_percent, slope * (band.high_hz - nominal_hz))
    return Curve.of(
        [
            (min(nominal_hz - full_hz, band.low_hz), limit_percent),
            (band.low_hz, low_step),
            (band.low_hz, 0.0),
            (band.high_hz, 0.0),
            (band.high_hz, -high_step),
            (max(nominal_hz + full_hz, band.high_hz), -limit_percent),
        ]
    )
