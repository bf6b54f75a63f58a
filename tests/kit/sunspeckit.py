"""SunSpec lines for tests: rows written as in a device map, compiled by the package's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.modbus.plan import LinePlan
from protocols.sunspec.definitions import definition
from protocols.sunspec.devicemap import csv_text, imagined, rows
from protocols.sunspec.settings import SETTINGS, SunSpecDevice, SunSpecRow
from tests.kit.modbuskit import device_rows


def source(rows: list[Mapping[str, Any]], **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over."""
    settings = SunSpecDevice(
        **{"name": "inv", "driver": "sunspec", "map": "inv.csv", "prefix": "inv", "url": "tcp://127.0.0.1:0", **keys}
    )
    found = [
        DeviceRowSource(
            settings=SunSpecRow(**{name: cell for name, cell in row.items() if cell}),
            row=number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place("inv.csv", number + 2, row=True),
        )
        for number, row in enumerate(rows)
    ]
    return DeviceSource(settings=settings, rows=found, place=Place("site.yaml", 5), keys={})


def compiled(text: str, **keys: Any) -> tuple[list[LinePlan], Report]:
    report = Report()
    return SETTINGS.compile([source(device_rows(text), **keys)], report), report


def line(text: str, **keys: Any) -> LinePlan:
    """The plan of one device; fails on any problem of its map."""
    plans, report = compiled(text, **keys)
    assert not report.problems, [str(problem) for problem in report.problems]
    (plan,) = plans
    return plan


def full_map(*models: int, often: int = 2) -> str:
    """The map of a device that implements all of these models, each repeating group so often."""
    known = {number: made for number in models if (made := definition(number)) is not None}
    return csv_text(rows(imagined(known, often), known, lambda found, path: True))
