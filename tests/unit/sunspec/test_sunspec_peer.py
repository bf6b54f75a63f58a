"""A simulated device with more than twenty models, read by the driver and by pysunspec2's own client."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gateway.points import Quality
from protocols.sunspec.device import SunDevice, missing_bytes, number_bytes
from protocols.sunspec.driver import SunSpecDriver
from protocols.sunspec.model import NUMBERS, Group, Path, Step
from protocols.sunspec.plan import Reading
from protocols.sunspec.simulator import SunSpecSimulator
from tests.kit.modbuskit import at
from tests.kit.recordingport import RecordingPort, until
from tests.kit.sunspeckit import full_map, line

client = pytest.importorskip("sunspec2.modbus.client", reason="pysunspec2 is not installed")

MODELS = (1, 103, 113, 120, 121, 122, 123, 124, 160, 201, 203, *range(701, 716), 802, 803, 804, 805)


def _paths(group: Group, often: int, steps: tuple[Step, ...] = ()) -> Iterator[Path]:
    for point in group.points:
        yield Path(steps, point.name)
    for inner in group.groups:
        for number in range(1 if inner.count is None else often):
            yield from _paths(inner, often, (*steps, (inner.name, None if inner.count is None else number)))


def _randomise(device: SunDevice, often: int) -> None:
    """Any number in every register but those that the layout rests on; one in eight is not implemented."""
    draw = random.Random(7)
    for number in MODELS:
        start, shape = device.models[number, 1]
        counts = {group.count for group in _groups(shape.model)}
        for path in _paths(shape.model, often):
            place = shape.find(path)
            point = place.point
            if point.type not in NUMBERS or (not path.groups and point.name in {"ID", "L", *counts}):
                continue
            if point.type == "sunssf":
                data = number_bytes(point, draw.randint(-4, 3))
            elif draw.random() < 0.125:
                data = missing_bytes(point)
            else:
                signed = point.type.startswith("int")
                data = number_bytes(point, draw.randint(-30_000 if signed else 1, 30_000))
            device.set_raw(start + place.offset, data)


def _groups(group: Group) -> Iterator[Group]:
    for inner in group.groups:
        yield inner
        yield from _groups(inner)


def _theirs(model: Any, path: Path) -> float | None:
    group = model
    for name, number in path.groups:
        group = group.groups[name]
        group = group if number is None else group[number]
    value = group.points[path.point].cvalue
    return None if value is None else float(value)


def _read_by_pysunspec2(port: int) -> dict[int, Any]:
    device = client.SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=10)
    device.scan()
    device.disconnect()
    return {number: device.models[number][0] for number in MODELS}


def test_every_value_is_that_of_pysunspec2() -> None:
    plan = line(full_map(*MODELS), scan_ms=100, timeout_ms=2000)
    (unit,) = plan.units
    assert len(MODELS) >= 20

    async def scene() -> tuple[RecordingPort, dict[int, Any]]:
        simulator = SunSpecSimulator(plan)
        _randomise(simulator.device(), 2)
        await simulator.start()
        port = RecordingPort(len(plan.rows))
        task = asyncio.create_task(SunSpecDriver(at(plan, simulator.url), port).run())
        try:
            await until(lambda: port.batches > 0, "a scan")
            theirs = await asyncio.to_thread(_read_by_pysunspec2, simulator.url.port)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await simulator.stop()
        return port, theirs

    port, theirs = asyncio.run(scene())
    compared = missing = 0
    for position, point in enumerate(unit.points):
        row = int(unit.bindings.row[position])
        expected = _theirs(theirs[point.model], point.path)
        if expected is None:
            missing += 1
            assert port.quality[row] == Quality.NEVER_REPORTED, str(point)
            continue
        if point.reading is Reading.BIT:
            expected = float(int(expected) >> point.mark & 1)
        elif point.reading is Reading.FLAG:
            expected = float(expected != 0)
        assert port.quality[row] == 0, str(point)
        assert port.value[row] == expected, str(point)
        compared += 1
    assert compared > 1000
    assert missing > 100
    assert np.isfinite(port.value).all()
