"""Polls of a SunSpec device of 20 models per second of CPU: the driver beside pysunspec2's client.

The simulated device is in another process. A poll of ours (read, decode, publish) brings every point up to date, one of
the peer every model.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from bench import system
from bench.modbus_poll import CountingPort
from bench.result import Result
from gateway.config import load_site
from protocols.modbus.plan import LinePlan, Url
from protocols.sunspec.definitions import definition
from protocols.sunspec.devicemap import csv_text, imagined, rows
from protocols.sunspec.driver import SunSpecDriver
from protocols.sunspec.simulator import SunSpecSimulator

MODELS = (1, 103, 113, 120, 121, 122, 123, 160, 203, 701, 702, 703, 704, 705, 712, 713, 714, 715, 802, 803)
DURATION_S = 5.0
PEER = "pysunspec2 1.3 client, every model read, scaled values taken"


def site_plan() -> LinePlan:
    """All measured points of the models, as fast as the device answers."""
    known = {number: made for number in MODELS if (made := definition(number)) is not None}
    with system.workspace() as folder:
        (folder / "map.csv").write_text(csv_text(rows(imagined(known, 2), known, lambda found, path: True)))
        keys = "driver: sunspec, url: 'tcp://127.0.0.1:0', map: map.csv, prefix: p, scan_ms: 10, timeout_ms: 2000"
        (folder / "site.yaml").write_text(f"site: s\ndevices:\n  - {{name: inv, {keys}}}\n")
        plan: LinePlan = load_site(folder / "site.yaml").drivers[0][1]
        return plan


async def _play() -> None:
    what = site_plan()
    simulator = SunSpecSimulator(what)
    simulator.set(what.rows, np.ones(len(what.rows)))
    await simulator.start()
    print(simulator.url.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await simulator.stop()


@contextlib.contextmanager
def _device() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sunspec_polls"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.communicate(timeout=30)


async def _ours(port: int) -> tuple[float, float, int]:
    """Polls per second of CPU, polls per second, points."""
    what = site_plan()
    counting = CountingPort()
    driver = SunSpecDriver(replace(what, url=Url(scheme="tcp", host="127.0.0.1", port=port)), counting)
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(1.0)
    used_s, before = time.process_time(), counting.values
    await asyncio.sleep(DURATION_S)
    used_s, polls = time.process_time() - used_s, (counting.values - before) / len(what.rows)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    if not polls:
        raise RuntimeError("the driver read nothing")
    return polls / used_s, polls / DURATION_S, len(what.rows)


def _theirs(port: int) -> tuple[float, float]:
    """Polls per second of CPU, polls per second."""
    from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=10)
    device.scan()
    device.connect()
    models = [device.models[number][0] for number in MODELS]
    polls, used_s, begun = 0, time.process_time(), time.monotonic()
    while time.monotonic() - begun < DURATION_S:
        for model in models:
            model.read()
            model.get_dict(computed=True)
        polls += 1
    used_s, took_s = time.process_time() - used_s, time.monotonic() - begun
    device.disconnect()
    return polls / used_s, polls / took_s


def measure() -> Iterator[Result]:
    """Polls per second of CPU, and as they came."""
    with _device() as port:
        theirs, their_rate = _theirs(port)
        ours, rate, points = asyncio.run(_ours(port))
    yield Result(
        name="sunspec_polls",
        value=ours,
        unit=f"polls per second of CPU, {len(MODELS)} models, {points} points",
        peer=PEER,
        peer_value=theirs,
        note=f"{rate:.0f} polls/s as the device answered, peer {their_rate:.0f}",
    )


if __name__ == "__main__":
    asyncio.run(_play())
