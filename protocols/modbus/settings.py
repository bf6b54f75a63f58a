"""The keys and columns of Modbus devices, and their compilation to one plan per line. Imported only while checking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import Cell, DeviceRow, DeviceRowSource, DeviceSettings, DeviceSource
from protocols.modbus.checks import RowChecker
from protocols.modbus.plan import (
    ORDERS,
    WIRE_INDEX,
    Bindings,
    Form,
    Limits,
    LinePlan,
    Table,
    UnitPlan,
    Url,
)
from protocols.modbus.url import parse_url


def _checked_url(text: str) -> str:
    parse_url(text)
    return text


def _address(value: object) -> object:
    """Decimal or 0x hexadecimal, as text from a spreadsheet."""
    if not isinstance(value, str):
        return value
    text = value.strip().lower()
    try:
        return int(text, 16) if text.startswith("0x") else int(text)
    except ValueError:
        raise ValueError(f"expected an address, decimal (4101) or hexadecimal (0x1005), found {value!r}") from None


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


class LineDevice(DeviceSettings):
    """Keys of any device on a Modbus line; what is built on Modbus has them too."""

    url: Annotated[str, AfterValidator(_checked_url)]
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    scan_ms: Annotated[int, Field(ge=10)] = 1000
    timeout_ms: Annotated[int, Field(ge=10)] = 1000
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    reconnect_max_s: Annotated[float, Field(ge=0.2)] = 3.0
    pause_ms: Annotated[float, Field(ge=0)] = 0
    max_gap_registers: Annotated[int, Field(ge=0, le=124)] = 10
    max_read_registers: Annotated[int, Field(ge=1, le=125)] = 125


class ModbusDevice(LineDevice):
    """Keys of a device with `driver: modbus`."""

    max_read_bits: Annotated[int, Field(ge=1, le=2000)] = 2000
    bit_write: Literal["mask", "read-modify-write"] = "mask"


class ModbusRow(DeviceRow):
    """Columns of a Modbus device map."""

    table: Annotated[Literal["coil", "discrete", "input", "holding"], BeforeValidator(_lower)]
    address: Annotated[int, BeforeValidator(_address), Field(ge=0, le=65535)]
    type: Annotated[
        Literal["bit", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"] | None,
        Cell,
        BeforeValidator(_lower),
    ] = None
    order: Annotated[Literal["ABCD", "CDAB", "BADC", "DCBA"] | None, Cell, BeforeValidator(_upper)] = None
    bit: Annotated[Annotated[int, Field(ge=0, le=15)] | None, Cell] = None
    scan_ms: Annotated[Annotated[int, Field(ge=10)] | None, Cell] = None
    pulse_ms: Annotated[Annotated[int, Field(ge=1, le=60000)] | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often this row is read, in s."""
        return float(self.scan_ms or device.scan_ms) / 1000

    def where(self) -> str:
        """As `Bindings.where` has it."""
        return f"{self.table} {self.address}" + ("" if self.bit is None else f" bit {self.bit}")


_DEFAULT_PULSE_MS = 500
_FORMS = {"double": Form.DOUBLE, "binary": Form.FLAG, "control": Form.FLAG}


def _form(row: ModbusRow, table: Table) -> Form:
    if row.kind == "double":
        return Form.DOUBLE
    return Form.BIT if table.of_bits or row.bit is not None else _FORMS.get(row.kind, Form.NUMBER)


def _columns(source: DeviceRowSource, device: ModbusDevice) -> dict[str, object]:
    """One checked row as the values of `Bindings`' columns."""
    row = cast(ModbusRow, source.settings)
    table = Table[row.table.upper()]
    form = _form(row, table)
    wire = "uint16" if table.of_bits or row.type in (None, "bit") else str(row.type)
    registers = int(wire[-2:]) // 16
    return {
        "row": source.row,
        "form": form,
        "table": table,
        "address": row.address,
        "width": (2 if form is Form.DOUBLE else 1) if table.of_bits else registers,
        "wire": WIRE_INDEX[wire],
        "order": ORDERS.index(row.order or "ABCD"),
        "bit": -1 if row.bit is None else row.bit,
        "scale": 1.0 if row.scale is None else row.scale,
        "offset": row.offset or 0.0,
        "scan_s": row.scan_s(device),
        "pulse_s": (row.pulse_ms or _DEFAULT_PULSE_MS) / 1000,
        "commanded": row.kind in ("control", "setpoint"),
        "setpoint": row.kind == "setpoint",
        "name": source.name,
    }


