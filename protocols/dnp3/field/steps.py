"""What a master asks an outstation for besides commands, and what it has to tell of the conversation. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from protocols.dnp3.field.decode import Batch
from protocols.dnp3.field.orders import Done
from protocols.dnp3.function import Function
from protocols.dnp3.headers import all_head, range_head

_CLASSES: Final = all_head(60, 2) + all_head(60, 3) + all_head(60, 4)
_INTEGRITY: Final = _CLASSES + all_head(60, 1)
_CLEAR_RESTART: Final = range_head(80, 1, 7, 7) + b"\x00"
COUNTER_NAMES: Final = (
    *("requests", "responses", "unsolicited", "events", "timeouts", "retries", "restarts", "overflows"),
    *("unknown_points", "unreadable", "late", "commands", "commands_refused", "commands_lost", "time_syncs"),
)
ERRORS: Final = ("timeouts", "unreadable", "commands_refused", "commands_lost", "overflows")


class Kind(StrEnum):
    """What a request is for."""

    DISABLE = "disable unsolicited"
    INTEGRITY = "integrity poll"
    EVENTS = "event poll"
    CLEAR_RESTART = "clear restart"
    RECORD_TIME = "record current time"
    WRITE_TIME = "write time"
    ENABLE = "enable unsolicited"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Online:
    """The integrity poll is through."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The outstation does not answer."""

    cause: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for the log."""

    event: str


Effect = Batch | Online | Lost | Notice | Done


STEPS: Final = {
    Kind.DISABLE: (Function.DISABLE_UNSOLICITED, _CLASSES),
    Kind.INTEGRITY: (Function.READ, _INTEGRITY),
    Kind.EVENTS: (Function.READ, _CLASSES),
    Kind.CLEAR_RESTART: (Function.WRITE, _CLEAR_RESTART),
    Kind.RECORD_TIME: (Function.RECORD_CURRENT_TIME, b""),
    Kind.ENABLE: (Function.ENABLE_UNSOLICITED, _CLASSES),
}
"""Function and objects of what is always asked alike."""
