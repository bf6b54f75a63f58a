"""The brake on guessing: after some failures a name and an address wait, each time twice as long. Pure."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class _Count:
    failures: int
    until_s: float
    last_s: float


class Lockout:
    """Failures by key, such as a user's name or a peer's address. Times in s on the caller's clock.

    `free` failures cost nothing; each further one locks the key for `first_s`, 2 x, 4 x ... up to `most_s`. A key is
    forgotten after `forget_s` without a failure, or when more than `keys` are known, oldest first.
    """

    def __init__(
        self, free: int = 4, first_s: float = 1.0, most_s: float = 900.0, forget_s: float = 3600.0, keys: int = 10_000
    ) -> None:
        self._free, self._first_s, self._most_s, self._forget_s, self._keys = free, first_s, most_s, forget_s, keys
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def remaining_s(self, now_s: float, *keys: str) -> float:
        """How long the most locked of these must wait; 0: it may try."""
        counts = [count for key in keys if (count := self._counts.get(key)) is not None]
        return max((count.until_s - now_s for count in counts), default=0.0) if counts else 0.0

    def failed(self, now_s: float, *keys: str) -> float:
        """One failure; returns how long the most locked of these must wait now."""
        for key in keys:
            count = self._counts.pop(key, None)
            if count is None or now_s - count.last_s > self._forget_s:
                count = _Count(0, 0.0, now_s)
            count.failures += 1
            count.last_s = now_s
            over = count.failures - self._free
            if over > 0:
                count.until_s = now_s + min(self._most_s, self._first_s * 2.0 ** min(over - 1, 30))
            self._counts[key] = count
        while len(self._counts) > self._keys:
            self._counts.popitem(last=False)
        return max(0.0, self.remaining_s(now_s, *keys))

    def succeeded(self, *keys: str) -> None:
        """These are forgiven."""
        for key in keys:
            self._counts.pop(key, None)
