"""PMU streams for tests: rows written as in a device map, compiled by the package's own settings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gateway.contracts import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from protocols.c37118.channel import parse_channel
from protocols.c37118.configuration import Configuration, Format
from protocols.c37118.decode import Batch, Decoder
from protocols.c37118.driver import PmuDriver
from protocols.c37118.plan import Binding, StreamPlan, Url
from protocols.c37118.settings import SETTINGS, PmuDevice, PmuRow
from protocols.c37118.simulator import PmuSimulator
from tests.kit.modbuskit import device_rows
from tests.kit.recordingport import RecordingPort


def source(text: str, **keys: Any) -> DeviceSource:
    """One device with its map, as the configuration hands it over."""
    given = {
        "name": "pmu1",
        "driver": "c37118",
        "map": "pmu.csv",
        "prefix": "pmu1",
        "url": "tcp://127.0.0.1:0",
        "id": 7,
    }
    settings = PmuDevice(**{**given, **keys})
    rows = [
        DeviceRowSource(
            settings=PmuRow(**row),
            row=number,
            name=f"{settings.prefix}/{row['point']}",
            place=Place("pmu.csv", number + 2, row=True),
        )
        for number, row in enumerate(device_rows(text))
    ]
    return DeviceSource(
        settings=settings, rows=rows, place=Place("site.yaml", 5), keys={k: Place("site.yaml", 6) for k in keys}
    )


def compiled(*sources: DeviceSource) -> tuple[list[StreamPlan], Report]:
    report = Report()
    return SETTINGS.compile(list(sources), report), report


def stream(text: str, **keys: Any) -> StreamPlan:
    """The plan of one stream; fails on any problem of its map."""
    plans, report = compiled(source(text, **keys))
    assert not report.problems, [str(problem) for problem in report.problems]
    (plan,) = plans
    return plan


def at(plan: StreamPlan, url: Url) -> StreamPlan:
    """The same stream at another address."""
    return replace(plan, url=url)


def bound(*channels: str, pmu: str = "", binary: Sequence[str] = (), **keys: Any) -> list[Binding]:
    """Bindings of rows 0, 1, ... to these channels."""
    return [
        Binding(row=row, name=text, pmu=pmu, channel=parse_channel(text, text in binary), **keys)
        for row, text in enumerate([*channels, *binary])
    ]


def decode(found: Configuration, bindings: list[Binding], *frames: bytes) -> Batch:
    """The points of these frames; fails when a channel is missing."""
    decoder = Decoder(found, bindings)
    assert not decoder.missing, decoder.missing
    return decoder.decode(frames)[0]


@dataclass(slots=True)
class Scene:
    """The PMU, the driver, and the core it talks to."""

    simulator: PmuSimulator
    driver: PmuDriver
    port: RecordingPort

    def show(self, *values: float) -> None:
        """Set what the points show, from row 0 on."""
        self.simulator.set(np.arange(len(values), dtype=np.uint32), np.array(values, np.float64))

    def good(self, *rows: int) -> bool:
        return bool((self.port.quality[list(rows)] == 0).all())

    def count(self, counter: str) -> int:
        return self.driver.counters()["pmu1"][counter]


@contextlib.asynccontextmanager
async def at_work(
    plan: StreamPlan, shape: Format | None = None, simulator: PmuSimulator | None = None
) -> AsyncIterator[Scene]:
    """The simulator on a free port and the driver running; both gone at the end."""
    simulator = simulator or PmuSimulator(plan, shape)
    await simulator.start()
    port = RecordingPort(len(plan.rows))
    driver = PmuDriver(at(plan, simulator.url), port)
    task = asyncio.create_task(driver.run())
    try:
        yield Scene(simulator, driver, port)
        assert not task.done(), "the driver must run until it is cancelled"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await simulator.stop()
