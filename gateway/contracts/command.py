"""A command on its way from whoever asks to the field, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from gateway.contracts.screen import SCREEN

_PEOPLE: Final = frozenset({"local", SCREEN})
"""Servers that speak for people: the gateway's command line and its page."""


PROGRAM: Final = "api"
"""`Origin.protocol` of a program that calls the API: it commands as a master does, and holds nothing as a person."""


class Action(StrEnum):
    """What is asked of the broker."""

    EXECUTE = "execute"
    SELECT = "select"
    CANCEL = "cancel"
    SUBSTITUTE = "substitute"
    """Force a measured point to a value; it says *substituted* until released."""
    RELEASE = "release"
    BLOCK = "block"
    """Hold a measured point at its present value; it says *blocked* until unblocked."""
    UNBLOCK = "unblock"
    ACKNOWLEDGE = "acknowledge"
    """Of an alarm, as all below: `Command.subject` names it, an empty one stands for every alarm."""
    CONFIRM = "confirm"
    COMMENT = "comment"
    SHELVE = "shelve"
    """Out of sight for `value` seconds, for the reason in `text`; 0: until it has returned."""
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out of service"
    IN_SERVICE = "in service"
    RESET = "reset"
    """Of an interlock, as all below: end its latched trip; an empty subject: every one that can be reset."""
    ACKNOWLEDGE_TRIP = "acknowledge trip"
    BYPASS = "bypass"
    """Out of action for `value` seconds, for the reason in `text`."""
    UNBYPASS = "end bypass"
    STOP_ALL = "stop all"
    """Stop every unit at once, latched; `text` says why."""

    @property
    def of_subject(self) -> bool:
        """Whether it is about what `Command.subject` names, and not about a point."""
        return self in _OF_SUBJECT


_OF_SUBJECT: Final = frozenset(
    {
        *(Action.ACKNOWLEDGE, Action.CONFIRM, Action.COMMENT, Action.SHELVE, Action.UNSHELVE),
        *(Action.OUT_OF_SERVICE, Action.IN_SERVICE),
        *(Action.RESET, Action.ACKNOWLEDGE_TRIP, Action.BYPASS, Action.UNBYPASS, Action.STOP_ALL),
    }
)


class Pulse(StrEnum):
    """How a control is to be driven (qualifier of command, IEC 60870-5-101 7.2.6.26; DNP3 CROB op type)."""

    DEFAULT = "default"
    SHORT = "short"
    LONG = "long"
    PERSISTENT = "persistent"


class Reason(StrEnum):
    """Why. Every protocol maps all of these by a total table."""

    OK = "ok"
    UNKNOWN_POINT = "unknown point"
    NOT_COMMANDABLE = "not commandable"
    NOT_AUTHORISED = "not authorised"
    LOCAL = "local control selected"
    OUT_OF_RANGE = "out of range"
    BUSY = "another command is in flight"
    BLOCKED = "blocked"
    INTERLOCKED = "interlocked"
    NOT_SELECTED = "not selected"
    EXPIRED = "too late"
    SUPERSEDED = "superseded by a newer command"
    DEVICE_LOST = "device does not answer"
    DEVICE_REFUSED = "device refused"
    FEEDBACK = "feedback did not agree"
    TIMEOUT = "no result before the deadline"
    CORE_LOST = "core not reachable"
    TEST = "test command, not for the field"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asks: `protocol` and `server` of the worker, `master` by its configured name, `peer` as seen on the wire."""

    protocol: str
    server: str
    master: str
    peer: str = ""

    @property
    def of_person(self) -> bool:
        """Whether a person at the gateway asks, at its command line or its page; not a master, nor a program."""
        return self.server in _PEOPLE and self.protocol != PROGRAM

    @property
    def owner(self) -> str:
        """Whose set-point it is, for a person to read."""
        return self.peer if self.server == SCREEN and self.peer else f"{self.server}/{self.master}"

    def __str__(self) -> str:
        return f"{self.protocol} {self.server}/{self.master}" + (f" from {self.peer}" if self.peer else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One request. `value` is in engineering units (0 or 1 for a control); `deadline_ns` is ns since 1970 UTC.

    `id` is unique per worker process; the feed adds the worker's name. `refusal` other than OK: the server has
    refused it already (no select, a reserved qualifier) and hands it over for the record alone; the broker refuses
    it with this reason and `refusal_text`, whatever else holds. `subject`: what the action is about where it is no
    point (`Action.of_subject`; `row` is then `NO_ROW`), for example an alarm's name; `text` is the asker's reason or
    comment.
    """

    id: int
    row: int
    value: float
    action: Action
    origin: Origin
    deadline_ns: int
    pulse: Pulse = Pulse.DEFAULT
    received_ns: int = 0
    test: bool = False
    refusal: Reason = Reason.OK
    refusal_text: str = ""
    subject: str = ""
    text: str = ""


class Stage(StrEnum):
    """Where a command stands. `REFUSED`, `COMPLETED` and `FAILED` are final."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self is not Stage.ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One step of a command's story. `text` is for a person."""

    id: int
    stage: Stage
    reason: Reason = Reason.OK
    text: str = ""


OnOutcome = Callable[[Outcome], None]
"""Called once with `ACCEPTED` (if accepted) and once with a final stage."""


class CommandPort(Protocol):
    """The one road to a field write, as a server or the HMI sees it."""

    def submit(self, command: Command, on_outcome: OnOutcome) -> None:
        """Hand over; never blocks, never raises. `on_outcome` may be called before this returns."""
        ...

    def next_id(self) -> int:
        """A fresh command id."""
        ...
