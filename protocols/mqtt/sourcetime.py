"""Times as payloads carry them: ISO 8601, or a number of s, ms, us or ns since 1970 UTC. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

UNITS: Final[Mapping[str, int]] = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""ns in each."""
AUTO: Final = "auto"
FUTURE_NS: Final = 60_000_000_000
"""A source time that lies further ahead of our clock cannot be trusted."""
EARLIEST_NS: Final = 946_684_800_000_000_000
"""2000-01-01: a time before it is that of a clock that was never set."""
_LATEST_NS: Final = (1 << 63) - 1
_STEPS: Final = ((1e11, "s"), (1e14, "ms"), (1e17, "us"))
_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,3})?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(value: Any, unit: str) -> int:
    """ns since 1970 UTC. `unit` of a number: ``s``, ``ms``, ``us``, ``ns``, or ``auto`` by its size (from 1973 on).

    Text is ISO 8601, without a zone UTC, or a number. Raises `ValueError` for what is no time.
    """
    if isinstance(value, str):
        return _from_text(value.strip(), unit)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{str(value)[:40]} is no time")
    if unit == AUTO:
        unit = next((name for limit, name in _STEPS if abs(value) < limit), "ns")
    time_ns = value * UNITS[unit] if isinstance(value, int) else round(value * UNITS[unit])
    if not 0 <= time_ns <= _LATEST_NS:
        raise ValueError(f"{str(value)[:40]} is no time in {unit}")
    return time_ns


def _from_text(text: str, unit: str) -> int:
    if _NUMBER.fullmatch(text):  # digits alone would pass for a date without its hyphens
        return to_ns(float(text) if set(text) & set(".eE") else int(text), unit)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:40]} is no time: ISO 8601 or a number expected") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        since = found - _EPOCH
    except OverflowError:
        raise ValueError(f"{text[:40]} is no time") from None
    time_ns = ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000
    if not 0 <= time_ns <= _LATEST_NS:
        raise ValueError(f"{text[:40]} is no time")
    return time_ns


def doubtful(time_ns: int, now_ns: int) -> bool:
    """Whether a clock that says so cannot be right."""
    return time_ns < EARLIEST_NS or time_ns > now_ns + FUTURE_NS
