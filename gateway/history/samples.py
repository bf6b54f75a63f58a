"""Samples of one series as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Values = NDArray[np.float64]
Qualities = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Samples:
    """Arrays of one length: ns since 1970 UTC, engineering units, `gateway.points.Quality` flags."""

    time_ns: Times
    value: Values
    quality: Qualities

    @classmethod
    def none(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.uint32))

    @classmethod
    def joined(cls, parts: Sequence[Samples]) -> Self:
        """All of them in order of time; what has the same time keeps its order."""
        if not parts:
            return cls.none()
        time_ns = np.concatenate([part.time_ns for part in parts])
        value = np.concatenate([part.value for part in parts])
        quality = np.concatenate([part.quality for part in parts])
        if len(time_ns) > 1 and (np.diff(time_ns) < 0).any():
            order = np.argsort(time_ns, kind="stable")
            time_ns, value, quality = time_ns[order], value[order], quality[order]
        return cls(time_ns, value, quality)

    def __len__(self) -> int:
        return len(self.time_ns)

    def between(self, start_ns: int, end_ns: int) -> Samples:
        """Those from `start_ns` to before `end_ns`; the times must rise."""
        first, last = np.searchsorted(self.time_ns, (start_ns, end_ns))
        return self.at(slice(int(first), int(last)))

    def without_repeats(self) -> Samples:
        """Each sample once: after a restart what stands is recorded again as it stood. The times must rise."""
        same = (self.time_ns[1:] == self.time_ns[:-1]) & (self.quality[1:] == self.quality[:-1])
        same &= self.value[1:].view(np.int64) == self.value[:-1].view(np.int64)
        if not same.any():
            return self
        return self.at(np.concatenate(([True], ~same)))

    def at(self, where: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Samples:
        """The samples there."""
        return Samples(self.time_ns[where], self.value[where], self.quality[where])
