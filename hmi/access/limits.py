"""How often and how much: token buckets by key, and connections counted by peer. Pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

_KEYS: Final = 10_000


class Buckets:
    """A bucket for each key, such as a peer's address: `burst` at once, `per_s` in the long run. Times in s."""

    def __init__(self, per_s: float, burst: float, keys: int = _KEYS) -> None:
        self._per_s, self._burst, self._keys = per_s, burst, keys
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now_s: float) -> float:
        """Take one; 0 when there was one, else how long until there is."""
        left, at_s = self._left.pop(key, (self._burst, now_s))
        left = min(self._burst, left + max(0.0, now_s - at_s) * self._per_s)
        wait_s = 0.0 if left >= 1.0 else (1.0 - left) / self._per_s
        self._left[key] = (left - 1.0 if wait_s == 0.0 else left), now_s
        # The one that has been quiet longest is full again, or nearly.
        while len(self._left) > self._keys:
            self._left.popitem(last=False)
        return wait_s


class Crowd:
    """How many are in, altogether and by peer."""

    def __init__(self, most: int, most_of_peer: int) -> None:
        self._most, self._most_of_peer = most, most_of_peer
        self.by_peer: Counter[str] = Counter()
        self.total = 0

    def full(self, peer: str) -> str:
        """Whose limit keeps another one of this peer out: ``"peer"``, ``"all"``, or empty: there is room."""
        if self.by_peer[peer] >= self._most_of_peer:
            return "peer"
        return "all" if self.total >= self._most else ""

    def enter(self, peer: str) -> None:
        """One more."""
        self.by_peer[peer] += 1
        self.total += 1

    def leave(self, peer: str) -> None:
        """One less."""
        self.total -= 1
        self.by_peer[peer] -= 1
        if self.by_peer[peer] <= 0:
            del self.by_peer[peer]
