"""A device map from what a device says of itself: a row for every point it implements. Pure.

Numbers become analogs (accumulators counters), each named bit a binary, enumerations analogs with their names in the
description. The controls of models 123, 704 and 715 become commands as well, named with `.set`, with the field they
write as their feedback.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from protocols.sunspec.definitions import Definition, PointInfo
from protocols.sunspec.fields import companions
from protocols.sunspec.model import HEADER, NUMBERS, Group, Path, Shape, Step, count_points
from protocols.sunspec.survey import Found, Survey

COLUMNS: Final = (
    *("point", "kind", "model", "instance", "field", "unit", "low", "high"),
    *("scan_ms", "feedback", "enable", "revert_s", "description"),
)
COMMANDED: Final = (123, 704, 715)
"""Models whose writable fields become commands."""

_UNITS: Final = {"Pct": "%", "Secs": "s", "Var": "var", "C": "degC", "VNomPct": "%", "HzNomPct": "%"}
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9_.\[\]-]+")
_HEADER: Final = ("ID", "L")

Implemented = Callable[[Found, Path], bool]
"""Whether the device has a value there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One point on a device: which model, where in it, and what the definition says."""

    found: Found
    path: Path
    info: PointInfo


def entries(survey: Survey, definitions: Mapping[int, Definition]) -> Iterator[Entry]:
    """Every point of every model whose layout is known, as the device has it."""
    for found in survey.models:
        shape = survey.shapes.get((found.id, found.instance))
        if shape is not None:
            yield from _points(found, shape, definitions[found.id], shape.model, (), "")


def _points(
    found: Found, shape: Shape, words: Definition, group: Group, steps: tuple[Step, ...], above: str
) -> Iterator[Entry]:
    for point in group.points:
        if not (steps or point.name not in _HEADER) or point.type == "pad":
            continue
        yield Entry(found, Path(steps, point.name), words.points[f"{above}{point.name}"])
    for inner in group.groups:
        for number in range(shape.repeats(inner)):
            step: Step = (inner.name, None if inner.count is None else number)
            yield from _points(found, shape, words, inner, (*steps, step), f"{above}{inner.name}.")


def rows(survey: Survey, definitions: Mapping[int, Definition], implemented: Implemented) -> Iterator[dict[str, str]]:
    """Rows of the map by column, in the order of the device's registers."""
    for entry in entries(survey, definitions):
        kind = entry.info.point.type
        if kind in NUMBERS and kind != "sunssf" and implemented(entry.found, entry.path):
            yield from _rows(entry)


def _rows(entry: Entry) -> Iterator[dict[str, str]]:
    info, found = entry.info, entry.found
    base = {
        "point": _name(entry, ""),
        "model": str(found.id),
        "instance": str(found.instance) if found.instance > 1 else "",
        "field": str(entry.path),
    }
    title = info.label or info.description or info.point.name
    if info.point.type.startswith("bitfield"):
        for symbol, bit in info.symbols.items():
            field = f"{entry.path}.{bit}"
            name = _name(entry, f".{symbol}")
            yield base | {"point": name, "kind": "binary", "field": field, "description": f"{title}: {symbol}"}
        return
    states = ", ".join(f"{number} {symbol}" for symbol, number in info.symbols.items())
    measured = base | {
        "kind": "counter" if info.point.type.startswith("acc") else "analog",
        "unit": _unit(info),
        "description": f"{title}: {states}" if states else title,
    }
    yield measured
    if info.writable and found.id in COMMANDED:
        yield _command(entry, measured)


def _command(entry: Entry, measured: dict[str, str]) -> dict[str, str]:
    info = entry.info
    _, flag = companions(entry.found.id, entry.path)
    switch = set(info.symbols.values()) == {0, 1}
    percent = measured["unit"].startswith("%") and not switch
    return measured | {
        "point": _name(entry, ".set"),
        "kind": "control" if switch or entry.path.point == "AlarmReset" else "setpoint",
        "low": ("-100" if info.point.type.startswith("int") else "0") if percent else "",
        "high": "100" if percent else "",
        "feedback": "" if entry.path.point == "AlarmReset" else measured["point"],
        "enable": "true" if flag else "",
    }


def _name(entry: Entry, behind: str) -> str:
    number = f"_{entry.found.instance}" if entry.found.instance > 1 else ""
    return f"m{entry.found.id}{number}/" + _NOT_NAME.sub("_", f"{entry.path}{behind}")


def _unit(info: PointInfo) -> str:
    return _UNITS.get(info.unit, info.unit)


def imagined(definitions: Mapping[int, Definition], often: int) -> Survey:
    """A device that has these models and everything in them, each group that repeats so often."""
    survey = Survey(0, [])
    for number, made in definitions.items():
        length = _length(made.group, often) - HEADER
        survey.models.append(Found(number, 1, 0, length))
        survey.shapes[number, 1] = Shape(made.group, length, dict.fromkeys(count_points(made.group), often))
    return survey


def _length(group: Group, often: int) -> int:
    """Registers of a group; one that repeats a fixed number of times does so."""
    inner = 0
    for each in group.groups:
        count = 1 if each.count is None else often if isinstance(each.count, str) or not each.count else each.count
        inner += _length(each, often) * count
    return group.own_size + inner


def csv_text(found: Iterator[dict[str, str]]) -> str:
    """The map as a file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return out.getvalue()
