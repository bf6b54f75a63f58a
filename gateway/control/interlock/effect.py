"""What an interlock does: the words of the column `then`. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EffectKind(StrEnum):
    """What happens to a unit, or to a point."""

    STOP = "stop"
    RAMP = "ramp"
    LIMIT = "limit"
    BLOCK = "block"
    WRITE = "write"
    PERMIT = "permit-start"
    """The other way round: the unit may start only while the condition holds."""


@dataclass(frozen=True, slots=True)
class EffectWords:
    """One effect as written: `target` is a unit's or a point's name, `value` kW, percent, or the value to write."""

    kind: EffectKind
    target: str
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect, compiled: `unit` is an index (-1 for a write), `row` the point of a write (-1 otherwise)."""

    kind: EffectKind
    unit: int = -1
    row: int = -1
    value: float = 0.0


class EffectError(ValueError):
    """The words make no effect. The text says what was expected."""


_NUMBER: Final = r"([-+]?\d+(?:\.\d+)?)"
_FORMS: Final[tuple[tuple[re.Pattern[str], EffectKind, str], ...]] = (
    (re.compile(r"stop\s+(\S+)"), EffectKind.STOP, "stop UNIT"),
    (re.compile(rf"ramp\s+(\S+)\s+{_NUMBER}"), EffectKind.RAMP, "ramp UNIT KW"),
    (re.compile(rf"limit\s+(\S+)\s+{_NUMBER}\s*%"), EffectKind.LIMIT, "limit UNIT PERCENT%"),
    (re.compile(r"block\s+(\S+)"), EffectKind.BLOCK, "block UNIT"),
    (re.compile(rf"write\s+(\S+)\s+{_NUMBER}"), EffectKind.WRITE, "write POINT VALUE"),
    (re.compile(r"permit-start\s+(\S+)"), EffectKind.PERMIT, "permit-start UNIT"),
)


def parse_effects(text: str) -> list[EffectWords]:
    """The effects of a cell, separated by ``;``. Raises `EffectError`."""
    return [_parse(part.strip()) for part in text.split(";") if part.strip()]


def _parse(text: str) -> EffectWords:
    for pattern, kind, form in _FORMS:
        if match := pattern.fullmatch(text):
            value = float(match[2]) if pattern.groups > 1 else 0.0
            if kind is EffectKind.LIMIT and not 0 <= value <= 100:
                raise EffectError(f'"{text}": expected 0 to 100 %')
            return EffectWords(kind, match[1], value)
        if text.split(" ", maxsplit=1)[0] == kind.value:
            raise EffectError(f'"{text[:60]}": expected {form}')
    known = ", ".join(form for _, _, form in _FORMS)
    raise EffectError(f'"{text[:60]}" is no effect: expected {known}')
