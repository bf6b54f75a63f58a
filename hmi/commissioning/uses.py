"""What in the gateway acts on a point by itself: a test value there is acted upon. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.points.calculated import CalculatedPoint
from gateway.points.model import PointCatalogue

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\[\]*-]*(?:/[A-Za-z0-9_.\[\]*-]+)*")


def acting(
    catalogue: PointCatalogue, settings: Mapping[str, Any], calculated: list[CalculatedPoint]
) -> dict[str, set[str]]:
    """Sections of `control:` in which each point is named, directly or through calculated points.

    `settings`: those of control by section, as for its attestation.
    """
    found: dict[str, set[str]] = {}
    for section, entries in settings.items():
        for entry, value in entries.items() if isinstance(entries, Mapping) else ():
            for text in _texts(value):
                for name in _NAME.findall(text):
                    if name in catalogue.rows:
                        found.setdefault(name, set()).add(f"{section} {entry}")
    for point in reversed(calculated):
        uses = found.get(catalogue.names[point.row])
        if uses:
            for row in point.expression.inputs.tolist():
                found.setdefault(catalogue.names[row], set()).update(uses)
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
