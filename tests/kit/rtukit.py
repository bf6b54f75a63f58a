"""RTUs read over IEC 60870-5-104, for tests: rows as in a device map, compiled by the package's own settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.iec104.field.driver import RtuDriver
from protocols.iec104.field.plan import RtuPlan
from protocols.iec104.field.settings import SETTINGS, RtuDevice, RtuRow
from protocols.iec104.field.simulator import RtuSimulator
from tests.kit.modbuskit import device_rows
from tests.kit.recordingport import RecordingPort

QUICK = {"k": 12, "w": 8, "t0_s": 1, "t1_s": 0.2, "t2_s": 0.05, "t3_s": 0.1}
"""Times of a test, not of a field."""


def source(text: str, **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over."""
    given = {"name": "rtu1", "driver": "iec104", "map": "rtu.csv", "prefix": "rtu1", "url": "tcp://127.0.0.1:0"}
    settings = RtuDevice(**{**given, **keys})
    rows = [
        DeviceRowSource(
            settings=RtuRow(**row),
            row=number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place("rtu.csv", number + 2, row=True),
        )
        for number, row in enumerate(device_rows(text))
    ]
    place = Place("site.yaml", 5)
    return DeviceSource(settings=settings, rows=rows, place=place, keys={k: Place("site.yaml", 6) for k in keys})


def compiled(*sources: DeviceSource) -> tuple[list[RtuPlan], Report]:
    report = Report()
    return SETTINGS.compile(list(sources), report), report


def rtu(text: str, **keys: Any) -> RtuPlan:
    """The plan of one RTU; fails on any problem of its map."""
    plans, report = compiled(source(text, **keys))
    assert not report.problems, [str(problem) for problem in report.problems]
    (plan,) = plans
    return plan


def at(plan: RtuPlan, *addresses: tuple[str, int]) -> RtuPlan:
    """The same RTU at other addresses."""
    return replace(plan, addresses=addresses)


@dataclass(slots=True)
class Scene:
    """The RTU, the driver, and the core it talks to."""

    simulator: RtuSimulator
    driver: RtuDriver
    port: RecordingPort

    def show(self, *values: float) -> None:
        """Set what the points show, from row 0 on."""
        self.simulator.set(np.arange(len(values), dtype=np.uint32), np.array(values, np.float64))

    def count(self, counter: str) -> int:
        return self.driver.counters()["rtu1"][counter]


@contextlib.asynccontextmanager
async def at_work(plan: RtuPlan) -> AsyncIterator[Scene]:
    """The simulator on a free port and the driver running; both gone at the end."""
    simulator = RtuSimulator(plan)
    await simulator.start()
    port = RecordingPort(int(plan.rows.max()) + 1)
    driver = RtuDriver(at(plan, *simulator.addresses), port)
    task = asyncio.create_task(driver.run())
    try:
        yield Scene(simulator, driver, port)
        assert not task.done(), "the driver must run until it is cancelled"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await simulator.stop()
