"""The signal list of one master: every binding as a row of cells, for a sheet or a page. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.contracts.documents import Cell
from gateway.points import NO_ROW, Point, PointCatalogue
from protocols.iec104.elements import TYPES
from protocols.iec104.plan import BindingColumns, MasterPlan, Mode


@dataclass(frozen=True, slots=True)
class Signal:
    """One binding with its point, as the columns of the list see it."""

    point: Point
    feedback: str
    columns: BindingColumns
    at: int

    def number(self, column: str) -> float:
        """The binding's entry in a column of the plan."""
        return float(getattr(self.columns, column)[self.at])

    def integer(self, column: str) -> int:
        return int(getattr(self.columns, column)[self.at])

    @property
    def mode(self) -> Mode:
        return Mode(self.integer("mode"))


def _octets(signal: Signal) -> Cell:
    """High octet first, as operators write structured addresses."""
    ioa = signal.integer("ioa")
    return f"{ioa >> 16}.{ioa >> 8 & 0xFF}.{ioa & 0xFF}"


def _event_type(signal: Signal) -> Cell:
    return TYPES[signal.integer("event_type")].name


def _static_type(signal: Signal) -> Cell:
    return None if signal.mode else TYPES[signal.integer("static_type")].name


def _present(value: float) -> Cell:
    return None if math.isnan(value) else value


def _scale(signal: Signal) -> Cell:
    """What the number on the wire means."""
    names = {name for name, _ in TYPES[signal.integer("event_type")].element.fields}
    unit = f" {signal.point.unit}" if signal.point.unit else ""
    if "nva" in names:
        return f"-32768 = {signal.point.low:g}{unit}, 32767 = {signal.point.high:g}{unit}"
    if names & {"sva", "r32", "bcr", "vti"}:
        return f"1 = 1{unit}"
    return None


def _mode(signal: Signal) -> Cell:
    names = [mode.name.lower() for mode in (Mode.DIRECT, Mode.SELECT) if mode in signal.mode and mode.name]
    return " or ".join(names) or None


def _group(signal: Signal) -> Cell:
    return signal.integer("group") or None


def _cyclic(signal: Signal) -> Cell:
    return signal.number("cyclic_s") or None


COLUMNS: Final[tuple[tuple[str, int, Callable[[Signal], Cell]], ...]] = (
    ("point", 40, lambda signal: signal.point.name),
    ("description", 40, lambda signal: signal.point.description or None),
    ("unit", 8, lambda signal: signal.point.unit or None),
    ("kind", 10, lambda signal: signal.point.kind.word),
    ("ca", 8, lambda signal: signal.integer("ca")),
    ("ioa", 10, lambda signal: signal.integer("ioa")),
    ("ioa octets", 12, _octets),
    ("event or command type", 22, _event_type),
    ("interrogated type", 18, _static_type),
    ("group", 8, _group),
    ("cyclic s", 10, _cyclic),
    ("deadband", 12, lambda signal: _present(signal.number("limit"))),
    ("low", 12, lambda signal: _present(signal.point.low)),
    ("high", 12, lambda signal: _present(signal.point.high)),
    ("scale", 34, _scale),
    ("command mode", 16, _mode),
    ("feedback", 40, lambda signal: signal.feedback or None),
    ("device", 16, lambda signal: signal.point.device or None),
)
"""Heading, width in characters, and what stands there."""


def signals(master: MasterPlan, catalogue: PointCatalogue) -> Iterator[list[Cell]]:
    """Rows in the order of the plan: by common address, type and ioa."""
    columns = master.bindings
    for at in range(len(columns)):
        point = catalogue.point(int(columns.row[at]))
        feedback = catalogue.names[point.feedback] if point.feedback != NO_ROW else ""
        signal = Signal(point, feedback, columns, at)
        yield [cell(signal) for _, _, cell in COLUMNS]
