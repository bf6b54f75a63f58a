"""What a master was told, judged by the sequence of each point: the value of a point is the number of its changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Told:
    """Of `points` flooded points, as one master heard them."""

    points: int
    events: int = 0
    missing: int = 0
    """Changes that were passed over."""
    doubled: int = 0
    backwards: int = 0
    degraded: int = 0
    """Events in which only the quality was another, or which were not good."""
    last: NDArray[np.int64] = field(init=False)
    quality: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.last, self.quality = np.zeros(self.points, np.int64), np.zeros(self.points, np.int64)

    def take(self, index: NDArray[np.int64], values: NDArray[np.int64], qualities: NDArray[np.int64]) -> None:
        """Events in the order in which they came."""
        if not len(index):
            return
        order = np.argsort(index, kind="stable")
        index, values, qualities = index[order], values[order], qualities[order]
        first = np.ones(len(index), np.bool_)
        first[1:] = index[1:] != index[:-1]
        before, was = np.roll(values, 1), np.roll(qualities, 1)
        before[first], was[first] = self.last[index[first]], self.quality[index[first]]
        step, turned = values - before, (qualities != 0) | (qualities != was)
        self.events += int((step > 0).sum())
        self.missing += int((step[step > 0] - 1).sum())
        self.backwards += int((step < 0).sum())
        self.doubled += int(((step == 0) & ~turned & (values > 0)).sum())
        self.degraded += int((turned & (step == 0)).sum())
        newest = np.append(first[1:], True)
        self.last[index[newest]], self.quality[index[newest]] = values[newest], qualities[newest]

    def summary(self) -> dict[str, Any]:
        """For the report; `last` is what each point stands at."""
        counts = {name: getattr(self, name) for name in ("events", "missing", "doubled", "backwards", "degraded")}
        return counts | {"last": self.last.tolist(), "bad": int((self.quality != 0).sum())}
