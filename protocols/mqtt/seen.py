"""Commands that came before: each is carried out once, however often it is delivered. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MOST: Final = 10_000
"""Commands remembered at once."""


class SeenCommands:
    """Keys of commands within a window of time."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = int(window_s * 1e9)
        self._seen: OrderedDict[str, int] = OrderedDict()

    def repeated(self, key: str, now_ns: int) -> bool:
        """Whether a command of this key came within the window; it is remembered from now on."""
        while self._seen and (len(self._seen) > MOST or now_ns - next(iter(self._seen.values())) > self._window_ns):
            self._seen.popitem(last=False)
        if key in self._seen:
            return True
        self._seen[key] = now_ns
        return False
