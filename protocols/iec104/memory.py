"""What of a master's station must survive the process besides events: counters, parameters, cyclic sending. Pure.

A JSON object. Objects are named by common address, ioa and point, so that a changed map does not give one point what
another had.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from protocols.iec104.parameters import Loaded
from protocols.iec104.station import Station

VERSION: Final = 1

_COUNTER_COLUMNS: Final = ("zero", "before", "frozen", "frozen_quality", "number", "held")
_PARAMETERS: Final = ("threshold", "low", "high")

Name = Callable[[int], str]


def remember(station: Station, name: Name) -> dict[str, Any]:
    """The object for this station; `name` names a binding."""
    counters = station.counters
    touched = (counters.number != 0) | counters.held | (counters.zero != 0)
    return {
        "version": VERSION,
        "counters": {
            name(int(counters.index[slot])): [_plain(getattr(counters, column)[slot]) for column in _COUNTER_COLUMNS]
            for slot in touched.nonzero()[0]
        },
        "parameters": {
            name(binding): [*(_plain(getattr(loaded, key)) for key in _PARAMETERS), loaded.active]
            for binding, loaded in station.parameters.loaded.items()
        },
        "silent": [name(int(binding)) for binding in station.cycles.silent.nonzero()[0]],
    }


def recall(station: Station, memory: Mapping[str, Any], name: Name) -> None:
    """Give a fresh station what was remembered; what the map does not have any more is left out.

    Raises `ValueError` when this is not what `remember` wrote.
    """
    if not isinstance(memory, dict) or memory.get("version") != VERSION:
        raise ValueError(f"not a memory of version {VERSION}")
    try:
        _recall_counters(station, memory["counters"], name)
        bindings = {name(binding): binding for binding in range(len(station.bindings))} if _uses(memory) else {}
        for key, (*values, active) in memory["parameters"].items():
            numbers = dict(zip(_PARAMETERS, (_number(value) for value in values), strict=True))
            if key in bindings:
                station.keep_parameter(bindings[key], Loaded(**numbers, active=bool(active)))
        for key in memory["silent"]:
            if key in bindings:
                station.activate_cyclic(bindings[key], False)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    station.altered = False


def _uses(memory: Mapping[str, Any]) -> bool:
    return bool(memory["parameters"] or memory["silent"])


def _recall_counters(station: Station, kept: Mapping[str, list[Any]], name: Name) -> None:
    counters = station.counters
    for slot, binding in enumerate(counters.index.tolist()):
        values = kept.get(name(binding))
        if values is not None:
            for column, value in zip(_COUNTER_COLUMNS, values, strict=True):
                getattr(counters, column)[slot] = _number(value)


def _plain(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)


def _number(value: object) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
