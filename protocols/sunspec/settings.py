"""The keys and columns of SunSpec devices, and their compilation to one plan per line. Imported only while checking."""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from pydantic import BeforeValidator, Field

from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import Cell, DeviceRow, DeviceRowSource, DeviceSource
from protocols.modbus.plan import WIRE_INDEX, WIRE_TYPES, Form, Limits, LinePlan, Table
from protocols.modbus.settings import LineDevice, Lines, bindings_of, line_plan
from protocols.sunspec.definitions import Definition, NoDefinitions, definition, known_models
from protocols.sunspec.fields import Field as ModelField
from protocols.sunspec.fields import FieldError, companions, parse_field, readable, writable
from protocols.sunspec.model import NUMBERS, Group, Path
from protocols.sunspec.plan import Companion, Reading, SunPoint, SunUnitPlan


class SunSpecDevice(LineDevice):
    """Keys of a device with `driver: sunspec`."""

    base: Annotated[int, Field(ge=0, le=65533)] | None = None


def _text(value: object) -> object:
    """A spreadsheet's number is a field as well."""
    return str(value) if isinstance(value, int | float) else value


class SunSpecRow(DeviceRow):
    """Columns of a SunSpec device's map."""

    model: Annotated[int, Field(ge=1, le=65534)]
    field: Annotated[str, BeforeValidator(_text)]
    instance: Annotated[Annotated[int, Field(ge=1, le=256)] | None, Cell] = None
    scan_ms: Annotated[Annotated[int, Field(ge=10)] | None, Cell] = None
    pulse_ms: Annotated[Annotated[int, Field(ge=1, le=60000)] | None, Cell] = None
    revert_s: Annotated[Annotated[int, Field(ge=1, le=65534)] | None, Cell] = None
    enable: Annotated[bool | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often this row is read, in s."""
        return float(self.scan_ms or device.scan_ms) / 1000

    def where(self) -> str:
        """Model and field."""
        which = f" ({self.instance})" if self.instance and self.instance > 1 else ""
        return f"model {self.model}{which} {self.field}"


_DEFAULT_PULSE_MS: Final = 500
_COMMANDS: Final = ("setpoint", "control")


class _Row:
    """One row on its way to a point and its binding; problems go to the report."""

    def __init__(self, source: DeviceRowSource, report: Report) -> None:
        self._source, self._report = source, report
        self.row = cast(SunSpecRow, source.settings)
        self._well = True

    def _error(self, column: str, sentence: str) -> None:
        self._well = False
        self._report.error(self._source.place.at(column), f"{self._source.name}: {sentence}")

    def point(self) -> tuple[SunPoint, Definition, ModelField] | None:
        """The point, its model and its field; None when something is wrong (reported)."""
        row = self.row
        found = definition(row.model)
        if found is None:
            near = nearest(str(row.model), map(str, known_models()))
            self._error("model", f"there is no definition of model {row.model}{near}")
            return None
        try:
            field = parse_field(row.field, found)
        except FieldError as error:
            self._error("field", str(error))
            return None
        trouble = writable(field, row.kind) if row.kind in _COMMANDS else readable(field, row.kind)
        if trouble:
            self._error("field", trouble)
        self._scale()
        point = SunPoint(
            model=row.model,
            instance=row.instance or 1,
            path=field.path,
            reading=self._reading(field),
            mark=field.mark,
            first=self._first(field),
            last=self._last(field),
        )
        return (point, found, field) if self._well else None

    def _reading(self, field: ModelField) -> Reading:
        if self.row.kind in ("binary", "control") and field.reading is Reading.NUMBER:
            return Reading.FLAG
        return field.reading

    def _scale(self) -> None:
        row = self.row
        pair = (1.0 if row.scale is None else row.scale, row.offset or 0.0)
        if row.kind in ("binary", "control") and pair not in ((1.0, 0.0), (-1.0, 1.0)):
            self._error("scale", f"a {row.kind} has no scale or offset; expected empty cells, or -1 and 1 to invert it")
        if row.pulse_ms is not None and row.kind != "control":
            self._report.warning(self._source.place.at("pulse_ms"), f"{self._source.name}: only a control is pulsed")

    def _first(self, field: ModelField) -> Companion | None:
        if self.row.revert_s is None:
            return None
        name, _ = companions(self.row.model, field.path)
        if self.row.kind not in _COMMANDS or not name:
            self._error("revert_s", f"{self.row.model} {field.path} is no command with a reversion time")
            return None
        return Companion(path=Path((), name), raw=self.row.revert_s)

    def _last(self, field: ModelField) -> Companion | None:
        if not self.row.enable:
            return None
        _, name = companions(self.row.model, field.path)
        if self.row.kind not in _COMMANDS or not name:
            self._error("enable", f"{self.row.model} {field.path} is no command with a flag that enables it")
            return None
        return Companion(path=Path((), name), raw=1)

    def columns(self, device: SunSpecDevice, field: ModelField) -> dict[str, object]:
        """The row as the values of `Bindings`' columns; the address is not known yet."""
        row, wire = self.row, WIRE_INDEX[NUMBERS[field.info.point.type].wire]
        return {
            "row": self._source.row,
            "form": Form.NUMBER,
            "table": Table.HOLDING,
            "address": 0,
            "width": WIRE_TYPES[wire].registers,
            "wire": wire,
            "order": 0,
            "bit": -1,
            "scale": 1.0 if row.scale is None else row.scale,
            "offset": row.offset or 0.0,
            "scan_s": row.scan_s(device),
            "pulse_s": (row.pulse_ms or _DEFAULT_PULSE_MS) / 1000,
            "commanded": row.kind in _COMMANDS,
            # A state that is chosen has no way back: it is not pulsed.
            "setpoint": row.kind == "setpoint" or (row.kind == "control" and field.reading is Reading.STATE),
            "name": self._source.name,
        }


class _Device:
    """The rows of one device, checked and gathered."""

    def __init__(self, source: DeviceSource, report: Report) -> None:
        self._report = report
        self._device = cast(SunSpecDevice, source.settings)
        self._points: list[SunPoint] = []
        self._columns: list[dict[str, object]] = []
        self._models: dict[int, Group] = {}
        self._seen: dict[tuple[object, ...], DeviceRowSource] = {}
        for row in sorted(source.rows, key=lambda each: each.row):
            self._add(row)

    def _add(self, source: DeviceRowSource) -> None:
        row = _Row(source, self._report)
        made = row.point()
        if made is None:
            return
        point, found, field = made
        key = (point.model, point.instance, point.path, point.reading, point.mark, row.row.kind in _COMMANDS)
        first = self._seen.setdefault((*key, row.row.scale), source)
        if first is not source:
            self._report.error(
                source.place.at("field"),
                f"{source.name} and {first.name} ({first.place}) are both {point}; expected different fields",
            )
            return
        self._points.append(point)
        self._columns.append(row.columns(self._device, field))
        self._models[point.model] = found.group

    def plan(self) -> SunUnitPlan:
        device = self._device
        return SunUnitPlan(
            device=device.name,
            unit=device.unit,
            bindings=bindings_of(self._columns),
            limits=Limits(gap=device.max_gap_registers, registers=device.max_read_registers),
            timeout_s=device.timeout_ms / 1000,
            retries=device.retries,
            pause_s=device.pause_ms / 1000,
            points=self._points,
            models=self._models,
            base=device.base,
        )


class SunSpecSettings:
    """`gateway.contracts.FieldSettings` of SunSpec."""

    device_model = SunSpecDevice
    row_model = SunSpecRow

    def compile(self, devices: list[Any], report: Any) -> list[LinePlan]:
        """Check all devices and rows; one plan per line. Rows with a fatal problem are left out of the plans."""
        lines = Lines(report)
        plans: dict[int, SunUnitPlan] = {}
        for source in devices:
            lines.add(source)
            try:
                plans[id(source)] = _Device(source, report).plan()
            except NoDefinitions as error:
                report.error(source.key("driver"), str(error))
                return []
        return [
            line_plan(lines.url(line), [plans[id(source)] for source in members], [each.settings for each in members])
            for line, members in lines.members.items()
        ]


SETTINGS = SunSpecSettings()
