"""What a person does to an alarm: record in, record out, or a refusal in words. Pure.

The states are those of ANSI/ISA-18.2; ``CONFIRM`` is OPC UA's second step after the acknowledgement (OPC 10000-9).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway.alarms.catalogue import AlarmRules
from gateway.alarms.model import AlarmEvent, AlarmRecord
from gateway.contracts.command import Action, Reason


class AlarmRefused(Exception):
    """The action is not possible now. The text is for the person who asked."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who wants it, for what reason, for how long (shelving, in s), when (ns since 1970 UTC)."""

    by: str
    text: str = ""
    duration_s: float = 0.0
    utc_ns: int


Result = tuple[AlarmEvent, AlarmRecord]


def _acknowledge(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    if record.acknowledged:
        raise AlarmRefused(Reason.BLOCKED, "there is nothing to acknowledge")
    return AlarmEvent.ACKNOWLEDGED, replace(record, acknowledged=True, confirmed=not rules.confirm, announced=True)


def _confirm(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    if not rules.confirm:
        raise AlarmRefused(Reason.NOT_COMMANDABLE, "alarms of this site are not confirmed (alarms: confirm)")
    if not record.acknowledged:
        raise AlarmRefused(Reason.BLOCKED, "it is to be acknowledged first")
    if record.confirmed:
        raise AlarmRefused(Reason.BLOCKED, "there is nothing to confirm")
    return AlarmEvent.CONFIRMED, replace(record, confirmed=True)


def _comment(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    return AlarmEvent.COMMENTED, record


def _shelve(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    if not asked.text.strip():
        raise AlarmRefused(Reason.OUT_OF_RANGE, "shelving needs a reason")
    if not 0 <= asked.duration_s <= rules.shelve_max_s:
        longest = f"{rules.shelve_max_s:g} s at most"
        raise AlarmRefused(Reason.OUT_OF_RANGE, f"{asked.duration_s:g} s: an alarm is shelved for {longest}")
    one_shot = asked.duration_s == 0
    until_ns = asked.utc_ns + int((rules.shelve_max_s if one_shot else asked.duration_s) * 1e9)
    return AlarmEvent.SHELVED, replace(record, shelved_until_ns=until_ns, one_shot=one_shot)


def _unshelve(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    if not record.shelved:
        raise AlarmRefused(Reason.BLOCKED, "it is not shelved")
    return AlarmEvent.UNSHELVED, replace(record, shelved_until_ns=0, one_shot=False)


def _out_of_service(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    if not asked.text.strip():
        raise AlarmRefused(Reason.OUT_OF_RANGE, "taking an alarm out of service needs a reason")
    if record.out_of_service:
        raise AlarmRefused(Reason.BLOCKED, "it is out of service already")
    return AlarmEvent.OUT_OF_SERVICE, replace(record, out_of_service=True)


def _in_service(record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    if not record.out_of_service:
        raise AlarmRefused(Reason.BLOCKED, "it is in service")
    return AlarmEvent.IN_SERVICE, replace(record, out_of_service=False)


_ACTIONS: Final[Mapping[Action, Callable[[AlarmRecord, Asked, AlarmRules], Result]]] = {
    Action.ACKNOWLEDGE: _acknowledge,
    Action.CONFIRM: _confirm,
    Action.COMMENT: _comment,
    Action.SHELVE: _shelve,
    Action.UNSHELVE: _unshelve,
    Action.OUT_OF_SERVICE: _out_of_service,
    Action.IN_SERVICE: _in_service,
}
ALARM_ACTIONS: Final = tuple(_ACTIONS)
"""What `perform` takes."""


def perform(action: Action, record: AlarmRecord, asked: Asked, rules: AlarmRules) -> Result:
    """What happened, and the alarm after it. Raises `AlarmRefused`."""
    event, done = _ACTIONS[action](record, asked, rules)
    return event, replace(done, by=asked.by, text=asked.text)
