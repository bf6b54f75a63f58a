"""The keys and columns of outstations read over DNP3, and their compilation. Imported only while checking."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Final, cast

import numpy as np
from pydantic import AfterValidator, Field

from gateway.contracts.endpoints import tcp_url
from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import Cell, DeviceRow, DeviceRowSource, DeviceSettings, DeviceSource, ServerSource
from gateway.points.model import KIND_BY_WORD, Kind
from gateway.tls.plan import TlsPlan
from gateway.tls.settings import TlsPeerSettings, TlsSettings, tls_plan
from protocols.dnp3.field.plan import LinePlan, OrderBinding, PointColumns, StationPlan
from protocols.dnp3.link import MAX_ADDRESS
from protocols.dnp3.plan import Controls
from protocols.dnp3.pointtypes import PointType

PORT: Final = 20_000
_Seconds = Annotated[float, Field(gt=0, le=3_600)]
_Period = Annotated[float, Field(ge=0, le=604_800)]
_LinkAddress = Annotated[int, Field(ge=0, le=MAX_ADDRESS)]


def address(text: str) -> tuple[str, int]:
    """Host and port of ``tcp://host[:20000]``. Raises `ValueError` in words."""
    return tcp_url(text, PORT)


def _checked(text: str) -> str:
    address(text)
    return text


class OutstationDevice(TlsPeerSettings, DeviceSettings):
    """Keys of a device with `driver: dnp3`."""

    url: Annotated[str, AfterValidator(_checked)]
    master: _LinkAddress = 1
    outstation: _LinkAddress
    integrity_s: _Period = 900
    event_poll_s: _Period = 1
    unsolicited: bool = False
    time_sync: bool = False
    response_timeout_s: _Seconds = 5
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    command_timeout_s: _Seconds = 10
    connect_timeout_s: _Seconds = 10
    reconnect_max_s: Annotated[float, Field(ge=0.2)] = 3.0
    tls: TlsSettings | None = None


