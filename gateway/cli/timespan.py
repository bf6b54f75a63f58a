"""Times as people write them."""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import Final

_BACK: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])\Z")
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class TimeError(ValueError):
    """Not a time. The text says what was expected."""


def span(start: str, end: str) -> tuple[int, int]:
    """(from, to) in ns since 1970 UTC. Raises `TimeError`."""
    now_ns = time.time_ns()
    start_ns, end_ns = moment(start, now_ns), moment(end, now_ns)
    if start_ns >= end_ns:
        raise TimeError(f"from {start} to {end} is no time at all: the beginning must come first")
    return start_ns, end_ns


def moment(text: str, now_ns: int) -> int:
    """One time in ns since 1970 UTC. Raises `TimeError`."""
    if text == "now":
        return now_ns
    if back := _BACK.match(text):
        return now_ns - int(float(back[1]) * _UNITS_S[back[2]] * 1e9)
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise TimeError(f"{text} is no time: expected 2026-11-25T10:00:00Z, 24h (ago), now or the like") from None
    seconds = at.timestamp()  # without a zone: this machine's
    return int(seconds) * 1_000_000_000 + at.microsecond * 1_000
