"""How many alarms a person is being given: flood, chatter, bad actors. Pure; ``now_ns`` is monotonic."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

from gateway.alarms.catalogue import AlarmRules

_HELD: Final = 100_000
"""Announcements remembered: beyond that their number no longer matters."""


class AlarmStatistics:
    """Fed with every alarm as it is announced."""

    def __init__(self, rules: AlarmRules) -> None:
        self._rules = rules
        self._window_ns = int(rules.flood_window_s * 1e9)
        self._chatter_ns = int(rules.chatter_window_s * 1e9)
        self._announced: deque[int] = deque(maxlen=_HELD)
        self._last: dict[int, deque[int]] = {}
        self._chattering: dict[int, int] = {}
        """By alarm: when it last showed that it chatters."""
        self.counts: Counter[int] = Counter()
        """Times announced since the start, by alarm: the bad actors."""
        self.flood = False

    def announced(self, index: int, now_ns: int) -> None:
        """An alarm asks for a person."""
        self.counts[index] += 1
        self._announced.append(now_ns)
        times = self._last.setdefault(index, deque(maxlen=self._rules.chatter_count))
        times.append(now_ns)
        if len(times) == self._rules.chatter_count and now_ns - times[0] <= self._chatter_ns:
            self._chattering[index] = now_ns
        self._flooded(now_ns)

    def settle(self, now_ns: int) -> None:
        """Forget what lies behind the windows."""
        while self._announced and now_ns - self._announced[0] > self._window_ns:
            self._announced.popleft()
        for index in [at for at, seen in self._chattering.items() if now_ns - seen > self._chatter_ns]:
            del self._chattering[index]
        for index in [at for at, times in self._last.items() if now_ns - times[-1] > self._chatter_ns]:
            del self._last[index]
        self._flooded(now_ns)

    @property
    def recent(self) -> int:
        """Alarms announced within the flood's window."""
        return len(self._announced)

    @property
    def chattering(self) -> list[int]:
        """Alarms that come and go too often at this time."""
        return sorted(self._chattering)

    def _flooded(self, now_ns: int) -> None:
        if not self.flood:
            self.flood = len(self._announced) > self._rules.flood_count
        elif len(self._announced) * 2 < self._rules.flood_count:
            self.flood = False
