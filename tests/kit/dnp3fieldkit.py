"""Outstations read over DNP3, for tests: rows as in a device map, compiled by the package's own settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.dnp3.field.plan import LinePlan
from protocols.dnp3.field.settings import SETTINGS, OutstationDevice, OutstationRow
from tests.kit.modbuskit import device_rows


def source(text: str, first_row: int = 0, **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over; its points are table rows from `first_row` on."""
    given = {"name": "rtu1", "driver": "dnp3", "map": "rtu.csv", "prefix": "rtu1", "url": "tcp://127.0.0.1:0"}
    settings = OutstationDevice(**{**given, "outstation": 10, **keys})
    rows = [
        DeviceRowSource(
            settings=OutstationRow(**row),
            row=first_row + number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place("rtu.csv", number + 2, row=True),
        )
        for number, row in enumerate(device_rows(text))
    ]
    place = Place("site.yaml", 5)
    return DeviceSource(settings=settings, rows=rows, place=place, keys={k: Place("site.yaml", 6) for k in keys})


def compiled(*sources: DeviceSource) -> tuple[list[LinePlan], Report]:
    report = Report()
    return SETTINGS.compile(list(sources), report), report


def line(*sources: DeviceSource) -> LinePlan:
    """The plan of one connection; fails on any problem."""
    plans, report = compiled(*sources)
    assert not report.problems, [str(problem) for problem in report.problems]
    (plan,) = plans
    return plan


def at(plan: LinePlan, address: tuple[str, int]) -> LinePlan:
    """The same at another address."""
    return replace(plan, address=address)
