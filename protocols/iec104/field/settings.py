"""The keys and columns of RTUs read over IEC 60870-5-104, and their compilation. Imported only while checking."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast
from zoneinfo import ZoneInfoNotFoundError, available_timezones

import numpy as np
from pydantic import AfterValidator, Field

from gateway.contracts.endpoints import tcp_url
from gateway.contracts.places import Place, Report, nearest
from gateway.contracts.settings import Cell, DeviceRow, DeviceSettings, DeviceSource, ServerSource, Strict
from gateway.tls.plan import TlsPlan
from gateway.tls.settings import OneOrMore, TlsPeerSettings, TlsSettings, tls_plan
from protocols.iec104.connection import ApciParameters
from protocols.iec104.field.checks import Checked, check_rows
from protocols.iec104.field.plan import CounterMode, OrderBinding, PointColumns, RtuPlan
from protocols.iec104.time56 import Zone

PORT: Final = 2404
_Window = Annotated[int, Field(ge=1, le=32_767)]
_Timeout = Annotated[float, Field(gt=0, le=255)]
_Period = Annotated[float, Field(ge=0, le=604_800)]


def address(text: str) -> tuple[str, int]:
    """Host and port of ``tcp://host[:2404]``. Raises `ValueError` in words."""
    return tcp_url(text, PORT)


def _checked(text: str) -> str:
    address(text)
    return text


class LinkSettings(Strict):
    """k, w in APDUs; t0 to t3 in s."""

    k: _Window = 12
    w: _Window = 8
    t0_s: _Timeout = 30
    t1_s: _Timeout = 15
    t2_s: _Timeout = 10
    t3_s: Annotated[float, Field(gt=0, le=172_800)] = 20


class RtuDevice(TlsPeerSettings, DeviceSettings):
    """Keys of a device with `driver: iec104`."""

    url: Annotated[list[Annotated[str, AfterValidator(_checked)]], OneOrMore, Field(min_length=1, max_length=8)]
    originator: Annotated[int, Field(ge=0, le=255)] = 0
    apci: LinkSettings = LinkSettings()
    time_zone: str = "UTC"
    untimed: Literal["marked", "trusted"] = "marked"
    interrogation_s: _Period = 900
    interrogation_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 60
    counters: CounterMode = CounterMode.READ
    counter_s: _Period = 900
    clock_sync_s: _Period = 0
    command_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 10
    command_end: Literal["termination", "confirmation"] = "termination"
    reconnect_max_s: Annotated[float, Field(ge=0.2)] = 3.0
    tls: TlsSettings | None = None


class RtuRow(DeviceRow):
    """Columns of an RTU's device map."""

    ca: int
    ioa: int
    type: str
    bit: Annotated[int | None, Cell] = None
    mode: Annotated[str | None, Cell] = None
    pulse: Annotated[str | None, Cell] = None
    end: Annotated[str | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often this point is asked for, in s; None where it comes only by itself."""
        if self.kind in ("setpoint", "control") or self.type.startswith("M_EP"):
            return None
        if self.type.startswith("M_IT"):
            asked = device.counters is not CounterMode.NONE
            return float(device.counter_s) or None if asked else None
        return float(device.interrogation_s) or None

    def where(self) -> str:
        """Address and type."""
        return f"ca {self.ca} ioa {self.ioa} {self.type}" + ("" if self.bit is None else f" bit {self.bit}")


def _time_zone(source: DeviceSource, report: Report) -> str:
    name = str(source.settings.time_zone)
    try:
        return Zone(name).name
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = nearest(name, available_timezones())
        report.error(source.key("time_zone"), f"time_zone {name!r} is not known{hint}: a name such as Asia/Kolkata")
        return "UTC"


def _check_windows(source: DeviceSource, report: Report) -> None:
    apci = source.settings.apci
    if apci.t2_s >= apci.t1_s:
        report.error(source.key("apci"), f"t2_s is {apci.t2_s:g}: less than t1_s, which is {apci.t1_s:g}, expected")
    if 3 * apci.w > 2 * apci.k:
        report.warning(source.key("apci"), f"w is {apci.w}: at most two thirds of k, which is {apci.k}, recommended")


def _tls(source: DeviceSource, report: Report) -> TlsPlan | None:
    """The RTU is to us what a master is to a server: the other end, with a certificate of its own."""
    other_end = cast(Any, source)
    return tls_plan(ServerSource(source.settings, [other_end], source.place, source.keys), report)


def _columns(points: list[Checked]) -> PointColumns:
    points = sorted(points, key=lambda each: (each.key, each.bit, each.source.row))
    return PointColumns(
        row=np.array([each.source.row for each in points], np.uint32),
        key=np.array([each.key for each in points], np.uint64),
        family=np.array([each.family for each in points], np.uint8),
        bit=np.array([each.bit for each in points], np.int8),
        scale=np.array([each.scale for each in points], np.float64),
        offset=np.array([each.offset for each in points], np.float64),
        low=np.array([each.low for each in points], np.float64),
        high=np.array([each.high for each in points], np.float64),
        names=[each.source.name for each in points],
    )


def _order(checked: Checked, device: RtuDevice) -> OrderBinding:
    row = cast(RtuRow, checked.source.settings)
    return OrderBinding(
        row=checked.source.row,
        name=checked.source.name,
        ca=row.ca,
        ioa=row.ioa,
        type_id=checked.type_id,
        select=row.mode == "select",
        pulse=checked.pulse,
        termination=(row.end or device.command_end) == "termination",
        scale=checked.scale,
        offset=checked.offset,
        low=checked.low,
        high=checked.high,
    )


def _plan(source: DeviceSource, report: Report) -> RtuPlan:
    device = cast(RtuDevice, source.settings)
    _check_windows(source, report)
    checked = check_rows(source.rows, report)
    orders = [each for each in checked if each.commanded]
    apci = device.apci
    return RtuPlan(
        devices=[device.name],
        rows=np.array(sorted(each.source.row for each in checked), np.uint32),
        addresses=tuple(address(url) for url in device.url),
        points=_columns([each for each in checked if not each.commanded]),
        orders=tuple(_order(each, device) for each in orders),
        originator=device.originator,
        apci=ApciParameters(k=apci.k, w=apci.w, t1_s=apci.t1_s, t2_s=apci.t2_s, t3_s=apci.t3_s),
        t0_s=apci.t0_s,
        reconnect_max_s=device.reconnect_max_s,
        time_zone=_time_zone(source, report),
        untimed_marked=device.untimed == "marked",
        interrogation_s=device.interrogation_s,
        interrogation_timeout_s=device.interrogation_timeout_s,
        counters=device.counters,
        counter_s=device.counter_s,
        clock_sync_s=device.clock_sync_s,
        command_timeout_s=device.command_timeout_s,
        tls=_tls(source, report),
    )


class RtuSettings:
    """`gateway.contracts.FieldSettings` of IEC 60870-5-104."""

    device_model = RtuDevice
    row_model = RtuRow

    def compile(self, devices: list[Any], report: Any) -> list[RtuPlan]:
        """Check all devices and rows; one plan per RTU. Rows with a fatal problem are left out of the plans."""
        taken: dict[tuple[str, int], Place] = {}
        plans = []
        for source in devices:
            place = source.key("url")
            for url in source.settings.url:
                if taken.setdefault(address(url), place) is not place:
                    words = f"{url} is used by another device too ({taken[address(url)]})"
                    report.warning(place, f"{words}: many RTUs take one connection; one device may have many ca")
            plans.append(_plan(source, report))
        return plans


SETTINGS = RtuSettings()
