"""The state of the grid frequency as the grid code's bands name it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class FrequencyBands:
    """Edges in Hz in rising order and one name more than edges."""

    edges_hz: tuple[float, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, edges_hz: tuple[float, ...], names: tuple[str, ...]) -> Self:
        """Raises `ValueError` when they do not fit."""
        if list(edges_hz) != sorted(set(edges_hz)):
            raise ValueError("the edges of the bands must rise")
        if len(names) != len(edges_hz) + 1:
            raise ValueError(f"{len(edges_hz)} edges make {len(edges_hz) + 1} bands, {len(names)} names were given")
        return cls(edges_hz, names)

    def state(self, frequency_hz: float) -> int:
        """Index of the band; an edge belongs to the band nearer the middle."""
        edges = self.edges_hz
        middle = len(edges) / 2
        left = bisect.bisect_left(edges, frequency_hz)
        right = bisect.bisect_right(edges, frequency_hz)
        return min(left, right, key=lambda index: abs(index - middle))


IEGC = FrequencyBands.of(
    (49.5, 49.9, 50.05, 50.5), ("emergency low", "alert low", "normal", "alert high", "emergency high")
)
