"""A master map's rows, checked one by one, become the columns that the server works with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import numpy as np

from gateway.contracts.masterrow import MasterRow, ordered_columns
from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import MasterRowSource
from gateway.points import Kind, PointCatalogue
from protocols.iec104.bindings import COUNTER_TYPE
from protocols.iec104.elements import BY_NAME, NVA, NVA_BARE, SE_NVA, Tag, TypeRow
from protocols.iec104.plan import BindingColumns, Mode

MAX_CA: Final = 65_534
MAX_IOA: Final = 0xFFFFFF

_POINT_TYPES: Final = {
    spelling: row for name, row in BY_NAME.items() if row.kinds for spelling in (name, name.removesuffix("_1"))
}
"""Types that carry a point, with and without the final ``_1``."""

_MODES: Final = {
    "direct": Mode.DIRECT,
    "select": Mode.SELECT,
    "direct|select": Mode.DIRECT | Mode.SELECT,
    "select|direct": Mode.DIRECT | Mode.SELECT,
}
_NO_SELECT: Final = frozenset({51})
"""Bit string commands have no S/E bit."""
_PERIOD: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h)")
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_MIN_PERIOD_S: Final = 0.1
_PERIODIC: Final = {"cyclic": frozenset({9, 11, 13, 21}), "background": frozenset({1, 3, 5, 7, 9, 11, 13, 21})}
"""Untimed types that the standard sends cyclically and in background scan."""
_CAUSE_WORDS: Final = {"cyclic": "periodic", "background": "background scan"}
_PULSED: Final = frozenset({45, 46, 47})
_PULSES: Final = {"short": 1, "long": 2, "persistent": 3}
_NORMALISED: Final = (NVA, NVA_BARE, SE_NVA)


_Row = MasterRow[TypeRow]


def compile_rows(sources: list[MasterRowSource], catalogue: PointCatalogue, report: Report) -> BindingColumns:
    """Columns ordered by common address, static type and ioa. Every problem goes to `report`, at its row and column."""
    taken: dict[tuple[int, int], MasterRowSource] = {}
    entries: list[tuple[float, ...]] = []
    for source in sources:
        _check_address(source, taken, report)
        type_row = _type(source, report)
        if type_row is None:
            continue
        row = MasterRow.of(source, type_row, catalogue, report)
        for check in _CHECKS:
            check(row)
        entries.append(_entry(row))
    return BindingColumns(**ordered_columns(entries, _COLUMNS, ("ca", "static_type", "ioa")))


def _check_address(source: MasterRowSource, taken: dict[tuple[int, int], MasterRowSource], report: Report) -> None:
    ca, ioa = source.settings.ca, source.settings.ioa
    if not 1 <= ca <= MAX_CA:
        report.error(source.place.at("ca"), f"ca is {ca}: 1 to {MAX_CA} expected")
    if not 1 <= ioa <= MAX_IOA:
        report.error(source.place.at("ioa"), f"ioa is {ioa}: 1 to {MAX_IOA} expected")
    first = taken.setdefault((ca, ioa), source)
    if first is not source:
        report.error(
            source.place.at("ioa"),
            f"{source.settings.point} and {first.settings.point} ({first.place}) are both at ca {ca}, ioa {ioa}",
        )


def _type(source: MasterRowSource, report: Report) -> TypeRow | None:
    text = source.settings.type
    row = _POINT_TYPES.get(text)
    if row is None:
        hint = nearest(text, (name for name in BY_NAME if name in _POINT_TYPES))
        report.error(source.place.at("type"), f"type {text!r} is no type identification of a point{hint}")
    return row


def _check_kind(row: _Row) -> None:
    if row.kind in row.type.kinds:
        return
    fitting = " or ".join(kind.word for kind in sorted(row.type.kinds))
    need = ", ".join(
        sorted(
            other.name
            for other in BY_NAME.values()
            if row.kind in other.kinds and other.id == (other.untimed if other.control else other.timed)
        )
    )
    row.error(
        "type", f"{row.type.name} carries {fitting}; {row.settings.point} is {row.kind.word} (for example {need})"
    )


def _check_range(row: _Row) -> None:
    if row.type.element in _NORMALISED and not row.ranged:
        row.error(
            "type",
            f"{row.type.name} spans the point's range: {row.settings.point} needs low and high in its device map",
        )


def _check_honesty(row: _Row) -> None:
    if row.type.element is NVA_BARE:
        row.warning(
            "type", f"{row.type.name} has no quality: the master cannot see when {row.settings.point} is invalid"
        )
    if row.type.tag is Tag.CP24:
        row.warning(
            "type", f"{row.type.name} carries no hour and is not used in 104: {row.type.name[:4]} with CP56 expected"
        )


def _check_deadband(row: _Row) -> None:
    numbers = (Kind.ANALOG, Kind.COUNTER)
    row.check_deadband("" if row.kind in numbers else f"{row.kind.word}: a deadband is for analog and counter")


def _check_group(row: _Row) -> None:
    group = row.settings.group
    if group is None:
        return
    highest = 4 if row.type.untimed == COUNTER_TYPE else 16
    if row.type.control:
        row.error("group", f"{row.settings.point} is a command: groups are for interrogation")
    elif not 1 <= group <= highest:
        row.error("group", f"group is {group}: 1 to {highest} expected{' for a counter' if highest == 4 else ''}")


def _check_periods(row: _Row) -> None:
    for column in ("cyclic", "background"):
        text = getattr(row.settings, column)
        if text is None:
            continue
        if row.type.control:
            row.error(column, f"{row.settings.point} is a command: it is not sent")
        elif not _period_s(text) >= _MIN_PERIOD_S:
            row.error(column, f"{column} is {text!r}: a period of 100ms or more expected, such as 10s")
        elif row.type.untimed not in _PERIODIC[column]:
            row.warning(column, f"{row.type.name} is not a type for cause {_CAUSE_WORDS[column]} (IEC 60870-5-101 7.3)")


def _check_pulse(row: _Row) -> None:
    pulse = row.settings.pulse
    if pulse is None:
        return
    if row.type.untimed not in _PULSED:
        row.error("pulse", f"{row.type.name} has no pulse: C_SC, C_DC or C_RC expected")
    elif pulse not in _PULSES:
        row.error("pulse", f"pulse is {pulse!r}: short, long or persistent expected{nearest(pulse, _PULSES)}")


def _check_mode(row: _Row) -> None:
    mode = row.settings.mode
    if mode is None:
        return
    if not row.type.control:
        row.error("mode", f"{row.settings.point} is {row.kind.word}: mode is for commands")
    elif mode not in _MODES:
        row.error("mode", f"mode is {mode!r}: direct, select or direct|select expected{nearest(mode, _MODES)}")
    elif row.type.untimed in _NO_SELECT and _MODES[mode] != Mode.DIRECT:
        row.error("mode", f"{row.type.name} cannot be selected: mode direct expected")


_CHECKS: Final[tuple[Callable[[_Row], None], ...]] = (
    _check_kind,
    _check_range,
    _check_honesty,
    _check_deadband,
    _check_group,
    _check_periods,
    _check_mode,
    _check_pulse,
)


def _period_s(text: str | None) -> float:
    match = _PERIOD.fullmatch(text.strip()) if text else None
    return float(match[1]) * _UNIT_S[match[2]] if match else 0.0


def _entry(row: _Row) -> tuple[float, ...]:
    """In the order of `_COLUMNS`; addresses held within their types, for an error was reported already."""
    control = row.type.control
    mode = _MODES.get(row.settings.mode or "direct", Mode.DIRECT) if control else Mode.MONITORED
    return (
        row.source.row,
        min(max(row.settings.ca, 0), MAX_CA),
        min(max(row.settings.ioa, 0), MAX_IOA),
        row.type.id,
        row.type.id if control else row.type.untimed,
        min(max(row.settings.group or 0, 0), 16),
        row.limit,
        _period_s(row.settings.cyclic),
        int(mode),
        _period_s(row.settings.background),
        _PULSES.get(row.settings.pulse or "", 0),
    )


_COLUMNS: Final = (
    ("row", np.uint32),
    ("ca", np.uint16),
    ("ioa", np.uint32),
    ("event_type", np.uint8),
    ("static_type", np.uint8),
    ("group", np.uint8),
    ("limit", np.float64),
    ("cyclic_s", np.float32),
    ("mode", np.uint8),
    ("background_s", np.float32),
    ("pulse", np.uint8),
)
