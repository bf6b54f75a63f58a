"""CPU of ten PMU streams at 50 frames/s through the driver (cut, check, decode, publish), beside reading them only.

The simulated PMUs are in another process. Each stream carries 6 phasors, frequency, ROCOF, 2 analogs and 16 digitals:
32 points.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np

from bench.modbus_poll import CountingPort
from bench.result import Result
from protocols.c37118.channel import parse_channel
from protocols.c37118.driver import PmuDriver
from protocols.c37118.frame import Command, command
from protocols.c37118.plan import Binding, StreamPlan, Url
from protocols.c37118.simulator import PmuSimulator

STREAMS = 10
RATE = 50
WARM_UP_S = 1.0
DURATION_S = 6.0
PEER = "asyncio reading the same streams, nothing decoded"
PHASORS = ("VA", "VB", "VC", "IA", "IB", "IC")
CHANNELS = [
    *("FREQ", "DFREQ", "P", "Q"),
    *(f"{name}.{part}" for name in PHASORS for part in ("mag", "ang")),
]
POINTS = len(CHANNELS) + 16


def plan(port: int) -> StreamPlan:
    """One stream at this port of the loopback."""
    named = [(text, parse_channel(text, binary=False)) for text in CHANNELS]
    named += [(f"bit {n}", parse_channel(f"DIGITAL[1].{n}", binary=True)) for n in range(16)]
    bindings = [Binding(row=row, name=name, pmu="North", channel=channel) for row, (name, channel) in enumerate(named)]
    return StreamPlan(
        devices=["pmu"],
        rows=np.arange(POINTS, dtype=np.uint32),
        url=Url(scheme="tcp", host="127.0.0.1", port=port),
        id=7,
        bindings=bindings,
        rate=float(RATE),
    )


async def _play() -> None:
    """The process of the PMUs: prints its ports, moves its values, ends with its standard input."""
    pmus = [PmuSimulator(plan(0)) for _ in range(STREAMS)]
    for pmu in pmus:
        await pmu.start()
    print(json.dumps([pmu.url.port for pmu in pmus]), flush=True)
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    rows, step = np.arange(len(CHANNELS), dtype=np.uint32), 0
    while not end.done():
        step += 1
        for pmu in pmus:
            pmu.set(rows, 50.0 + 0.001 * step + rows)
        await asyncio.sleep(0.2)
    for pmu in pmus:
        await pmu.stop()


@contextlib.contextmanager
def _pmus() -> Iterator[list[int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.pmu_streams"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate(timeout=30)


async def _used_s(begin: Callable[[], Awaitable[Any]], seen: Callable[[], int]) -> tuple[float, int]:
    """CPU seconds of this process while it is at work, and how much it saw."""
    tasks: Sequence[asyncio.Task[None]] = await begin()
    await asyncio.sleep(WARM_UP_S)
    used_s, before = time.process_time(), seen()
    await asyncio.sleep(DURATION_S)
    used_s, found = time.process_time() - used_s, seen() - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if not found:
        raise RuntimeError("no frame came")
    return used_s, found


async def _ours(ports: list[int]) -> tuple[float, int, int]:
    """CPU seconds, frames published, frames lost."""
    port = CountingPort()
    drivers = [PmuDriver(plan(each), port) for each in ports]

    async def begin() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(driver.run()) for driver in drivers]

    used_s, values = await _used_s(begin, lambda: port.values)
    lost = sum(driver.counters()["pmu"]["errors"] for driver in drivers)
    return used_s, values // POINTS, lost


async def _plain(ports: list[int]) -> float:
    """CPU seconds of reading what comes and throwing it away."""
    octets = 0

    async def read(port: int) -> None:
        nonlocal octets
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(command(7, Command.DATA_ON))
            while data := await reader.read(65536):
                octets += len(data)
        finally:
            writer.close()

    async def begin() -> list[asyncio.Task[None]]:
        return [asyncio.create_task(read(port)) for port in ports]

    used_s, _ = await _used_s(begin, lambda: octets)
    return used_s


def measure() -> Iterator[Result]:
    """Share of one core for all streams, and what a frame costs."""
    with _pmus() as ports:
        plain_s = asyncio.run(_plain(ports))
        used_s, frames, lost = asyncio.run(_ours(ports))
    yield Result(
        name="pmu_streams",
        value=100 * used_s / DURATION_S,
        unit=f"% of a core, {STREAMS} streams x {RATE} frames/s x {POINTS} points",
        peer=PEER,
        peer_value=100 * plain_s / DURATION_S,
        note=f"{frames / DURATION_S:.0f} frames/s published, {lost} lost",
    )
    yield Result(name="pmu_frame", value=1e6 * used_s / frames, unit=f"us CPU a frame of {POINTS} points")


if __name__ == "__main__":
    asyncio.run(_play())
