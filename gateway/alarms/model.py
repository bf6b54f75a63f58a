"""What an alarm is at a moment, and what can happen to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final


class Condition(IntEnum):
    """What of its point an alarm watches. An alarm's name is the point's name, ``/``, the condition's word."""

    LL = 0
    L = 1
    H = 2
    HH = 3
    ALARM = 4
    """A binary or double is in the state that is the alarm."""
    QUALITY = 5
    """The value may not be used (`gateway.points.quality.UNUSABLE`)."""

    @property
    def word(self) -> str:
        return self.name.lower()

    @property
    def of_value(self) -> bool:
        """Whether it needs a value that may be used."""
        return self is not Condition.QUALITY

    @property
    def high(self) -> bool:
        return self in (Condition.H, Condition.HH)

    @property
    def low(self) -> bool:
        return self in (Condition.L, Condition.LL)


CONDITION_BY_WORD: Final = {condition.word: condition for condition in Condition}


class Priority(IntEnum):
    """How soon a person must act; also what `system/alarms/highest_priority` shows (0: no alarm)."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        return self.name.lower()


PRIORITY_BY_WORD: Final = {priority.word: priority for priority in Priority}


class AlarmState(StrEnum):
    """The states of ANSI/ISA-18.2 (alarm state transition diagram)."""

    NORMAL = "normal"
    UNACKNOWLEDGED = "unacknowledged"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned unacknowledged"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed by design"
    OUT_OF_SERVICE = "out of service"


class AlarmEvent(StrEnum):
    """What has just happened to an alarm."""

    RAISED = "raised"
    RETURNED = "returned"
    ANNOUNCED = "announced"
    """It came while it was hidden, stands still, and is hidden no longer."""
    ACKNOWLEDGED = "acknowledged"
    CONFIRMED = "confirmed"
    COMMENTED = "commented"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SHELF_EXPIRED = "shelf expired"
    UNSUPPRESSED = "unsuppressed"
    OUT_OF_SERVICE = "out of service"
    IN_SERVICE = "in service"
    FIRST_OUT_RESET = "first out reset"


_PROCESS_STATES: Final = {
    (True, False): AlarmState.UNACKNOWLEDGED,
    (True, True): AlarmState.ACKNOWLEDGED,
    (False, False): AlarmState.RETURNED,
    (False, True): AlarmState.NORMAL,
}
"""By (active, acknowledged)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRecord:
    """One alarm after its last event. `index` is its place in the `AlarmCatalogue`.

    `seq` numbers the events of all alarms, over restarts too. `time_ns` is when the event happened: for `RAISED` and
    `RETURNED` the source time of the value that brought it about (plus the delay, where there is one), for a person's
    action the gateway's clock; `value` and `quality` are those of the last rise or return. Times are ns since 1970
    UTC, 0: never. `shelved_until_ns` 0: not shelved. `by` and `text`: who did the last action, and the reason or
    comment given. `count`: how often it was raised, ever.
    """

    index: int
    seq: int = 0
    event: AlarmEvent = AlarmEvent.RETURNED
    time_ns: int = 0
    active: bool = False
    acknowledged: bool = True
    confirmed: bool = True
    announced: bool = True
    """False while it is active and has been hidden since it was raised."""
    shelved_until_ns: int = 0
    one_shot: bool = False
    """Shelved until it returns, `shelved_until_ns` at most."""
    suppressed: bool = False
    out_of_service: bool = False
    first_out: bool = False
    value: float = 0.0
    quality: int = 0
    raised_ns: int = 0
    returned_ns: int = 0
    count: int = 0
    by: str = ""
    text: str = ""

    @property
    def shelved(self) -> bool:
        return self.shelved_until_ns != 0

    @property
    def hidden(self) -> bool:
        """Not shown among the alarms that ask for a person."""
        return self.shelved_until_ns != 0 or self.suppressed or self.out_of_service

    @property
    def plain(self) -> bool:
        """Nothing to tell but that it is normal."""
        return not (self.active or self.hidden or self.first_out) and self.acknowledged and self.confirmed

    @property
    def state(self) -> AlarmState:
        if self.out_of_service:
            return AlarmState.OUT_OF_SERVICE
        if self.suppressed:
            return AlarmState.SUPPRESSED
        if self.shelved_until_ns:
            return AlarmState.SHELVED
        return _PROCESS_STATES[self.active, self.acknowledged]
