"""What a condition says: its fields, from an alarm's record (OPC 10000-9, 5.5 to 5.8). Pure.

Each alarm is a condition of its own, so that acknowledging or shelving it here and elsewhere is the same thing:
`ExclusiveLevelAlarmType` with one limit for ``ll``, ``l``, ``h``, ``hh``, `OffNormalAlarmType` for a state and for a
quality. There are no branches.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from gateway.alarms import AlarmCatalogue, AlarmRecord, Condition, Priority
from gateway.points import Quality
from protocols.opcua.nodes import NodeId, standard
from protocols.opcua.quality import status_codes
from protocols.opcua.uastack import Ids, ua

SEVERITIES: Final = {Priority.CRITICAL: 900, Priority.HIGH: 700, Priority.MEDIUM: 500, Priority.LOW: 200}
"""OPC 10000-5, 6.4.2: 1 to 1000."""
LEVEL, OFF_NORMAL = int(Ids.ExclusiveLevelAlarmType), int(Ids.OffNormalAlarmType)

_T: Final = ua.VariantType
_EVENT_ID: Final = struct.Struct(">4sIQ")
_MARK: Final = b"GGal"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LIMITS: Final = {
    Condition.LL: ("LowLowLimit", Ids.ExclusiveLimitStateMachineType_LowLow, "LowLow"),
    Condition.L: ("LowLimit", Ids.ExclusiveLimitStateMachineType_Low, "Low"),
    Condition.H: ("HighLimit", Ids.ExclusiveLimitStateMachineType_High, "High"),
    Condition.HH: ("HighHighLimit", Ids.ExclusiveLimitStateMachineType_HighHigh, "HighHigh"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An alarm as it is told: `source` is the node of its point, `condition` its own."""

    record: AlarmRecord
    alarms: AlarmCatalogue
    source: NodeId
    condition: NodeId
    now_ns: int


def event_id(record: AlarmRecord) -> bytes:
    """16 octets that name this event of this alarm; those of an event that is told again are the same."""
    return _EVENT_ID.pack(_MARK, record.index, record.seq)


def read_event_id(octets: Any) -> tuple[int, int] | None:
    """(alarm, seq) of an event id of ours."""
    if not isinstance(octets, bytes) or len(octets) != _EVENT_ID.size:
        return None
    mark, index, seq = _EVENT_ID.unpack(octets)
    return (index, seq) if mark == _MARK else None


def type_of(condition: Condition) -> int:
    """The type of the alarm's condition: numeric id of a standard node."""
    return LEVEL if condition <= Condition.HH else OFF_NORMAL


def retained(record: AlarmRecord) -> bool:
    """Whether a client that asks what stands is told of it."""
    return record.active or not record.acknowledged or not record.confirmed


def limit_name(condition: Condition) -> str:
    """The property that holds the limit of a level alarm."""
    return _LIMITS[condition][0]


Getter = Callable[[Shown], Any]
"""The Variant of a field."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field, and the type definition, data type and reference from its parent that its variable has."""

    get: Getter
    data_type: int
    type_definition: int = int(Ids.PropertyType)
    reference: int = int(Ids.HasProperty)


def _property(data_type: int, kind: Any, get: Callable[[Shown], Any]) -> Field:
    return Field(lambda shown: ua.Variant(get(shown), kind), data_type)


def _state(get: Callable[[Shown], bool], true: str, false: str) -> dict[tuple[str, ...], Field]:
    """A two-state variable and its Id."""

    def text(shown: Shown) -> Any:
        return ua.Variant(ua.LocalizedText(true if get(shown) else false, "en"), _T.LocalizedText)

    return {
        (): Field(text, Ids.LocalizedText, Ids.TwoStateVariableType, Ids.HasComponent),
        ("Id",): _property(Ids.Boolean, _T.Boolean, get),
    }


