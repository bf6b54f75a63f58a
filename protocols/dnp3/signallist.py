"""The signal list of one master: every binding as a row of cells, for a sheet or a page. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.contracts.documents import Cell
from gateway.points import NO_ROW, Point, PointCatalogue
from protocols.dnp3.plan import BindingColumns, Controls, MasterPlan, Mode
from protocols.dnp3.pointtypes import TYPES, PointType, TypeRow


@dataclass(frozen=True, slots=True)
class Signal:
    """One binding with its point, as the columns of the list see it."""

    point: Point
    feedback: str
    type: TypeRow
    columns: BindingColumns
    at: int

    def number(self, column: str) -> float:
        """The binding's entry in a column of the plan."""
        return float(getattr(self.columns, column)[self.at])

    def integer(self, column: str) -> int:
        return int(getattr(self.columns, column)[self.at])


def _present(value: float) -> Cell:
    return None if math.isnan(value) else value


def _static(signal: Signal) -> Cell:
    return f"g{signal.type.static_group}v{signal.integer('static_var')}"


def _event(signal: Signal) -> Cell:
    return f"g{signal.type.event_group}v{signal.integer('event_var')}" if signal.integer("event_class") else None


def _command_event(signal: Signal) -> Cell:
    variation = signal.integer("command_event_var")
    return f"g{signal.type.command_event}v{variation}" if variation else None


def _kept(signal: Signal) -> Cell:
    if not signal.integer("event_class"):
        return None
    return "newest" if signal.integer("newest_only") else "sequence"


def _names(flags: Mode | Controls, all_of: type[Mode] | type[Controls]) -> Cell:
    found = [(flag.name or "").lower().replace("_", "/") for flag in all_of if flag and flag in flags]
    return " or ".join(found) or None


def _mode(signal: Signal) -> Cell:
    return _names(Mode(signal.integer("mode")), Mode)


def _controls(signal: Signal) -> Cell:
    return _names(Controls(signal.integer("controls")), Controls) if signal.integer("mode") else None


COLUMNS: Final[tuple[tuple[str, int, Callable[[Signal], Cell]], ...]] = (
    ("point", 40, lambda signal: signal.point.name),
    ("description", 40, lambda signal: signal.point.description or None),
    ("unit", 8, lambda signal: signal.point.unit or None),
    ("type", 8, lambda signal: signal.type.type.name),
    ("index", 8, lambda signal: signal.integer("index")),
    ("class", 8, lambda signal: signal.integer("event_class")),
    ("class 0", 8, lambda signal: "yes" if signal.integer("class_0") else "no"),
    ("static", 10, _static),
    ("event", 10, _event),
    ("command event", 14, _command_event),
    ("events kept", 12, _kept),
    ("deadband", 12, lambda signal: _present(signal.number("limit"))),
    ("low", 12, lambda signal: _present(signal.point.low)),
    ("high", 12, lambda signal: _present(signal.point.high)),
    ("scale", 10, lambda signal: signal.number("scale")),
    ("offset", 10, lambda signal: signal.number("offset")),
    ("command mode", 16, _mode),
    ("controls", 26, _controls),
    ("feedback", 40, lambda signal: signal.feedback or None),
    ("device", 16, lambda signal: signal.point.device or None),
)
"""Heading, width in characters, and what stands there."""


def signals(master: MasterPlan, catalogue: PointCatalogue) -> Iterator[list[Cell]]:
    """Rows in the order of the plan: by type and index."""
    columns = master.bindings
    for at in range(len(columns)):
        point = catalogue.point(int(columns.row[at]))
        feedback = catalogue.names[point.feedback] if point.feedback != NO_ROW else ""
        signal = Signal(point, feedback, TYPES[PointType(int(columns.type[at]))], columns, at)
        yield [cell(signal) for _, _, cell in COLUMNS]
