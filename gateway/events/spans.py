"""Numbers of the events that a queue holds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


class Spans:
    """Ascending numbers as runs (first, count), oldest first.

    Events are numbered as they come and leave at the front or, on overflow, behind those in flight: there are never
    many runs.
    """

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        """`ValueError` when the runs overlap, are empty or not ascending."""
        self._runs = list(runs)
        end = 0
        for first, count in self._runs:
            if first < end or count < 1:
                raise ValueError(f"run of {count} numbers from {first} behind {end}")
            end = first + count

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> Spans:
        """From rising numbers."""
        edges = np.flatnonzero(np.diff(numbers) != 1) + 1
        starts = np.concatenate([[0], edges]) if len(numbers) else edges
        counts = np.diff(np.append(starts, len(numbers)))
        return cls(zip(numbers[starts].tolist(), counts.tolist(), strict=True))

    def all(self) -> NDArray[np.int64]:
        """Every number, rising."""
        first, count = np.array(self._runs, np.int64).reshape(-1, 2).T
        before = np.cumsum(count) - count
        return np.repeat(first - before, count) + np.arange(int(count.sum()))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._runs)

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(count for _, count in self._runs)

    @property
    def first(self) -> int | None:
        """The smallest number; None when there is none."""
        return self._runs[0][0] if self._runs else None

    def lead(self, first: int, last: int, count: int) -> bool:
        """Whether the smallest `count` numbers run from `first` to `last` without a gap."""
        return bool(self._runs) and self._runs[0][0] == first and self._runs[0][1] >= count == last - first + 1

    def extend(self, first: int, count: int) -> None:
        """Add `count` numbers from `first`, which is above all others."""
        if count < 1:
            return
        if self._runs and sum(self._runs[-1]) == first:
            start, before = self._runs[-1]
            self._runs[-1] = (start, before + count)
        else:
            self._runs.append((first, count))

    def remove(self, offset: int, count: int) -> None:
        """Remove `count` numbers behind the first `offset`."""
        kept: list[tuple[int, int]] = []
        for first, length in self._runs:
            before = min(length, offset)
            gone = min(length - before, count)
            offset, count = offset - before, count - gone
            parts = ((first, before), (first + before + gone, length - before - gone))
            kept += [part for part in parts if part[1]]
        self._runs = kept
