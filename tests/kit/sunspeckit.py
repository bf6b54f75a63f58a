"""SunSpec lines for tests: rows written as in a device map, compiled by the package's own settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.modbus.plan import LinePlan
from protocols.sunspec.definitions import definition
from protocols.sunspec.devicemap import csv_text, rows
from protocols.sunspec.model import HEADER, Group, Shape, count_points
from protocols.sunspec.settings import SETTINGS, SunSpecDevice, SunSpecRow
from protocols.sunspec.survey import Found, Survey
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


def _length(group: Group, often: int) -> int:
    """Registers of a group of which every repeating one is there so often."""
    inner = sum(_length(each, often) * (1 if each.count is None else often) for each in group.groups)
    return group.own_size + inner


def full_map(*models: int, often: int = 2) -> str:
    """The map of a device that implements all of these models, each repeating group so often."""
    survey, known = Survey(40000, []), {}
    for number in models:
        known[number] = found = definition(number)
        assert found is not None
        length = _length(found.group, often) - HEADER
        survey.models.append(Found(number, 1, 0, length))
        counts = dict.fromkeys(count_points(found.group), often)
        survey.shapes[number, 1] = Shape(found.group, length, counts)
    return csv_text(rows(survey, known, lambda found, path: True))
