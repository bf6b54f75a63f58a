"""Alarm records as lists on the feed, and as lines of the history. Pure."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, Final

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.model import AlarmEvent, AlarmRecord
from gateway.points.quality import Quality

_FIELDS: Final = tuple(field.name for field in fields(AlarmRecord))
_TYPES: Final = {name: AlarmEvent if name == "event" else type(getattr(AlarmRecord(index=0), name)) for name in _FIELDS}
_KEPT: Final = tuple(name for name in _FIELDS if name not in ("index", "value", "quality"))


class WireError(ValueError):
    """Not an alarm record. The text says what was wrong."""


def record_to(record: AlarmRecord) -> list[Any]:
    """A record as a JSON list, in the order of its fields; a value that JSON has no number for goes as 0."""
    out = [getattr(record, name) for name in _FIELDS]
    if not math.isfinite(record.value):
        out[_FIELDS.index("value")] = 0.0
    return out


def record_from(content: Any, alarms: int) -> AlarmRecord:
    """Read a record of one of `alarms` alarms; `WireError` for anything else."""
    if not isinstance(content, list) or len(content) != len(_FIELDS):
        raise WireError("not an alarm record")
    record = _made(dict(zip(_FIELDS, content, strict=True)))
    if not 0 <= record.index < alarms:
        raise WireError(f"alarm {record.index} is beyond the {alarms} alarms of this site")
    return record


def line_of(record: AlarmRecord, alarms: AlarmCatalogue) -> dict[str, Any]:
    """A record as a line of the history: it stands by itself, whatever becomes of the configuration."""
    index = record.index
    return {
        "alarm": alarms.name(index),
        "priority": alarms.priority_of(index).word,
        "message": alarms.message(index),
        "state": str(record.state),
        "value": record.value if math.isfinite(record.value) else None,
        "unit": alarms.points.units[alarms.row[index]],
        "quality": Quality(record.quality).words,
        "flags": record.quality,
    } | {name: getattr(record, name) for name in _KEPT}


def record_of(line: dict[str, Any], index: int) -> AlarmRecord:
    """The record in a line of the history, for the alarm that now has this index; `WireError` if there is none."""
    value = line.get("value")
    found = {name: line.get(name) for name in _KEPT} | {"value": 0.0 if value is None else value}
    return _made(found | {"index": index, "quality": line.get("flags")})


def _made(found: dict[str, Any]) -> AlarmRecord:
    try:
        facts: dict[str, Any] = {name: _TYPES[name](value) for name, value in found.items() if _sound(name, value)}
        return AlarmRecord(**facts)
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"not an alarm record: {error}") from None


def _sound(name: str, value: Any) -> bool:
    """JSON has what the field wants: no text for a number, no number for a yes or no."""
    wanted = _TYPES[name]
    fits = isinstance(value, str) if wanted in (str, AlarmEvent) else isinstance(value, int | float)
    if not fits or (wanted is bool) is not isinstance(value, bool):
        raise WireError(f"not an alarm record: {name} is {value!r}")
    return True
