"""Our driver reads opendnp3's outstation (yadnp3, in a process of its own): an independent one."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.contracts import DeviceState, Pulse, Write, WriteRefused
from gateway.points import Quality
from protocols.dnp3.field.driver import OutstationDriver
from tests.kit.dnp3fieldkit import line, source
from tests.kit.ports import free_port
from tests.kit.recordingport import RecordingPort, until

pytestmark = pytest.mark.skipif(importlib.util.find_spec("opendnp3") is None, reason="no yadnp3 for this platform")
PEER = Path(__file__).parents[1] / "peers" / "yadnp3_outstation.py"
VALUES: dict[str, Any] = {
    "binary": [(1, 0x01), (0, 0x01), (1, 0x04), (1, 0x11)],
    "double": [(0, 0x01), (1, 0x01), (2, 0x01), (3, 0x02)],
    "counter": [(7, 0x01), (70_000, 0x01), (1, 0x04), (2, 0x41)],
    "analog": [(15.0, 0x01), (-2e6, 0x01), (5.0, 0x21), (5.0, 0x41)],
    "binary_output": [(1, 0x01), (0, 0x01), (1, 0x02), (1, 0x01)],
    "analog_output": [(10.0, 0x01), (-3.0, 0x01), (0.0, 0x04), (1.0, 0x01)],
}
KINDS = [("BI", "binary"), ("DBI", "double"), ("CTR", "counter"), ("AI", "analog"), ("BO", "binary"), ("AO", "analog")]
ROWS = [f"{kind.lower()}{at},{word},{kind},{at}," for kind, word in KINDS for at in range(4)]
MAP = "\n".join(["point,kind,type,index,mode", *ROWS[:-1], "ao3,setpoint,AO,3,select"])
EXPECTED = [0, 0, Quality.COMM_LOST, Quality.SUBSTITUTED, 0, 0, 0, Quality.NEVER_REPORTED]
EXPECTED += [0, 0, Quality.COMM_LOST, 0, 0, 0, Quality.OVER_RANGE, Quality.REFERENCE_ERROR]
EXPECTED += [0, 0, Quality.NEVER_REPORTED, 0, 0, 0, Quality.COMM_LOST, 0]


@asynccontextmanager
async def opendnp3(port: int, **options: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PEER), str(port), "10", "1", stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps({**VALUES, **options}).encode() + b"\n")
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def driven(port: int, **keys: Any) -> AsyncIterator[tuple[OutstationDriver, RecordingPort]]:
    made = line(source(MAP, response_timeout_s=1.0, event_poll_s=0.05, reconnect_max_s=0.3, **keys))
    core = RecordingPort(24)
    driver = OutstationDriver(replace(made, address=("127.0.0.1", port)), core)
    task = asyncio.create_task(driver.run())
    try:
        yield driver, core
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def online(core: RecordingPort) -> bool:
    return bool(core.states) and core.states_of("rtu1")[-1] is DeviceState.ONLINE


def test_its_values_events_and_restart() -> None:
    async def run() -> None:
        port = free_port()
        async with driven(port) as (driver, core):
            async with opendnp3(port, events=True, capacity=1_000) as process:
                await until(lambda: online(core), "online")
                wanted = [value for column in VALUES.values() for value, _ in column]
                assert core.value.tolist() == [float(value) for value in wanted]
                assert core.quality.tolist() == [int(each) for each in EXPECTED]
                await until(lambda: driver.counters()["rtu1"]["restarts"] == 1, "its restart is cleared")
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write(json.dumps({"do": "events", "count": 400, "batch": 50}).encode() + b"\n")
                await process.stdout.readline()
                await until(lambda: core.value[12:16].tolist() == [396, 397, 398, 399], "the last of 400 events")
                assert sum(len(core.seen[row]) for row in range(12, 16)) >= 400
            await until(lambda: not online(core), "killed")
            assert (core.quality & int(Quality.COMM_LOST) != 0).all()
            async with opendnp3(port):
                await until(lambda: online(core), "found again")

    asyncio.run(run())


def test_its_unsolicited_responses() -> None:
    async def run() -> None:
        port = free_port()
        peer = opendnp3(port, unsolicited=True, capacity=1_000)
        async with peer as process, driven(port, unsolicited=True) as (driver, core):
            await until(lambda: online(core), "online")
            await until(lambda: driver.counters()["rtu1"]["requests"] >= 4, "unsolicited enabled")
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps({"do": "events", "count": 100, "batch": 10}).encode() + b"\n")
            await until(lambda: core.value[15] == 99, "the last event")
            await until(lambda: driver.counters()["rtu1"]["unsolicited"] >= 1, "unsolicited")

    asyncio.run(run())


def test_what_it_refuses_is_refused() -> None:
    async def run() -> None:
        port = free_port()
        async with opendnp3(port), driven(port) as (driver, core):
            await until(lambda: online(core), "online")
            with pytest.raises(WriteRefused, match="the outstation"):
                await driver.write(Write(row=23, value=1.0, pulse=Pulse.DEFAULT))
            assert np.isfinite(core.value).all()

    asyncio.run(run())