class OutstationRow(DeviceRow):
    """Columns of an outstation's device map."""

    type: str
    index: int
    mode: Annotated[str | None, Cell] = None
    control: Annotated[str | None, Cell] = None
    on_ms: Annotated[Annotated[int, Field(ge=1, le=60_000)] | None, Cell] = None
    command: Annotated[str | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often this point is asked for, in s; None where it comes only by itself."""
        return float(device.integrity_s) or None

    def where(self) -> str:
        """Type and index."""
        return f"{self.type} {self.index}"


_KINDS: Final = {
    PointType.BI: (Kind.BINARY,),
    PointType.DBI: (Kind.DOUBLE,),
    PointType.BO: (Kind.BINARY, Kind.CONTROL),
    PointType.CTR: (Kind.COUNTER, Kind.ANALOG),
    PointType.FCTR: (Kind.COUNTER, Kind.ANALOG),
    PointType.AI: (Kind.ANALOG, Kind.COUNTER),
    PointType.FAI: (Kind.ANALOG, Kind.COUNTER),
    PointType.AO: (Kind.ANALOG, Kind.SETPOINT),
}
_MODES: Final = ("direct", "select")
_CONTROLS: Final = {"latch": Controls.LATCH, "pulse": Controls.PULSE, "trip_close": Controls.TRIP_CLOSE}
_COMMANDS: Final = {f"g41v{number}": number for number in (1, 2, 3, 4)}


class _Row:
    """One row under examination."""

    def __init__(self, source: DeviceRowSource, kind: PointType, report: Report) -> None:
        self.source, self.type, self._report = source, kind, report
        self.settings = cast(OutstationRow, source.settings)
        self.kind = KIND_BY_WORD[self.settings.kind]
        self.good = True

    @property
    def scale(self) -> float:
        return 1.0 if self.settings.scale is None else self.settings.scale

    @property
    def offset(self) -> float:
        return self.settings.offset or 0.0

    @property
    def key(self) -> int:
        return int(self.type) << 16 | self.settings.index

    def error(self, column: str, message: str) -> None:
        self.good = False
        self._report.error(self.source.place.at(column), f"{self.source.name}: {message}")


def _check_index(row: _Row) -> None:
    if not 0 <= row.settings.index <= 65_535:
        row.error("index", f"index is {row.settings.index}: 0 to 65535 expected")


def _check_kind(row: _Row) -> None:
    fitting = _KINDS[row.type]
    if row.kind not in fitting:
        words = " or ".join(kind.word for kind in fitting)
        row.error("type", f"{row.type.name} carries {words}; the point is {row.kind.word}")


def _check_scale(row: _Row) -> None:
    numeric = row.kind in (Kind.ANALOG, Kind.COUNTER, Kind.SETPOINT)
    if numeric and (row.scale == 0 or not math.isfinite(row.scale)):
        row.error("scale", "scale is 0: every value would be the same")
    inverted = row.kind is Kind.BINARY and (row.scale, row.offset) == (-1.0, 1.0)
    if not numeric and not inverted and (row.scale, row.offset) != (1.0, 0.0):
        row.error("scale", f"a {row.kind.word} has no scale; expected empty cells (-1 and 1 invert a binary)")


def _check_order(row: _Row) -> None:
    for column, words, fits in (
        ("mode", _MODES, row.kind.commanded),
        ("control", tuple(_CONTROLS), row.kind is Kind.CONTROL),
        ("command", tuple(_COMMANDS), row.kind is Kind.SETPOINT),
    ):
        word = getattr(row.settings, column)
        if word is not None and not fits:
            row.error(column, f"{column} does not go with a {row.kind.word}; an empty cell expected")
        elif word is not None and word not in words:
            row.error(column, f"{column} is {word!r}{nearest(word, words)}: {' or '.join(words)} expected")
    if row.settings.on_ms is not None and row.settings.control in (None, "latch"):
        row.error("on_ms", "on_ms is the length of a pulse: control pulse or trip_close expected")


_CHECKS: Final[tuple[Callable[[_Row], None], ...]] = (_check_index, _check_kind, _check_scale, _check_order)


def _rows(source: DeviceSource, report: Report) -> list[_Row]:
    """Rows without a fault; every problem goes to `report`, at its row and column."""
    types = {kind.name: kind for kind in PointType}
    taken: dict[int, _Row] = {}
    checked = []
    for each in source.rows:
        kind = types.get(each.settings.type)
        if kind is None:
            hint = nearest(each.settings.type, types)
            message = f"{each.name}: type {each.settings.type!r} is none{hint}: {', '.join(types)} expected"
            report.error(each.place.at("type"), message)
            continue
        row = _Row(each, kind, report)
        for check in _CHECKS:
            check(row)
        first = taken.setdefault(row.key, row)
        if first is not row:
            row.error("index", f"{kind.name} {row.settings.index} is {first.source.name} already")
        if row.good:
            checked.append(row)
    return checked


def _columns(rows: list[_Row]) -> PointColumns:
    rows = sorted(rows, key=lambda row: row.key)
    return PointColumns(
        row=np.array([row.source.row for row in rows], np.uint32),
        key=np.array([row.key for row in rows], np.uint32),
        scale=np.array([row.scale for row in rows], np.float64),
        offset=np.array([row.offset for row in rows], np.float64),
    )


def _order(row: _Row) -> OrderBinding:
    settings = row.settings
    return OrderBinding(
        row=row.source.row,
        name=row.source.name,
        type=row.type,
        index=settings.index,
        select=settings.mode == "select",
        control=_CONTROLS[settings.control or "latch"],
        on_ms=settings.on_ms or 100,
        variation=_COMMANDS[settings.command or "g41v3"],
        scale=row.scale,
        offset=row.offset,
    )


def _station(source: DeviceSource, report: Report) -> StationPlan:
    device = cast(OutstationDevice, source.settings)
    rows = _rows(source, report)
    if not device.event_poll_s and not device.unsolicited:
        report.warning(source.key("event_poll_s"), "neither event polls nor unsolicited: changes wait for integrity_s")
    return StationPlan(
        device=device.name,
        master=device.master,
        outstation=device.outstation,
        points=_columns(rows),
        orders=tuple(_order(row) for row in rows if row.kind.commanded),
        integrity_s=device.integrity_s,
        event_poll_s=device.event_poll_s,
        unsolicited=device.unsolicited,
        response_timeout_s=device.response_timeout_s,
        retries=device.retries,
        command_timeout_s=device.command_timeout_s,
        time_sync=device.time_sync,
    )


def _tls(sources: list[DeviceSource], report: Report) -> TlsPlan | None:
    """An outstation is to us what a master is to a server: the other end, with a certificate of its own."""
    first = sources[0]
    for other in sources[1:]:
        if other.settings.tls != first.settings.tls:
            report.error(other.key("tls"), f"tls differs from that of {first.settings.name}, which is at the same url")
    return tls_plan(ServerSource(first.settings, cast(list[Any], sources), first.place, first.keys), report)


def _line(sources: list[DeviceSource], report: Report) -> LinePlan:
    taken: dict[tuple[int, int], str] = {}
    for source in sources:
        ends = source.settings.outstation, source.settings.master
        other = taken.setdefault(ends, source.settings.name)
        if other != source.settings.name:
            report.error(source.key("outstation"), f"outstation {ends[0]} at {source.settings.url} is {other} already")
    stations = tuple(_station(source, report) for source in sources)
    rows = [station.points.row for station in stations]
    first = cast(OutstationDevice, sources[0].settings)
    return LinePlan(
        devices=[station.device for station in stations],
        rows=np.unique(np.concatenate(rows)).astype(np.uint32),
        address=address(first.url),
        stations=stations,
        connect_timeout_s=first.connect_timeout_s,
        reconnect_max_s=first.reconnect_max_s,
        tls=_tls(sources, report),
    )


class OutstationSettings:
    """`gateway.contracts.FieldSettings` of DNP3."""

    device_model = OutstationDevice
    row_model = OutstationRow

    def compile(self, devices: list[Any], report: Any) -> list[LinePlan]:
        """Check all devices and rows; one plan per connection. Rows with a problem are left out of the plans."""
        lines: dict[tuple[str, int], list[DeviceSource]] = {}
        for source in devices:
            lines.setdefault(address(source.settings.url), []).append(source)
        return [_line(sources, report) for sources in lines.values()]


SETTINGS = OutstationSettings()
