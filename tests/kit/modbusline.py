"""A simulated Modbus line with the driver at work on it, for stories."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np

from protocols.modbus.driver import ModbusDriver
from protocols.modbus.plan import LinePlan
from protocols.modbus.simulator import ModbusSimulator
from tests.kit.modbuskit import at
from tests.kit.recordingport import RecordingPort


@dataclass(slots=True)
class Scene:
    """The devices, the driver, and the core it talks to."""

    simulator: ModbusSimulator
    driver: ModbusDriver
    port: RecordingPort

    def show(self, **values: float) -> None:
        """Set what points show, ``r0=1.5`` for row 0."""
        rows = np.array([int(name[1:]) for name in values], np.uint32)
        self.simulator.set(rows, np.array(list(values.values())))

    def good(self, *rows: int) -> bool:
        return bool((self.port.quality[list(rows)] == 0).all())

    def count(self, counter: str, device: str = "dev") -> int:
        return self.driver.counters()[device][counter]


@contextlib.asynccontextmanager
async def at_work(plan: LinePlan) -> AsyncIterator[Scene]:
    """The simulator on a free port and the driver running; both gone at the end."""
    simulator = ModbusSimulator(plan)
    await simulator.start()
    port = RecordingPort(len(plan.rows))
    driver = ModbusDriver(at(plan, simulator.url), port)
    task = asyncio.create_task(driver.run())
    try:
        yield Scene(simulator, driver, port)
        assert not task.done(), "the driver must run until it is cancelled"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await simulator.stop()
