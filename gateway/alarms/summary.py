"""What masters are told of all alarms together: the system points below ``system/alarms``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.alarms.engine import AlarmEngine
from gateway.alarms.model import Priority
from gateway.points.model import Kind

ACKNOWLEDGE_ALL: Final = "acknowledge_all"
SUMMARY_POINTS: Final[Mapping[str, tuple[Kind, str]]] = {
    "active": (Kind.ANALOG, "Alarms that are active and in sight"),
    "unacknowledged": (Kind.ANALOG, "Alarms that ask for acknowledgement"),
    "highest_priority": (Kind.ANALOG, "Highest priority of these: 0 none, 1 low, 2 medium, 3 high, 4 critical"),
    "critical": (Kind.ANALOG, "Active alarms of priority critical"),
    "high": (Kind.ANALOG, "Active alarms of priority high"),
    "medium": (Kind.ANALOG, "Active alarms of priority medium"),
    "low": (Kind.ANALOG, "Active alarms of priority low"),
    "shelved": (Kind.ANALOG, "Alarms that are shelved"),
    "suppressed": (Kind.ANALOG, "Alarms that are suppressed by design"),
    "out_of_service": (Kind.ANALOG, "Alarms that are out of service"),
    "standing": (Kind.ANALOG, "Alarms that have been active for too long"),
    "chattering": (Kind.ANALOG, "Alarms that come and go too often"),
    "recent": (Kind.ANALOG, "Alarms announced within the window of the flood"),
    "flood": (Kind.BINARY, "More alarms than a person can deal with"),
}
"""Name below ``system/alarms/``: kind, description."""
GROUP_POINTS: Final[Mapping[str, tuple[Kind, str]]] = {
    "active": (Kind.BINARY, "An alarm of group {group} stands or is not acknowledged"),
    "first_out": (Kind.ANALOG, "Which alarm of group {group} came first: its number in the group from 1, 0 none"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSystemRows:
    """Table rows of the points that tell of alarms."""

    summary: dict[str, int] = field(default_factory=dict)
    groups: dict[str, dict[str, int]] = field(default_factory=dict)
    acknowledge_all: int = -1


def summary(engine: AlarmEngine, utc_ns: int) -> dict[str, float]:
    """Values by the names of `SUMMARY_POINTS`."""
    alarms, statistics = engine.alarms, engine.statistics
    out = dict.fromkeys(SUMMARY_POINTS, 0.0)
    standing_ns = int(alarms.rules.standing_s * 1e9)
    highest = 0
    for index, record in engine.records.items():
        out["shelved"] += record.shelved
        out["out_of_service"] += record.out_of_service
        if record.hidden or not (record.active or not record.acknowledged):
            continue
        priority = int(alarms.priority[index])
        highest = max(highest, priority)
        out["unacknowledged"] += not record.acknowledged
        if record.active:
            out["active"] += 1
            out[Priority(priority).word] += 1
            out["standing"] += utc_ns - record.raised_ns >= standing_ns
    return out | {
        "highest_priority": float(highest),
        "suppressed": float(engine.suppressed_count()),
        "chattering": float(len(statistics.chattering)),
        "recent": float(statistics.recent),
        "flood": float(statistics.flood),
    }


def group_summary(engine: AlarmEngine) -> dict[str, dict[str, float]]:
    """Values by group and the names of `GROUP_POINTS`."""
    alarms = engine.alarms
    out = {group: {"active": 0.0, "first_out": 0.0} for group in alarms.groups}
    for index, record in engine.records.items():
        group = alarms.group_of(index)
        if not group:
            continue
        if not record.hidden and (record.active or not record.acknowledged):
            out[group]["active"] = 1.0
        if record.first_out:
            out[group]["first_out"] = float(alarms.number_in_group(index))
    return out
