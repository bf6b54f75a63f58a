"""Paths into a JSON document: ``a.b[0].c``, ``points["poi/power"].value``. Pure.

path  = first { "." word | "[" number "]" | "[" text "]" }        first = word | "[" ... "]"
word  = anything but . [ ] " and blanks                            text  = "..." in double quotes
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

Path = tuple[str | int, ...]

MAX_DOCUMENT: Final = 1 << 18
"""Octets of a payload that is read at all."""

_STEP: Final = re.compile(r'(?:\.|^)([^.\[\]"\s]+)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\]')


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()
"""What a path leads to that leads nowhere."""


def parse_path(text: str) -> Path:
    """The steps of a path. `ValueError` in words."""
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or text[0] == ".":
            raise ValueError(f'at "{text[at : at + 20]}" of path {text}: expected a.b[0].c or a["b/c"]')
        word, number, quoted = step.groups()
        steps.append(word if word is not None else int(number) if number is not None else _unquoted(quoted, text))
        at = step.end()
    return tuple(steps)


def _unquoted(quoted: str, text: str) -> str:
    try:
        return str(json.loads(quoted))
    except ValueError:
        raise ValueError(f"{quoted} in path {text} is no JSON text") from None


def lookup(document: Any, path: Path) -> Any:
    """What stands at `path`, or `MISSING`."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(document, dict) or step not in document:
                return MISSING
        elif not isinstance(document, list) or step >= len(document):
            return MISSING
        document = document[step]
    return document


def read_json(payload: bytes) -> Any:
    """The document in a payload; `ValueError` in words."""
    if len(payload) > MAX_DOCUMENT:
        raise ValueError(f"{len(payload):,} octets are more than the {MAX_DOCUMENT:,} that are read")
    try:
        return json.loads(payload)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        shown = payload[:40].decode("utf-8", "replace")
        raise ValueError(f'"{shown}" is no JSON ({error})') from None
