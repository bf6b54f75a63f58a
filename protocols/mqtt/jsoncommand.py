"""A command as JSON: ``{"id": "17", "point": "bess1/setpoint", "value": 100, "time": "2026-11-25T14:03:04Z"}``. Pure.

On a topic of its point (below the command topic) a bare number will do.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from gateway.contracts import Reason, nearest
from protocols.mqtt import sourcetime
from protocols.mqtt.form import Request
from protocols.mqtt.gridplan import CommandRules
from protocols.mqtt.jsonpath import read_json

_MAX_ID: Final = 200
_KEYS: Final = frozenset({"id", "point", "value", "time"})
_SHOWN: Final = 100


class _Refused(Exception):
    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def parse_command(
    payload: bytes, below: str, names: Mapping[str, int], repeated: bool, rules: CommandRules, now_ns: int
) -> Request:
    """The request of a payload; one that cannot be carried out says why. Never raises.

    `below`: the part of the topic after the command topic, the point's name or empty. `repeated`: delivered again.
    """
    try:
        document = _document(payload)
    except _Refused as refused:
        return Request(
            id="", binding=-1, name=below[:_SHOWN], value=math.nan, refusal=refused.reason, text=str(refused)
        )
    told_id, name = _told_id(document), _name(document, below)
    binding, value = names.get(name, -1), math.nan
    digest = hashlib.sha256(below.encode() + b"\0" + payload).hexdigest()
    key = f"id {told_id}" if told_id else f"payload {digest}" if "time" in document else ""
    try:
        value = _value(document)
        if below and document.get("point", below) != below:
            raise _Refused(Reason.UNKNOWN_POINT, f"the topic says {below}, the payload {name}")
        if binding < 0:
            raise _Refused(Reason.UNKNOWN_POINT, f"there is no point {name[:_SHOWN]} here{nearest(name[:64], names)}")
        check_time(_time(document), rules, now_ns)
        if repeated and not key:
            raise _Refused(Reason.EXPIRED, "delivered again, without an id: whether it was carried out is not known")
    except _Refused as refused:
        return Request(
            id=told_id, binding=binding, name=name, value=value, refusal=refused.reason, text=str(refused), key=key
        )
    return Request(id=told_id, binding=binding, name=name, value=value, key=key)


def _document(payload: bytes) -> dict[str, Any]:
    try:
        found = read_json(payload)
    except ValueError as error:
        raise _Refused(Reason.NOT_COMMANDABLE, f"the payload is no command: {error}") from None
    if isinstance(found, bool | int | float):
        return {"value": found}
    if not isinstance(found, dict):
        raise _Refused(Reason.NOT_COMMANDABLE, "the payload is no command: an object or a number was expected")
    stray = sorted(set(found) - _KEYS)
    if stray:
        shown = ", ".join(stray)[:_SHOWN]
        raise _Refused(Reason.NOT_COMMANDABLE, f"a command has id, point, value and time, not {shown}")
    return found


def _told_id(document: Mapping[str, Any]) -> str:
    found = document.get("id", "")
    return (
        str(found)[:_MAX_ID]
        if isinstance(found, str | int) and not isinstance(found, bool)
        else json.dumps(found)[:_MAX_ID]
    )


def _name(document: Mapping[str, Any], below: str) -> str:
    found = document.get("point", below)
    return found if isinstance(found, str) else str(found)[:_SHOWN]


def _value(document: Mapping[str, Any]) -> float:
    found = document.get("value")
    if not isinstance(found, bool | int | float):
        raise _Refused(Reason.OUT_OF_RANGE, f"value {str(found)[:_SHOWN]} is no number")
    try:
        return float(found)
    except OverflowError:
        raise _Refused(Reason.OUT_OF_RANGE, "value is no number that can be written") from None


def _time(document: Mapping[str, Any]) -> int | None:
    if "time" not in document:
        return None
    try:
        return sourcetime.to_ns(document["time"], sourcetime.AUTO)
    except ValueError as error:
        raise _Refused(Reason.EXPIRED, str(error)) from None


def check_time(time_ns: int | None, rules: CommandRules, now_ns: int) -> None:
    """Too old, or of a clock that cannot be right. Raises what `late` turns into words."""
    text = late(time_ns, rules, now_ns)
    if text:
        raise _Refused(Reason.EXPIRED, text)


def late(time_ns: int | None, rules: CommandRules, now_ns: int) -> str:
    """Why a command of this time is not carried out; empty when it is."""
    if time_ns is None:
        return "the command has no time: how old it is is not known" if rules.time_required else ""
    age_s = (now_ns - time_ns) / 1e9
    if age_s > rules.max_age_s:
        return f"{age_s:.1f} s old: {rules.max_age_s:g} s at most"
    if age_s < -rules.max_age_s:
        return f"its time is {-age_s:.1f} s ahead of our clock: {rules.max_age_s:g} s at most"
    return ""
