"""Rows of an RTU's device map, checked one by one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import DeviceRowSource
from gateway.points import KIND_BY_WORD, Kind
from protocols.iec104.elements import TYPES, TypeRow
from protocols.iec104.field.orders import NO_SELECT, ORDER_TYPES, SWITCHES
from protocols.iec104.field.types import BITS, FAMILY, KINDS, MONITORED, NORMALISED

MAX_CA: Final = 65_534
MAX_IOA: Final = 0xFFFFFF
_PULSES: Final = {"short": 1, "long": 2, "persistent": 3}
_MODES: Final = ("direct", "select")
_ENDS: Final = ("confirmation", "termination")
_TYPES: Final = {
    spelling: row
    for row in (*MONITORED.values(), *(TYPES[number] for number in sorted(ORDER_TYPES)))
    for spelling in (row.name, row.name.removesuffix("_1"))
}
"""Types that carry a point, with and without the final ``_1``."""


@dataclass(slots=True)
class Checked:
    """One row that is right. `family` is 0 for a command."""

    source: DeviceRowSource
    type_id: int
    family: int
    key: int
    bit: int
    pulse: int
    scale: float
    offset: float
    low: float
    high: float

    @property
    def commanded(self) -> bool:
        return self.family == 0


@dataclass(slots=True)
class _Row:
    """One row while it is checked."""

    source: DeviceRowSource
    type: TypeRow
    report: Report
    good: bool = True

    @property
    def settings(self) -> Any:
        return self.source.settings

    @property
    def kind(self) -> Kind:
        return KIND_BY_WORD[self.settings.kind]

    @property
    def family(self) -> int:
        return FAMILY.get(self.type.id, 0)

    @property
    def normalised(self) -> bool:
        return self.family == NORMALISED or self.type.untimed == 48

    def error(self, column: str, message: str) -> None:
        self.good = False
        self.report.error(self.source.place.at(column), f"{self.source.name}: {message}")


def check_rows(sources: list[DeviceRowSource], report: Report) -> list[Checked]:
    """Rows without a fault, in order. Every problem goes to `report`, at its row and column."""
    taken: dict[tuple[bool, int, int], DeviceRowSource] = {}
    checked = []
    for source in sources:
        type_row = _type(source, report)
        if type_row is None:
            continue
        row = _Row(source, type_row, report)
        for check in _CHECKS:
            check(row)
        _check_place(row, taken)
        if row.good:
            checked.append(_made(row))
    return checked


def _type(source: DeviceRowSource, report: Report) -> TypeRow | None:
    text = source.settings.type
    row = _TYPES.get(text)
    if row is None:
        hint = nearest(text, _TYPES)
        place = source.place.at("type")
        report.error(place, f"{source.name}: type {text!r} is no type identification of a point{hint}")
    return row


def _check_address(row: _Row) -> None:
    for column, highest in (("ca", MAX_CA), ("ioa", MAX_IOA)):
        value = getattr(row.settings, column)
        if not 1 <= value <= highest:
            row.error(column, f"{column} is {value}: 1 to {highest} expected")


def _check_kind(row: _Row) -> None:
    if row.settings.bit is not None:
        if row.kind is not Kind.BINARY:
            row.error("kind", f"one bit of {row.type.name} is a binary, not {row.kind.word}")
        return
    fitting = KINDS[row.family] if row.family else tuple(row.type.kinds)
    if row.kind not in fitting:
        words = " or ".join(kind.word for kind in fitting)
        bits = " (or binary, with bit)" if BITS.get(row.family) else ""
        row.error("type", f"{row.type.name} carries {words}{bits}; the point is {row.kind.word}")


def _check_bit(row: _Row) -> None:
    bit, bits = row.settings.bit, BITS.get(row.family, 0)
    if bit is None:
        return
    if not bits:
        row.error("bit", f"{row.type.name} has no bits that are points of their own; an empty cell expected")
    elif not 0 <= bit < bits:
        row.error("bit", f"bit is {bit}: 0 to {bits - 1} expected")


def _check_scale(row: _Row) -> None:
    scale, offset = row.settings.scale, row.settings.offset
    pair = (1.0 if scale is None else scale, offset or 0.0)
    if row.kind in (Kind.ANALOG, Kind.COUNTER, Kind.SETPOINT):
        if pair[0] == 0.0:
            row.error("scale", "scale is 0: every value would be the same")
        if row.normalised and pair != (1.0, 0.0):
            row.error("scale", f"{row.type.name} spans low to high of the point; empty cells expected here")
    elif pair != (1.0, 0.0) and not (row.kind is Kind.BINARY and pair == (-1.0, 1.0)):
        row.error("scale", f"a {row.kind.word} has no scale; expected empty cells (-1 and 1 invert a binary)")


def _check_range(row: _Row) -> None:
    low, high = row.settings.low, row.settings.high
    if row.normalised and (low is None or high is None or not low < high):
        row.error("low", f"{row.type.name} spans the point's range: low and high are needed")


def _check_order(row: _Row) -> None:
    settings, untimed = row.settings, row.type.untimed
    columns = (("mode", _MODES), ("end", _ENDS), ("pulse", tuple(_PULSES)))
    for column, words in columns:
        word = getattr(settings, column)
        if word is None:
            continue
        if not row.kind.commanded:
            row.error(column, f"{column} is for commands; the point is {row.kind.word}")
        elif word not in words:
            row.error(column, f"{column} is {word!r}{nearest(word, words)}: {' or '.join(words)} expected")
    if settings.mode == "select" and untimed in NO_SELECT:
        row.error("mode", f"{row.type.name} cannot be selected; direct expected")
    if settings.pulse is not None and row.kind.commanded and untimed not in SWITCHES:
        row.error("pulse", f"{row.type.name} has no pulses; an empty cell expected")


_CHECKS: Final[tuple[Callable[[_Row], None], ...]] = (
    _check_address,
    _check_kind,
    _check_bit,
    _check_scale,
    _check_range,
    _check_order,
)


def _check_place(row: _Row, taken: dict[tuple[bool, int, int], DeviceRowSource]) -> None:
    """One point per address and bit; one address has one type."""
    settings = row.settings
    key = (row.kind.commanded, settings.ca << 24 | settings.ioa, -1 if settings.bit is None else settings.bit)
    first = taken.setdefault(key, row.source)
    if first is not row.source:
        row.error("ioa", f"ca {settings.ca}, ioa {settings.ioa} is {first.name} already ({first.place})")


def _made(row: _Row) -> Checked:
    settings = row.settings
    return Checked(
        source=row.source,
        type_id=row.type.id,
        family=row.family,
        key=settings.ca << 24 | settings.ioa,
        bit=-1 if settings.bit is None else settings.bit,
        pulse=_PULSES.get(settings.pulse or "", 0),
        scale=1.0 if settings.scale is None else settings.scale,
        offset=settings.offset or 0.0,
        low=math.nan if settings.low is None else settings.low,
        high=math.nan if settings.high is None else settings.high,
    )
