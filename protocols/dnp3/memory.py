"""What a master set or froze and must find again after a restart of the process, as plain data. Pure.

    {"BI 3 bess1/fault": {"class": 2}, "AI 0 ...": {"deadband": 5.0}, "CTR 0 ...": {"zero": 120.0},
     "FCTR 0 ...": {"frozen": [value, quality, time in ns]},
     "freezes": [{"type": "CTR", "at": ns UTC, "every": ns, "points": ["CTR 0 ..."]}]}

A point is known by type, index and name: what belongs to one that the map no longer has is forgotten. A freeze whose
time passed meanwhile is made at once, once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from gateway.points import ALL_FLAGS, Quality
from protocols.dnp3.freeze import Freeze, Schedule
from protocols.dnp3.outstation import Outstation
from protocols.dnp3.pointtypes import FROZEN_OF, PointType

Memory = dict[str, Any]
_FREEZES: Final = "freezes"
_NEVER: Final = int(Quality.NEVER_REPORTED)


def binding_keys(outstation: Outstation, names: list[str]) -> list[str]:
    """One per binding, in their order; `names` of all points by table row."""
    columns = outstation.plan.bindings
    entries = zip(columns.row.tolist(), columns.type.tolist(), columns.index.tolist(), strict=True)
    return [f"{PointType(kind).name} {index} {names[row]}" for row, kind, index in entries]


def remember(outstation: Outstation, keys: list[str]) -> Memory:
    """What differs from the configuration, and what was frozen."""
    database, columns = outstation.database, outstation.plan.bindings
    limits, wanted = outstation.store.deadband.limits, np.nan_to_num(columns.limit)
    memory: Memory = {}

    def note(position: int, what: str, value: object) -> None:
        memory.setdefault(keys[position], {})[what] = value

    for position in np.flatnonzero(database.event_class != columns.event_class).tolist():
        note(position, "class", int(database.event_class[position]))
    for position in np.flatnonzero(limits != wanted).tolist():
        note(position, "deadband", float(limits[position]))
    for position in np.flatnonzero(database.counter_zero).tolist():
        note(position, "zero", float(database.counter_zero[position]))
    for position in np.flatnonzero(database.frozen_quality != _NEVER).tolist():
        frozen = database.frozen_value, database.frozen_quality, database.frozen_time_ns
        note(position, "frozen", [column[position].item() for column in frozen])
    if outstation.schedules.entries:
        memory[_FREEZES] = [_schedule(entry, keys) for entry in outstation.schedules.entries]
    return memory


def _schedule(entry: Schedule, keys: list[str]) -> dict[str, Any]:
    points = [keys[position] for position in entry.freeze.positions.tolist()]
    return {"type": entry.freeze.type.name, "at": entry.at_ns, "every": entry.interval_ns, "points": points}


def recall(outstation: Outstation, memory: object, keys: list[str]) -> None:
    """Put it back. Raises `ValueError` for what is no such memory."""
    if not isinstance(memory, Mapping):
        raise ValueError("an object was expected")
    positions = {key: position for position, key in enumerate(keys)}
    _recall_freezes(outstation, memory.get(_FREEZES, []), positions)
    for key, kept in memory.items():
        position = positions.get(key)
        if position is not None:
            _recall(outstation, position, kept)


def _recall(outstation: Outstation, position: int, kept: object) -> None:
    if not isinstance(kept, Mapping):
        raise ValueError("an object was expected for each point")
    database = outstation.database
    if "class" in kept:
        database.event_class[position] = int(_number(kept["class"], 0, 3))
    if "deadband" in kept:
        outstation.store.deadband.set_limit(position, _number(kept["deadband"], 0, math.inf))
    if "zero" in kept:
        database.counter_zero[position] = _number(kept["zero"], -math.inf, math.inf)
    if "frozen" in kept:
        frozen = kept["frozen"]
        if not isinstance(frozen, list) or len(frozen) != 3:
            raise ValueError("a frozen point has a value, a quality and a time")
        database.frozen_value[position] = _number(frozen[0], -math.inf, math.inf)
        database.frozen_quality[position] = int(_number(frozen[1], 0, int(ALL_FLAGS)))
        database.frozen_time_ns[position] = int(_number(frozen[2], 0, 1 << 62))


def _recall_freezes(outstation: Outstation, kept: object, known: Mapping[str, int]) -> None:
    if not isinstance(kept, list):
        raise ValueError("a list of freezes was expected")
    for entry in kept:
        try:
            kind = PointType[entry["type"]]
            found = np.array([known[key] for key in entry["points"] if key in known], np.intp)
            at_ns, interval_ns = (int(_number(entry[key], 0, 1 << 62)) for key in ("at", "every"))
        except (KeyError, TypeError):
            raise ValueError("a freeze has a type, points, a time and an interval") from None
        if kind in FROZEN_OF and len(found):
            outstation.schedules.add(Schedule(Freeze(kind, found), at_ns, interval_ns))


def _number(value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{value!r} is no number from {low:g} to {high:g}")
    return value
