"""What to do about what the server answers. A table, not a ladder."""

from __future__ import annotations

import email.utils
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Final

RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
PERSON_S: Final = 30.0
"""A person must act: tried again this often."""
LONGEST_WAIT_S: Final = 600.0


class Course(Enum):
    """What follows from an answer."""

    DONE = auto()
    SPLIT = auto()
    """Too large: in halves."""
    ISOLATE = auto()
    """Something in it is wrong: in halves, until it stands alone."""
    WAIT = auto()
    """The server cannot now."""
    TELL = auto()
    """It will not go on without a person."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` 0: there was none; `text` says why. `retry_after_s`: what the server asks for."""

    status: int
    text: str = ""
    retry_after_s: float | None = None


_COURSES: Final[Mapping[int, Course]] = {
    0: Course.WAIT,
    400: Course.ISOLATE,
    401: Course.TELL,
    403: Course.TELL,
    404: Course.TELL,
    405: Course.TELL,
    408: Course.WAIT,
    413: Course.SPLIT,
    422: Course.ISOLATE,
    429: Course.WAIT,
}
_WORDS: Final[Mapping[int, str]] = {
    0: "the server cannot be reached",
    401: "the server does not accept the token or the user",
    403: "the token or the user may not write there",
    404: "the server knows no such bucket, database or address",
}


def course(answer: Answer) -> Course:
    """What to do now."""
    if 200 <= answer.status < 300:
        return Course.DONE
    return _COURSES.get(answer.status, Course.WAIT if answer.status >= 500 else Course.TELL)


def words(answer: Answer) -> str:
    """Why, for a person."""
    reason = _WORDS.get(answer.status, f"the server answers {answer.status}")
    return f"{reason}: {answer.text}" if answer.text else reason


def pause_s(answer: Answer, tries: int, chance: random.Random) -> float:
    """How long to wait before the next try: what the server asks, else longer each time, with jitter."""
    if answer.retry_after_s is not None:
        return min(max(answer.retry_after_s, 0.0), LONGEST_WAIT_S)
    if course(answer) is Course.TELL:
        return PERSON_S
    return RETRY_S[min(tries, len(RETRY_S) - 1)] * (0.5 + chance.random() / 2)


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """A Retry-After header: seconds or a date (RFC 9110, 10.2.3); None when there is none that can be read."""
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - now).total_seconds()
