"""Model definitions from the JSON files that pysunspec2 brings along. Read while a site is checked or scanned only.

The package itself is not imported: its folder is found, its data read. A running driver has what it needs in its plan.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from protocols.sunspec.model import Group, Point

_PACKAGE: Final = "sunspec2"


class NoDefinitions(LookupError):
    """The package with the definitions is not installed."""


@dataclass(frozen=True, slots=True)
class PointInfo:
    """What a definition says of a point for people. `symbols`: name to number (enumerations) or bit."""

    point: Point
    label: str = ""
    description: str = ""
    unit: str = ""
    writable: bool = False
    symbols: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Definition:
    """One model: its layout, its title, and the words of its points by path without indices (``Crv.Pt.V``)."""

    id: int
    title: str
    group: Group
    points: dict[str, PointInfo]


@cache
def folder() -> Path:
    """Where the definitions are; raises `NoDefinitions`."""
    found = importlib.util.find_spec(_PACKAGE)
    for place in (found.submodule_search_locations or []) if found is not None else []:
        at = Path(place) / "models" / "json"
        if at.is_dir():
            return at
    raise NoDefinitions("the SunSpec model definitions are not installed (package pysunspec2)")


@cache
def definition(model: int) -> Definition | None:
    """The definition of a model; None when there is none. Raises `NoDefinitions`."""
    try:
        content = json.loads((folder() / f"model_{int(model)}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    points: dict[str, PointInfo] = {}
    group = _group(content["group"], "", points)
    return Definition(model, content["group"].get("label") or group.name, group, points)


@cache
def known_models() -> tuple[int, ...]:
    """Identifiers of all models with a definition, in order."""
    numbers = (path.stem.removeprefix("model_") for path in folder().glob("model_*.json"))
    return tuple(sorted(int(number) for number in numbers if number.isdigit()))


def _group(content: dict[str, Any], above: str, points: dict[str, PointInfo]) -> Group:
    made = []
    for each in content.get("points", []):
        info = _point(each)
        points[f"{above}{info.point.name}"] = info
        made.append(info.point)
    inner = tuple(_group(each, f"{above}{each['name']}.", points) for each in content.get("groups", []))
    count = content.get("count")
    if isinstance(count, str) and count.isdigit():
        count = int(count)
    return Group(content["name"], tuple(made), inner, count)


def _point(content: dict[str, Any]) -> PointInfo:
    scale = content.get("sf", 0)
    return PointInfo(
        point=Point(content["name"], content["type"], int(content["size"]) * int(content.get("count", 1)), scale),
        label=content.get("label", ""),
        description=content.get("desc", ""),
        unit=content.get("units", ""),
        writable=content.get("access") == "RW",
        symbols={symbol["name"]: int(symbol["value"]) for symbol in content.get("symbols", [])},
    )
