"""A plant's points for the OPC UA tests, and a server over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gateway.points import Kind, Point, PointCatalogue
from tests.kit.opcuakit import Plant

TIME_NS = 1_700_000_000_000_000_000
POWER, RUN, SETPOINT, BREAKER, ENERGY, ALARM = range(6)
CELLS = 250
POINTS = PointCatalogue.of(
    [
        Point(row=POWER, name="bess1/pcs/power", kind=Kind.ANALOG, unit="kW", low=-1000, high=1000, description="P"),
        Point(row=RUN, name="bess1/pcs/run", kind=Kind.CONTROL, device="pcs1"),
        Point(
            row=SETPOINT, name="bess1/pcs/setpoint", kind=Kind.SETPOINT, unit="kW", low=-500, high=500, device="pcs1"
        ),
        Point(row=BREAKER, name="bess1/breaker", kind=Kind.DOUBLE),
        Point(row=ENERGY, name="bess1/energy", kind=Kind.COUNTER, unit="kWh"),
        Point(row=ALARM, name="bess1/alarm", kind=Kind.BINARY),
        *(Point(row=6 + n, name=f"bess1/bms/cell[{n + 1}]", kind=Kind.ANALOG, unit="V") for n in range(CELLS)),
        Point(row=6 + CELLS, name="system/device/pcs1/online", kind=Kind.BINARY),
        Point(row=7 + CELLS, name="system/device/pcs1/errors", kind=Kind.COUNTER),
        Point(row=8 + CELLS, name="system/master/sldc/main/online", kind=Kind.BINARY),
        Point(row=9 + CELLS, name="system/master/sldc/main/events_waiting", kind=Kind.ANALOG),
    ]
)


def node(name: str) -> str:
    """Of a point, or of what belongs to it."""
    return f"ns=2;s={name}"


def plant_of(folder: Path, points: PointCatalogue = POINTS, **keys: Any) -> Plant:
    """Every point has its row as value; operators may command."""
    keys.setdefault("commands", {"operator": np.array([RUN, SETPOINT], np.uint32)})
    plant = Plant(folder, points, **keys)
    for row in range(len(points)):
        plant.port.set(row, float(row), TIME_NS)
    return plant


def cells(count: int) -> PointCatalogue:
    """Many points, a thousand in a folder."""
    return PointCatalogue.of(
        [Point(row=n, name=f"site/rack{n // 1000}/cell[{n % 1000 + 1}]", kind=Kind.ANALOG) for n in range(count)]
    )
