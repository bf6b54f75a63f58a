"""What a row of a Modbus device map must be. One function per rule; each says where, what, and what was expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.contracts.places import Report
from gateway.contracts.settings import DeviceRowSource

_BIT_KINDS = ("binary", "double", "control")
_LAST_ADDRESS = 65535

Finding = tuple[str, str] | None
"""Column and sentence."""


def _registers(row: Any) -> int:
    return int(row.type[-2:]) // 16 if row.type not in (None, "bit") else 1


def _of_bits(row: Any) -> bool:
    return row.table in ("coil", "discrete")


def _written_to_a_read_only_table(row: Any, device: Any) -> Finding:
    if row.kind in ("setpoint", "control") and row.table in ("input", "discrete"):
        return "table", f"a {row.kind} cannot be written to the {row.table} table; expected coil or holding"
    return None


def _type_missing(row: Any, device: Any) -> Finding:
    if row.type is None and not _of_bits(row) and row.bit is None:
        return "type", f"expected a type for a value of the {row.table} table (int16, uint16, float32, ...)"
    return None


def _number_from_bits(row: Any, device: Any) -> Finding:
    if row.kind in _BIT_KINDS:
        return None
    if _of_bits(row):
        return "table", f"a {row.kind} cannot be carried by the {row.table} table; expected input or holding"
    if row.type == "bit":
        return "type", f"type bit cannot carry kind {row.kind}; expected a number type"
    if row.bit is not None:
        return "bit", f"one bit cannot carry kind {row.kind}; expected an empty cell"
    return None


def _wide_type_for_a_state(row: Any, device: Any) -> Finding:
    if row.kind not in _BIT_KINDS:
        return None
    if _of_bits(row) and row.type not in (None, "bit"):
        return "type", f"the {row.table} table holds bits, not {row.type}; expected bit or an empty cell"
    if _registers(row) > 1:
        return "type", f"type {row.type} cannot carry kind {row.kind}; expected bit, uint16 or int16"
    return None


def _which_bit(row: Any, device: Any) -> Finding:
    if _of_bits(row):
        if row.bit is not None:
            return "bit", f"the {row.table} table is addressed by bit already; expected an empty cell"
        return None
    if row.kind == "double" and row.bit is None:
        return "bit", "a double of a register needs the bit that says open (closed is the next one); expected 0 to 14"
    if row.kind == "double" and row.bit == 15:
        return "bit", "a double takes bit and bit+1 of one register; expected 0 to 14, found 15"
    if row.type == "bit" and row.bit is None:
        return "bit", f"type bit in the {row.table} table needs to say which bit; expected 0 to 15"
    return None


def _scale(row: Any, device: Any) -> Finding:
    if row.scale == 0:
        return "scale", "a scale of 0 makes every value the same; expected another number"
    pair = (1.0 if row.scale is None else row.scale, row.offset or 0.0)
    if row.kind == "double" and pair != (1.0, 0.0):
        return "scale", "a double has no scale or offset; expected empty cells"
    if row.kind in ("binary", "control") and pair not in ((1.0, 0.0), (-1.0, 1.0)):
        return "scale", f"a {row.kind} has no scale or offset; expected empty cells, or -1 and 1 to invert it"
    return None


def _beyond_the_table(row: Any, device: Any) -> Finding:
    width = (2 if row.kind == "double" else 1) if _of_bits(row) else _registers(row)
    if row.address + width - 1 > _LAST_ADDRESS:
        return "address", f"{row.address} and {width - 1} more go beyond the last address, {_LAST_ADDRESS}"
    return None


def _wider_than_a_read(row: Any, device: Any) -> Finding:
    if not _of_bits(row) and _registers(row) > device.max_read_registers:
        return "type", f"{row.type} is wider than max_read_registers ({device.max_read_registers}) of {device.name}"
    if _of_bits(row) and row.kind == "double" and device.max_read_bits < 2:
        return "kind", f"a double is wider than max_read_bits ({device.max_read_bits}) of {device.name}"
    return None


_ERRORS: Final[tuple[Callable[[Any, Any], Finding], ...]] = (
    _written_to_a_read_only_table,
    _type_missing,
    _number_from_bits,
    _wide_type_for_a_state,
    _which_bit,
    _scale,
    _beyond_the_table,
    _wider_than_a_read,
)


def _order_without_meaning(row: Any, device: Any) -> Finding:
    if row.order in (None, "ABCD"):
        return None
    if _of_bits(row):
        return "order", f"the {row.table} table has no byte order; {row.order} is ignored"
    if _registers(row) == 1 and row.order == "CDAB":
        return "order", "a single register has no word order; CDAB is read as ABCD"
    return None


def _inexact_counter(row: Any, device: Any) -> Finding:
    if row.kind == "counter" and row.type == "float32":
        return "type", "a counter in float32 skips counts beyond 16,777,216; expected an integer type"
    return None


def _pulse_of_a_reading(row: Any, device: Any) -> Finding:
    if row.pulse_ms is not None and row.kind != "control":
        return "pulse_ms", f"a {row.kind} is not pulsed; pulse_ms is ignored"
    return None


_WARNINGS: Final = (_order_without_meaning, _inexact_counter, _pulse_of_a_reading)


class RowChecker:
    """Checks the rows of one device, one after another."""

    def __init__(self, report: Report, device: Any) -> None:
        self._report, self._device = report, device
        self._seen: dict[tuple[object, ...], DeviceRowSource] = {}

    def check(self, source: DeviceRowSource) -> bool:
        """Whether the row can be compiled; every problem goes to the report."""
        row = source.settings
        findings = [found for rule in _ERRORS if (found := rule(row, self._device)) is not None]
        for column, sentence in findings:
            self._report.error(source.place.at(column), f"{source.name}: {sentence}")
        for warning in (found for rule in _WARNINGS if (found := rule(row, self._device)) is not None):
            self._report.warning(source.place.at(warning[0]), f"{source.name}: {warning[1]}")
        return not findings and self._alone(source)

    def _alone(self, source: DeviceRowSource) -> bool:
        """Reading and commanding one address are two uses of it; two of a kind are a slip of the pen."""
        row = source.settings
        use = ("command" if row.kind in ("setpoint", "control") else "reading", row.kind == "double")
        key = (row.table, row.address, row.bit, None if _of_bits(row) else row.type, row.order or "ABCD", use)
        first = self._seen.setdefault(key, source)
        if first is source:
            return True
        self._report.error(
            source.place.at("address"),
            f"{source.name} and {first.name} ({first.place}) are both at {row.table} {row.address}"
            f"{'' if row.bit is None else f' bit {row.bit}'}; expected different addresses",
        )
        return False