def _aside(data_type: int, kind: Any, get: Callable[[Shown], Any]) -> dict[tuple[str, ...], Field]:
    """A condition variable and when it came about."""
    return {
        (): Field(lambda shown: ua.Variant(get(shown), kind), data_type, Ids.ConditionVariableType, Ids.HasComponent),
        ("SourceTimestamp",): _property(Ids.UtcTime, _T.DateTime, lambda shown: _time(shown.record.time_ns)),
    }


def _finite(name: Callable[[Shown], str], state: Callable[[Shown], int]) -> dict[tuple[str, ...], Field]:
    """The current state of a state machine and its Id; empty while there is none."""

    def text(shown: Shown) -> Any:
        return ua.Variant(ua.LocalizedText(name(shown), "en"), _T.LocalizedText)

    return {
        ("CurrentState",): Field(text, Ids.LocalizedText, Ids.FiniteStateVariableType, Ids.HasComponent),
        ("CurrentState", "Id"): _property(Ids.NodeId, _T.NodeId, lambda shown: standard(state(shown))),
    }


def _time(time_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def _text(text: str) -> Any:
    return ua.LocalizedText(text, "en")


def _status(flags: int) -> Any:
    return ua.StatusCode(int(status_codes(np.array([flags & ~int(Quality.NEVER_REPORTED)], np.uint32))[0]))


def _name(shown: Shown) -> str:
    return shown.alarms.name(shown.record.index)


def _severity(shown: Shown) -> int:
    return SEVERITIES[shown.alarms.priority_of(shown.record.index)]


def _shelving(shown: Shown) -> str:
    return "OneShotShelved" if shown.record.one_shot else "TimedShelved" if shown.record.shelved else "Unshelved"


_SHELVED: Final = {
    "Unshelved": int(Ids.ShelvedStateMachineType_Unshelved),
    "TimedShelved": int(Ids.ShelvedStateMachineType_TimedShelved),
    "OneShotShelved": int(Ids.ShelvedStateMachineType_OneShotShelved),
}


def _below(name: str, fields: Mapping[tuple[str, ...], Field]) -> dict[tuple[str, ...], Field]:
    return {(name, *path): field for path, field in fields.items()}


_COMMON: Final[dict[tuple[str, ...], Field]] = {
    ("EventId",): _property(Ids.ByteString, _T.ByteString, lambda shown: event_id(shown.record)),
    ("EventType",): _property(Ids.NodeId, _T.NodeId, lambda shown: standard(type_of(_condition(shown)))),
    ("SourceNode",): _property(Ids.NodeId, _T.NodeId, lambda shown: shown.source),
    ("SourceName",): _property(
        Ids.String, _T.String, lambda shown: shown.alarms.points.names[shown.alarms.row[shown.record.index]]
    ),
    ("Time",): _property(Ids.UtcTime, _T.DateTime, lambda shown: _time(shown.record.time_ns)),
    ("ReceiveTime",): _property(Ids.UtcTime, _T.DateTime, lambda shown: _time(shown.now_ns)),
    ("Message",): _property(
        Ids.LocalizedText, _T.LocalizedText, lambda shown: _text(shown.alarms.message(shown.record.index))
    ),
    ("Severity",): _property(Ids.UInt16, _T.UInt16, _severity),
    ("ConditionClassId",): _property(Ids.NodeId, _T.NodeId, lambda shown: standard(_class(shown)[0])),
    ("ConditionClassName",): _property(Ids.LocalizedText, _T.LocalizedText, lambda shown: _text(_class(shown)[1])),
    ("ConditionName",): _property(Ids.String, _T.String, _name),
    ("BranchId",): _property(Ids.NodeId, _T.NodeId, lambda shown: ua.NodeId()),
    ("Retain",): _property(Ids.Boolean, _T.Boolean, lambda shown: retained(shown.record)),
    ("ClientUserId",): _property(Ids.String, _T.String, lambda shown: shown.record.by),
    ("InputNode",): _property(Ids.NodeId, _T.NodeId, lambda shown: shown.source),
    ("SuppressedOrShelved",): _property(Ids.Boolean, _T.Boolean, lambda shown: shown.record.hidden),
    ("MaxTimeShelved",): _property(Ids.Duration, _T.Double, lambda shown: shown.alarms.rules.shelve_max_s * 1000.0),
    **_below("EnabledState", _state(lambda shown: True, "Enabled", "Disabled")),
    **_below("AckedState", _state(lambda shown: shown.record.acknowledged, "Acknowledged", "Unacknowledged")),
    **_below("ActiveState", _state(lambda shown: shown.record.active, "Active", "Inactive")),
    **_below("SuppressedState", _state(lambda shown: shown.record.suppressed, "Suppressed", "Unsuppressed")),
    **_below("OutOfServiceState", _state(lambda shown: shown.record.out_of_service, "Out of Service", "In Service")),
    **_below("Quality", _aside(Ids.StatusCode, _T.StatusCode, lambda shown: _status(shown.record.quality))),
    **_below("LastSeverity", _aside(Ids.UInt16, _T.UInt16, _severity)),
    **_below("Comment", _aside(Ids.LocalizedText, _T.LocalizedText, lambda shown: _text(shown.record.text))),
    **_below("ShelvingState", _finite(_shelving, lambda shown: _SHELVED[_shelving(shown)])),
    ("ShelvingState", "UnshelveTime"): _property(
        Ids.Duration, _T.Double, lambda shown: max(0, shown.record.shelved_until_ns - shown.now_ns) / 1e6
    ),
}
_CONFIRMED: Final = _below("ConfirmedState", _state(lambda shown: shown.record.confirmed, "Confirmed", "Unconfirmed"))
_OFF_NORMAL: Final[dict[tuple[str, ...], Field]] = {
    ("NormalState",): _property(Ids.NodeId, _T.NodeId, lambda shown: ua.NodeId()),
}
_LEVEL: Final = _below(
    "LimitState",
    _finite(
        lambda shown: _LIMITS[_condition(shown)][2] if shown.record.active else "",
        lambda shown: int(_LIMITS[_condition(shown)][1]) if shown.record.active else 0,
    ),
)
_LIMIT_FIELD: Final = _property(Ids.Double, _T.Double, lambda shown: float(shown.alarms.limit[shown.record.index]))


def _condition(shown: Shown) -> Condition:
    return shown.alarms.condition_of(shown.record.index)


def _class(shown: Shown) -> tuple[int, str]:
    ours = shown.alarms.points.names[shown.alarms.row[shown.record.index]].startswith("system/")
    if ours:
        return int(Ids.SystemConditionClassType), "SystemConditionClassType"
    return int(Ids.ProcessConditionClassType), "ProcessConditionClassType"


def fields_of(condition: Condition, confirm: bool) -> Mapping[tuple[str, ...], Field]:
    """All fields of such an alarm by their browse path."""
    found = _TABLES.get((condition, confirm))
    if found is None:
        found = dict(_COMMON) | (_CONFIRMED if confirm else {})
        if type_of(condition) == LEVEL:
            found |= _LEVEL | {(limit_name(condition),): _LIMIT_FIELD}
        else:
            found |= _OFF_NORMAL
        _TABLES[condition, confirm] = found
    return found


_TABLES: Final[dict[tuple[Condition, bool], dict[tuple[str, ...], Field]]] = {}


class Fields(Mapping[tuple[str, ...], Any]):
    """The Variants of one event, made when a client has selected them."""

    __slots__ = ("_shown", "_table")

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._table = fields_of(_condition(shown), shown.alarms.rules.confirm)

    def __getitem__(self, path: tuple[str, ...]) -> Any:
        return self._table[path].get(self._shown)

    def __iter__(self) -> Any:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)
