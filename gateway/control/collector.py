"""Garbage is collected while the control cycle has time: after a cycle, never in one.

Python looks for garbage in the middle of whatever allocates, and a full look over a large site takes longer than a
cycle. What lives for as long as the process is set apart once (`gc.freeze`, by whoever starts the process).
"""

from __future__ import annotations

import gc
from typing import Final

_YOUNG: Final = 2_000
"""Objects since the last look at which a look at the young ones is worth it."""
_NEEDED_NS: Final = (1_000_000, 2_000_000, 4_000_000)
"""Time that must be left before the next cycle, by generation."""
_EVERY: Final = (1, 20, 20)
"""Looks at one generation for each look at the next."""


class IdleCollector:
    """In place of the collections by themselves, between `begin` and `end`."""

    def __init__(self) -> None:
        self._running = False
        self._looks = [0, 0, 0]

    def begin(self) -> None:
        """From now on nothing is collected but in `idle`."""
        self._running = gc.isenabled()
        gc.disable()

    def end(self) -> None:
        """As it was before `begin`."""
        if self._running:
            gc.enable()
        self._running = False

    def idle(self, left_ns: int) -> None:
        """`left_ns`: until the next cycle."""
        young = gc.get_count()[0]
        if not self._running or young < _YOUNG:
            return
        generation = max(i for i in range(3) if i == 0 or self._looks[i - 1] >= _EVERY[i])
        # Under a load that leaves no time it must be done all the same, the cheapest first.
        if left_ns < _NEEDED_NS[generation]:
            if young < 10 * _YOUNG:
                return
            generation = 0
        gc.collect(generation)
        self._looks[generation] += 1
        for below in range(generation):
            self._looks[below] = 0
