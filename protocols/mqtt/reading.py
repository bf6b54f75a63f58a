"""What a JSON or Sparkplug value means for a point: numbers, booleans, words. Compiled at load. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.points import DOUBLE_OFF, DOUBLE_ON, Kind

Word = str
"""Lower case, as `word_of` makes it."""


class NoReading(Exception):
    """The value means nothing for this point; the text says why."""


def word_of(value: Any) -> Word:
    """How a value is looked up among words: 1.0 is ``1``, True is ``true``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value).strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a value becomes a point's. `words` come first; `otherwise` is what any other word or number means then."""

    kind: Kind
    words: Mapping[Word, float] = field(default_factory=dict)
    otherwise: float | None = None
    scale: float = 1.0
    offset: float = 0.0

    def value(self, found: Any) -> float:
        """In engineering units. Raises `NoReading`."""
        if type(found) is float and not self.words and self.kind is Kind.ANALOG:
            return self._scaled(found)
        if self.words:
            if not isinstance(found, str | int | float):
                raise NoReading(f"{_shown(found)} is no word")
            word = self.words.get(word_of(found), self.otherwise)
            if word is not None:
                return word
        return self._number(found)

    def _number(self, found: Any) -> float:
        if self.kind in (Kind.BINARY, Kind.CONTROL):
            return _state(found)
        if isinstance(found, bool):
            return (DOUBLE_ON if found else DOUBLE_OFF) if self.kind is Kind.DOUBLE else float(found)
        try:
            number = float(found)
        except (TypeError, ValueError, OverflowError):
            raise NoReading(f"{_shown(found)} is no number") from None
        if self.kind is Kind.DOUBLE and number not in (0.0, 1.0, 2.0, 3.0):
            raise NoReading(f"{_shown(found)} is none of 0 to 3")
        return self._scaled(number)

    def _scaled(self, number: float) -> float:
        number = number * self.scale + self.offset
        if not math.isfinite(number):
            raise NoReading(f"{number} is no number")
        return number


_STATES: Mapping[Word, float] = {
    **dict.fromkeys(("1", "true", "on", "yes", "closed"), 1.0),
    **dict.fromkeys(("0", "false", "off", "no", "open"), 0.0),
}


def _state(found: Any) -> float:
    state = _STATES.get(word_of(found)) if isinstance(found, str | int | float) else None
    if state is None:
        raise NoReading(f"{_shown(found)} is neither on nor off")
    return state


def _shown(found: Any) -> str:
    return f'"{str(found)[:40]}"' if isinstance(found, str) else str(found)[:40]
