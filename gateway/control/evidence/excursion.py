"""Keeps what happened at cycle rate around each excursion of the frequency."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

SAMPLE: Final = np.dtype(
    [
        ("time_ns", "<i8"),
        ("frequency_hz", "<f8"),
        ("base_kw", "<f8"),
        ("expected_kw", "<f8"),
        ("setpoint_kw", "<f8"),
        ("measured_kw", "<f8"),
    ]
)
"""One cycle: wall clock; frequency acted on; set-point without the response; with it, before ramps; as written; power
as measured (NaN: not known)."""

Sample = tuple[int, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Excursion:
    """`samples` of `SAMPLE` dtype from before it to after it. `continues`: cut for length, more follows in the next."""

    unit: str
    samples: NDArray[np.void]
    test: bool = False
    continues: bool = False

    @property
    def start_ns(self) -> int:
        return int(self.samples["time_ns"][0])


@dataclass(slots=True)
class ExcursionRecorder:
    """One unit's recorder. Fed every cycle; cheap while nothing happens."""

    unit: str
    before_s: float = 10.0
    after_s: float = 60.0
    longest_s: float = 1_800.0
    _ring: deque[Sample] = field(default_factory=deque)
    _taken: list[Sample] = field(default_factory=list)
    _outside_s: float | None = None
    _begun_s: float = 0.0
    _test: bool = False

    @property
    def recording(self) -> bool:
        return self._outside_s is not None

    def step(self, now_s: float, sample: Sample, outside: bool, test: bool = False) -> Excursion | None:
        """One cycle; `outside`: the frequency is outside its dead band. An excursion when one is complete."""
        if self._outside_s is None:
            self._remember(sample)
            if outside:
                self._taken, self._outside_s, self._begun_s, self._test = list(self._ring), now_s, now_s, test
                self._ring.clear()
            return None
        self._taken.append(sample)
        self._test = self._test or test
        if outside:
            self._outside_s = now_s
        if now_s - self._outside_s >= self.after_s:
            return self._end(False)
        return self._end(True) if now_s - self._begun_s >= self.longest_s else None

    def stop(self) -> Excursion | None:
        """The gateway stops: what there is so far."""
        return None if self._outside_s is None else self._end(False)

    def _remember(self, sample: Sample) -> None:
        ring = self._ring
        ring.append(sample)
        oldest_ns = sample[0] - int(self.before_s * 1e9)
        while ring[0][0] < oldest_ns:
            ring.popleft()

    def _end(self, continues: bool) -> Excursion:
        samples, test = as_samples(self._taken), self._test
        self._taken, self._outside_s = [], None
        return Excursion(self.unit, samples, test, continues)


def as_samples(rows: Iterable[Sample]) -> NDArray[np.void]:
    """Rows as one array of `SAMPLE`."""
    made: NDArray[np.void] = np.array(list(rows), SAMPLE)
    return made
