"""Commands that came before: each is carried out once, however often it is delivered. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gateway.contracts import Outcome

MOST: Final = 10_000
"""Commands remembered at once."""


class SeenCommands:
    """Keys of commands within a window of time."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = int(window_s * 1e9)
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._outcomes: dict[str, Outcome] = {}

    def repeated(self, key: str, now_ns: int) -> bool:
        """Whether a command of this key came within the window; it is remembered from now on."""
        while self._seen and (len(self._seen) > MOST or now_ns - next(iter(self._seen.values())) > self._window_ns):
            gone, _ = self._seen.popitem(last=False)
            self._outcomes.pop(gone, None)
        if key in self._seen:
            return True
        self._seen[key] = now_ns
        return False

    def ended(self, key: str, outcome: Outcome) -> None:
        """How the command of this key ended."""
        if key in self._seen:
            self._outcomes[key] = outcome

    def outcome(self, key: str) -> Outcome | None:
        """How the command of this key ended; None while it has not."""
        return self._outcomes.get(key)