_DTYPES: dict[str, Any] = {
    "row": np.uint32,
    "form": np.uint8,
    "table": np.uint8,
    "address": np.int64,
    "width": np.int64,
    "wire": np.uint8,
    "order": np.uint8,
    "bit": np.int64,
    "scale": np.float64,
    "offset": np.float64,
    "scan_s": np.float64,
    "pulse_s": np.float64,
    "commanded": np.bool_,
    "setpoint": np.bool_,
    "name": np.object_,
}


def bindings_of(rows: list[dict[str, object]]) -> Bindings:
    """Rows as columns."""
    return Bindings(**{name: np.array([row[name] for row in rows], dtype) for name, dtype in _DTYPES.items()})


def _bindings(rows: list[DeviceRowSource], device: ModbusDevice) -> Bindings:
    return bindings_of([_columns(row, device) for row in sorted(rows, key=lambda row: row.row)])


def _unit_plan(source: DeviceSource, rows: list[DeviceRowSource]) -> UnitPlan:
    device = cast(ModbusDevice, source.settings)
    return UnitPlan(
        device=device.name,
        unit=device.unit,
        bindings=_bindings(rows, device),
        limits=Limits(gap=device.max_gap_registers, registers=device.max_read_registers, bits=device.max_read_bits),
        timeout_s=device.timeout_ms / 1000,
        retries=device.retries,
        pause_s=device.pause_ms / 1000,
        read_modify_write=device.bit_write == "read-modify-write",
    )


def line_plan(url: Url, units: Sequence[UnitPlan], devices: Sequence[LineDevice]) -> LinePlan:
    return LinePlan(
        url=url,
        devices=[unit.device for unit in units],
        rows=np.sort(np.concatenate([unit.bindings.row for unit in units])),
        units=list(units),
        reconnect_max_s=min(device.reconnect_max_s for device in devices),
    )


class Lines:
    """Gathers devices by line, and tells what does not go together on one."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._urls: dict[tuple[str, int], tuple[Url, DeviceSource]] = {}
        self._taken: dict[tuple[tuple[str, int], int], Place] = {}
        self.members: dict[tuple[str, int], list[DeviceSource]] = {}

    def add(self, source: DeviceSource) -> None:
        device = cast(LineDevice, source.settings)
        url = parse_url(device.url)
        first, owner = self._urls.setdefault(url.line, (url, source))
        if first != url:
            self._report.error(
                source.key("url"),
                f"device {device.name} and {owner.settings.name} ({owner.key('url')}) share the line {url.host} "
                "but give it different settings",
            )
        self._check_unit(source, device, url)
        self.members.setdefault(url.line, []).append(source)

    def _check_unit(self, source: DeviceSource, device: LineDevice, url: Url) -> None:
        place = source.key("unit")
        if url.framed_rtu and not 1 <= device.unit <= 247:
            self._report.error(place, f"unit {device.unit} cannot be asked on a serial line; expected 1 to 247")
        owner = self._taken.setdefault((url.line, device.unit), place)
        if owner is not place:
            self._report.error(place, f"unit {device.unit} of {url} is already taken ({owner}); expected another unit")

    def url(self, line: tuple[str, int]) -> Url:
        return self._urls[line][0]


class ModbusSettings:
    """`gateway.contracts.FieldSettings` of Modbus."""

    device_model = ModbusDevice
    row_model = ModbusRow

    def compile(self, devices: list[Any], report: Any) -> list[LinePlan]:
        """Check all devices and rows; one plan per line. Rows with a fatal problem are left out of the plans."""
        lines = Lines(report)
        good: dict[int, list[DeviceRowSource]] = {}
        for source in devices:
            lines.add(source)
            checker = RowChecker(report, source.settings)
            good[id(source)] = [row for row in source.rows if checker.check(row)]
        return [
            line_plan(
                lines.url(line),
                [_unit_plan(source, good[id(source)]) for source in members],
                [source.settings for source in members],
            )
            for line, members in lines.members.items()
        ]


SETTINGS = ModbusSettings()
