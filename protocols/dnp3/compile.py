"""A master map's rows, checked one by one, become the columns that the server works with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.contracts.masterrow import MasterRow, ordered_columns
from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import MasterRowSource
from gateway.points import Kind, PointCatalogue
from protocols.dnp3.objects import OBJECTS
from protocols.dnp3.plan import BindingColumns, Controls, Mode
from protocols.dnp3.pointtypes import FROZEN_OF, TYPES, PointType, TypeRow

MAX_INDEX: Final = 65_535

_TYPES: Final = {row.type.name: row for row in TYPES.values()}
_MODES: Final = {
    "direct": Mode.DIRECT,
    "select": Mode.SELECT,
    "direct|select": Mode.DIRECT | Mode.SELECT,
    "select|direct": Mode.DIRECT | Mode.SELECT,
}
_CONTROLS: Final = {"latch": Controls.LATCH, "pulse": Controls.PULSE, "trip_close": Controls.TRIP_CLOSE}
_ALL_CONTROLS: Final = Controls.LATCH | Controls.PULSE | Controls.TRIP_CLOSE
_KEEP: Final = ("sequence", "newest")
_VARIATION: Final = re.compile(r"g(\d{1,3})v(\d{1,3})")


_Row = MasterRow[TypeRow]


def compile_rows(sources: list[MasterRowSource], catalogue: PointCatalogue, report: Report) -> BindingColumns:
    """Columns ordered by type and index. Every problem goes to `report`, at its row and column."""
    taken: dict[tuple[PointType, int], MasterRowSource] = {}
    entries: list[tuple[float, ...]] = []
    for source in sources:
        type_row = _type(source, report)
        if type_row is None:
            continue
        _check_index(source, type_row, taken, report)
        row = MasterRow.of(source, type_row, catalogue, report)
        for check in _CHECKS:
            check(row)
        entries.append(_entry(row))
    _check_frozen(taken, report)
    return BindingColumns(**ordered_columns(entries, _COLUMNS, ("type", "index")))


def _type(source: MasterRowSource, report: Report) -> TypeRow | None:
    text = source.settings.type
    row = _TYPES.get(text)
    if row is None:
        known = ", ".join(_TYPES)
        report.error(source.place.at("type"), f"type {text!r} is none of DNP3{nearest(text, _TYPES)}: {known} expected")
    return row


def _check_index(
    source: MasterRowSource, row: TypeRow, taken: dict[tuple[PointType, int], MasterRowSource], report: Report
) -> None:
    index = source.settings.index
    if not 0 <= index <= MAX_INDEX:
        report.error(source.place.at("index"), f"index is {index}: 0 to {MAX_INDEX} expected")
    first = taken.setdefault((row.type, index), source)
    if first is not source:
        report.error(
            source.place.at("index"),
            f"{source.settings.point} and {first.settings.point} ({first.place}) are both {row.type.name} {index}",
        )


def _check_frozen(taken: dict[tuple[PointType, int], MasterRowSource], report: Report) -> None:
    """A frozen point has the index of the running one: both must be the same point."""
    for running, frozen in FROZEN_OF.items():
        for (type_, index), source in taken.items():
            other = taken.get((running, index)) if type_ is frozen else None
            if other is not None and other.row != source.row:
                report.error(
                    source.place.at("point"),
                    f"{frozen.name} {index} is {source.settings.point}, but {running.name} {index} is"
                    f" {other.settings.point} ({other.place}): a freeze copies one to the other",
                )


def _check_kind(row: _Row) -> None:
    if row.kind in row.type.kinds:
        return
    fitting = " or ".join(kind.word for kind in sorted(row.type.kinds))
    need = ", ".join(other.type.name for other in TYPES.values() if row.kind in other.kinds)
    row.error(
        "type", f"{row.type.type.name} carries {fitting}; {row.settings.point} is {row.kind.word} (for example {need})"
    )


def _check_class(row: _Row) -> None:
    number = row.settings.event_class
    if number is not None and not 0 <= number <= 3:
        row.error("class", f"class is {number}: 0 (no events) to 3 expected")
    if not number and (row.settings.event or row.settings.deadband is not None):
        row.warning("class", f"{row.settings.point} has no class of events: event and deadband have no effect")


def _variation(row: _Row, column: str, group: int, default: int) -> int:
    """The variation in a column, of one group; the default when the cell is empty or wrong (which is reported)."""
    text = getattr(row.settings, column)
    if text is None:
        return default
    match = _VARIATION.fullmatch(text)
    known = sorted(number for known_group, number in OBJECTS if known_group == group and number)
    if match and int(match[1]) == group and int(match[2]) in known:
        return int(match[2])
    words = ", ".join(f"g{group}v{number}" for number in known)
    row.error(column, f"{column} is {text!r}: {row.type.type.name} is carried by {words}")
    return default


def _check_deadband(row: _Row) -> None:
    row.check_deadband("" if row.type.deadband else f"a {row.type.words}: a deadband is for AI, CTR and AO")


def _check_scale(row: _Row) -> None:
    scale, offset = row.settings.scale, row.settings.offset
    if scale is not None and (scale == 0 or not math.isfinite(scale)):
        row.error("scale", f"scale is {scale:g}: a number other than 0 expected")
    if (scale is not None or offset is not None) and row.kind in (Kind.BINARY, Kind.DOUBLE, Kind.CONTROL):
        row.error("scale", f"{row.settings.point} is {row.kind.word}: scale and offset are for numbers")


def _check_mode(row: _Row) -> None:
    mode = row.settings.mode
    if mode is None:
        return
    if not row.type.commanded:
        row.error("mode", f"{row.type.type.name} is not commanded: mode is for BO and AO")
    elif mode not in _MODES:
        row.error("mode", f"mode is {mode!r}: direct, select or direct|select expected{nearest(mode, _MODES)}")


def _check_control(row: _Row) -> None:
    text = row.settings.control
    if text is None:
        return
    if row.type.type is not PointType.BO:
        row.error("control", f"{row.type.type.name} takes no CROB: control is for BO")
    for word in text.split("|"):
        if word not in _CONTROLS:
            known = "|".join(_CONTROLS)
            row.error("control", f"control {word!r} is none of {known}{nearest(word, _CONTROLS)}")


def _check_events(row: _Row) -> None:
    keep = row.settings.events
    if keep is not None and keep not in _KEEP:
        row.error("events", f"events is {keep!r}: sequence or newest expected{nearest(keep, _KEEP)}")


def _check_command_event(row: _Row) -> None:
    if row.settings.command_event is not None and not row.type.commanded:
        row.error("command_event", f"{row.type.type.name} is not commanded: command_event is for BO and AO")


_CHECKS: Final[tuple[Callable[[_Row], None], ...]] = (
    _check_kind,
    _check_class,
    _check_deadband,
    _check_scale,
    _check_mode,
    _check_control,
    _check_events,
    _check_command_event,
)


def _controls(text: str | None) -> int:
    if text is None:
        return int(_ALL_CONTROLS)
    return sum({int(_CONTROLS[word]) for word in text.split("|") if word in _CONTROLS})


def _entry(row: _Row) -> tuple[float, ...]:
    """In the order of `_COLUMNS`; held within their types, for an error was reported already."""
    settings, known = row.settings, row.type
    mode = _MODES.get(settings.mode or "direct", Mode.DIRECT) if known.commanded else Mode.MONITORED
    told = _variation(row, "command_event", known.command_event, 0) if known.commanded else 0
    return (
        row.source.row,
        known.type,
        min(max(settings.index, 0), MAX_INDEX),
        min(max(settings.event_class or 0, 0), 3),
        settings.class0 is not False,
        _variation(row, "static", known.static_group, known.static),
        _variation(row, "event", known.event_group, known.event),
        told,
        row.limit,
        settings.events == "newest",
        int(mode),
        _controls(settings.control) if known.type is PointType.BO else 0,
        settings.scale or 1.0,
        settings.offset or 0.0,
    )


_COLUMNS: Final = (
    ("row", np.uint32),
    ("type", np.uint8),
    ("index", np.uint16),
    ("event_class", np.uint8),
    ("class_0", np.bool_),
    ("static_var", np.uint8),
    ("event_var", np.uint8),
    ("command_event_var", np.uint8),
    ("limit", np.float64),
    ("newest_only", np.bool_),
    ("mode", np.uint8),
    ("controls", np.uint8),
    ("scale", np.float64),
    ("offset", np.float64),
)
