"""A flood of alarms in a core: how long one turn of the loop takes while a batch raises 1,000 of them at once."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from bench.result import Result, percentile
from gateway.config import load_site
from gateway.core import Core
from gateway.log import get_log, setup

ALARMS: Final = 1_000
FLOODS: Final = 20


def _site(folder: Path) -> Path:
    rows = "".join(f"t{i},analog,input,{2 * i},float32,degC,55\n" for i in range(ALARMS))
    (folder / "field.csv").write_text("point,kind,table,address,type,unit,alarm_h\n" + rows)
    path = folder / "site.yaml"
    path.write_text(
        "site: bench\ndevices:\n"
        "  - {name: field, driver: modbus, url: 'tcp://127.0.0.1:5999', map: field.csv, prefix: field}\n"
    )
    return path


class _Turns:
    """Wall and CPU time of the turns of a loop that is never idle."""

    def __init__(self) -> None:
        self.wall_us: list[float] = []
        self.cpu_us: list[float] = []

    async def watch(self) -> None:
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        while True:
            await asyncio.sleep(0)
            wall_now, cpu_now = time.perf_counter_ns(), time.thread_time_ns()
            self.wall_us.append((wall_now - wall) / 1e3)
            self.cpu_us.append((cpu_now - cpu) / 1e3)
            wall, cpu = wall_now, cpu_now


async def _flood(core: Core, rows: np.ndarray, value: float, count: int) -> tuple[float, float, float]:
    """(longest turn, its CPU, time until all are told) in us."""
    turns = _Turns()
    watching = asyncio.create_task(turns.watch())
    await asyncio.sleep(0)
    began, goal = time.perf_counter_ns(), core.alarms.engine.seq + count
    core.publish(rows, np.full(len(rows), value), np.zeros(len(rows), np.uint32), time.time_ns())
    while core.alarms.engine.seq < goal:
        await asyncio.sleep(0)
    whole_us = (time.perf_counter_ns() - began) / 1e3
    for _ in range(3):
        await asyncio.sleep(0)
    watching.cancel()
    return max(turns.wall_us), max(turns.cpu_us), whole_us


async def _run(folder: Path) -> list[tuple[float, float, float]]:
    plan = load_site(_site(folder))
    plan.state_dir = folder / "state"
    core = Core(plan, get_log(process="bench"))
    core.audit.start()
    core.alarms.start()
    core.have_process()
    names = plan.catalogue.rows
    rows = np.array([names[f"field/t{i}"] for i in range(ALARMS)], np.uint32)
    core.publish(rows, np.full(ALARMS, 20.0), np.zeros(ALARMS, np.uint32), time.time_ns())
    floods = []
    for _ in range(FLOODS):
        floods.append(await _flood(core, rows, 60.0, ALARMS))
        await _flood(core, rows, 20.0, ALARMS)
        await asyncio.sleep(0.1)
    await core.stop()
    return floods


def measure() -> Iterator[Result]:
    """Turns of the loop, and the way of the whole flood."""
    setup("bench", "error")
    with tempfile.TemporaryDirectory() as folder:
        floods = asyncio.run(_run(Path(folder)))
    note = f"{ALARMS} alarms raised by one batch; the longest turn of each of {FLOODS} floods"
    wall, cpu, whole = ([flood[i] for flood in floods] for i in range(3))
    yield Result(name="alarms_flood_turn_p50", value=percentile(wall, 50), unit="us", budget=2_000.0, note=note)
    yield Result(name="alarms_flood_turn_max", value=max(wall), unit="us")
    yield Result(name="alarms_flood_turn_cpu_p50", value=percentile(cpu, 50), unit="us", budget=2_000.0)
    yield Result(name="alarms_flood_whole_p50", value=percentile(whole, 50), unit="us", note="until the last is told")
