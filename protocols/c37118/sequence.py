"""Loss and order of a stream's frames, told by their own times. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Final

_NS: Final = 1_000_000_000
REORDER_NS: Final = _NS // 2
"""A frame this much behind the newest was overtaken on its way; one further behind means that the clock was set."""
_LONGEST_GAP_NS: Final = 3600 * _NS


class Sequence:
    """Compares each frame's time with the newest before it.

    Counts `frames_lost` (frames that were not there when the next came), `out_of_order` and `duplicates` (not to be
    used: the point is newer already), `time_steps` (the device's clock was set; its frames are used).
    """

    def __init__(self, period_s: float, counters: Counter[str]) -> None:
        self._period_ns = max(round(period_s * _NS), 1)
        self._counters = counters
        self._newest_ns: int | None = None

    def takes(self, time_ns: int) -> bool:
        """Whether the frame of this time is to be used."""
        before, self._newest_ns = self._newest_ns, time_ns
        if before is None:
            return True
        step_ns = time_ns - before
        if step_ns <= 0 and step_ns > -REORDER_NS:
            self._newest_ns = before
            self._counters["out_of_order" if step_ns else "duplicates"] += 1
            return False
        if step_ns < 0 or step_ns > _LONGEST_GAP_NS:
            self._counters["time_steps"] += 1
        else:
            missing = (step_ns + self._period_ns // 2) // self._period_ns - 1
            self._counters["frames_lost"] += max(missing, 0)
        return True
