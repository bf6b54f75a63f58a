"""A command as it goes out to a device, and what comes back of it. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from protocols.mqtt.fieldplan import CommandPlan, ReplyPlan
from protocols.mqtt.jsonpath import MISSING, lookup, read_json
from protocols.mqtt.reading import word_of
from protocols.mqtt.timetext import iso_ms

DEFAULT_TEMPLATE: Final = '{"id":"{id}","value":{value},"time":"{time}"}'
PLACEHOLDERS: Final = ("value", "id", "time", "time_ms", "point")
_PLACE: Final = re.compile(r"\{([a-z_]+)\}")
_SHOWN: Final = 200


def unknown_placeholders(template: str) -> list[str]:
    """Words in braces that are none of `PLACEHOLDERS`."""
    return [name for name in _PLACE.findall(template) if name not in PLACEHOLDERS]


def raw_value(plan: CommandPlan, value: float) -> float:
    """The value that is sent for an engineering value."""
    return value if plan.control else (value - plan.offset) / plan.scale


def render(plan: CommandPlan, value: float, command_id: str, now_ns: int) -> bytes:
    """The payload of a command."""
    words = {
        "value": literal(plan, value),
        "id": command_id,
        "time": iso_ms(now_ns),
        "time_ms": str(now_ns // 1_000_000),
        "point": plan.name,
    }
    return _PLACE.sub(lambda match: words.get(match[1], match[0]), plan.template).encode()


def literal(plan: CommandPlan, value: float) -> str:
    """The value as JSON: a word where the map has one, a whole number without a point."""
    if plan.words is not None:
        return plan.words[0 if value else 1]
    raw = raw_value(plan, value)
    return str(int(raw)) if raw.is_integer() and abs(raw) < 1e15 else repr(raw)


def as_literal(word: str) -> str:
    """A word of the map as JSON: true, false, null and numbers as they are, all else as text."""
    try:
        found = json.loads(word)
    except ValueError:
        return json.dumps(word)
    return word if not isinstance(found, dict | list) else json.dumps(word)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a reply says: done, or failed; `text` is the payload for a person."""

    id: str
    done: bool
    text: str


def read_reply(plan: ReplyPlan, payload: bytes) -> Reply | None:
    """The final word on a command; None when it is none, or not of a command. Never raises."""
    try:
        document = read_json(payload)
    except ValueError:
        return None
    command_id = lookup(document, plan.id)
    if not isinstance(command_id, str | int) or isinstance(command_id, bool):
        return None
    text = payload[:_SHOWN].decode("utf-8", "replace")
    found = lookup(document, plan.path)
    word = "" if found is MISSING else word_of(found)
    if word in plan.failed:
        return Reply(str(command_id), False, text)
    return Reply(str(command_id), True, text) if not plan.done or word in plan.done else None
