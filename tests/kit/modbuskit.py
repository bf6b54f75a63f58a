"""Modbus lines for tests: rows written as in a device map, compiled by the package's own settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.modbus.plan import LinePlan, Url
from protocols.modbus.settings import SETTINGS, ModbusDevice, ModbusRow


def device_rows(text: str) -> list[dict[str, str]]:
    """A device map as its engineer writes it."""
    return list(csv.DictReader(io.StringIO("\n".join(line.strip() for line in text.strip().splitlines()))))


def source(rows: list[Mapping[str, Any]], first_row: int = 0, **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over."""
    settings = ModbusDevice(
        **{"name": "dev", "driver": "modbus", "map": "dev.csv", "prefix": "dev", "url": "tcp://127.0.0.1:0", **keys}
    )
    place = Place("site.yaml", 5)
    found = [
        DeviceRowSource(
            settings=ModbusRow(**row),
            row=first_row + number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place(f"{settings.name}.csv", number + 2, row=True),
        )
        for number, row in enumerate(rows)
    ]
    return DeviceSource(settings=settings, rows=found, place=place, keys={k: Place("site.yaml", 6) for k in keys})


def compiled(*sources: DeviceSource) -> tuple[list[LinePlan], Report]:
    report = Report()
    return SETTINGS.compile(list(sources), report), report


def line(text: str, **keys: Any) -> LinePlan:
    """The plan of one device; fails on any problem of its map."""
    return lines(source(device_rows(text), **keys))


def lines(*sources: DeviceSource) -> LinePlan:
    """The one plan of devices that share a line."""
    plans, report = compiled(*sources)
    assert not report.problems, [str(problem) for problem in report.problems]
    (plan,) = plans
    return plan


def at(plan: LinePlan, url: Url) -> LinePlan:
    """The same line at another address."""
    return replace(plan, url=url)


def ramp(plan: LinePlan) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A value for each row that its type carries and that tells rows apart."""
    return np.arange(1, len(plan.rows) + 1, dtype=np.float64)
