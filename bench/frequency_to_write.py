"""From a frequency sample at the PMU's socket to the set-point write at the device, with all the field's traffic.

A whole gateway: ten devices with 1,000 points each of which 10,000 values change a second, a PMU at 50 frames/s, and
three masters that are told of changes all the while: IEC 104 of everything, DNP3 unsolicited, OPC UA subscribed. Step
and lateness of the control cycle are the gateway's own points, as the 104 master is told.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench import master104, sites, system
from bench.dnp3_rig import MasterProcess, reader
from bench.iec104_rig import end
from bench.result import Result, percentile
from gateway.config import load_site
from gateway.processes.priority import RT_PRIORITY
from protocols.c37118 import simulator

DEVICES = 10
POINTS = 1000
CHANGES_PER_S = 10_000.0
SHARED = 200
"""Points of the DNP3 map, and nodes that the OPC UA client is subscribed to."""
STEPS = 150
HZ: Final = (49.60, 49.80)
"""Both outside the dead band, so that each step is a write."""
RATED_KW: Final = 1000.0
JITTER_IOA, STEP_IOA = 16_000_101, 16_000_102
LOST_S: Final = 1.0
"""A write that comes later than this is not the step's."""

_MORE = """\
  - name: rldc
    protocol: dnp3
    listen: 127.0.0.1:{dnp3}
    outstation: 10
    masters:
      - {{name: rldc, address: 1, addresses: [127.0.0.1], map: dnp3.csv, unsolicited: {{classes: [1]}}}}
  - {{name: ua, protocol: opcua, listen: "opc.tcp://127.0.0.1:{opcua}", allow_none: true, anonymous: true}}
control:
  watchdog_s: 30 # a start on a busy machine is not what is measured
  units: [{{unit: bess1, setpoint: dev9/setpoint, rated_kw: 1000, limits_kw: [-1000, 1000]}}]
  droop: [{{unit: bess1, frequency: [pmu/frequency], blend_s: 0, capacity_kwh: 2000}}]
"""
_PMU = "  - {{name: pmu, driver: c37118, url: 'tcp://127.0.0.1:{port}', id: 1, map: pmu.csv, prefix: pmu}}\nservers:\n"


def _site(folder: Path, devices: list[int], ports: tuple[int, int, int, int]) -> sites.BenchSite:
    iec104, dnp3, opcua, pmu = ports
    site = sites.write(folder, devices, POINTS, port=iec104, setpoint=True)
    text = site.path.read_text().replace("servers:\n", _PMU.format(port=pmu), 1)
    site.path.write_text(text + _MORE.format(dnp3=dnp3, opcua=opcua))
    (folder / "pmu.csv").write_text("point,kind,pmu,channel,unit,low,high\nfrequency,analog,1,FREQ,Hz,40,60\n")
    rows = "".join(f"dev1/p{number},AI,{number},1,g30v5,g32v7\n" for number in range(SHARED))
    (folder / "dnp3.csv").write_text("point,type,index,class,static,event\n" + rows)
    with (folder / "master.csv").open("a") as file:
        file.write(f"system/control/jitter_us,1,{JITTER_IOA},M_ME_TF_1,\n")
        file.write(f"system/control/cycle_us,1,{STEP_IOA},M_ME_TF_1,\n")
    return site


# -- the PMU and the OPC UA client, each in a process of its own ---------------------------------------------------


async def _play(site: Path) -> None:
    """Stands at the second frequency until told to begin; then steps, and prints when each one left."""
    plan = next(plan for name, plan in load_site(site).drivers if name == "c37118")
    pmu = simulator.PmuSimulator(plan)
    left: list[tuple[int, float]] = []
    waiting: list[float] = []
    send = simulator._Peer._write

    def write(peer: Any, data: bytes) -> None:
        if waiting:
            left.append((time.monotonic_ns(), waiting.pop()))
        send(peer, data)

    simulator._Peer._write = write  # type: ignore[method-assign]
    row = np.array([plan.bindings[0].row], np.uint32)
    pmu.set(row, np.array([HZ[1]]))
    await pmu.start()
    print(json.dumps({"ready": True}), flush=True)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.readline)
    for number in range(STEPS):
        await asyncio.sleep(0.25 + 0.003 * (number % 17))
        waiting.append(HZ[number % 2])
        pmu.set(row, np.array([HZ[number % 2]]))
    await asyncio.sleep(LOST_S)
    print(json.dumps({"left": left}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    await pmu.stop()


async def _subscribe(port: int) -> None:
    """An asyncua client; prints how many changes it was told of when its input ends."""
    from asyncua import Client

    class Told:
        changes = 0

        def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
            self.changes += 1

    told = Told()
    async with Client(f"opc.tcp://127.0.0.1:{port}", timeout=20) as client:
        subscription = await client.create_subscription(250, told)
        await subscription.subscribe_data_change(
            [client.get_node(f"ns=2;s=dev2/p{number}") for number in range(SHARED)]
        )
        print(json.dumps({"ready": True}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print(json.dumps({"changes": told.changes}), flush=True)


@contextlib.contextmanager
def _other(*words: object) -> Iterator[MasterProcess]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.frequency_to_write", *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield MasterProcess(process)
    finally:
        end(process)


def _as_another_machine(pid: int) -> None:
    """What stands for a device does not wait for this machine's other work, where that is allowed."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(RT_PRIORITY))


def _closed(other: MasterProcess) -> dict[str, Any]:
    """What it says when its input has ended."""
    assert other.process.stdin is not None
    other.process.stdin.close()
    return other.answer()


# -- the measurement -----------------------------------------------------------------------------------------------


def _expected_kw(hz: float) -> int:
    """IEGC: 5 % no-step droop from the edge of +-0.03 Hz."""
    return round((49.97 - hz) / (0.05 * 50.0) * RATED_KW)


def _ways_ms(left: list[tuple[int, float]], writes: list[tuple[int, int, int]]) -> list[float]:
    """From each step to the first write of what it asks for."""
    out = []
    for time_ns, hz in left:
        at = bisect.bisect_left(writes, (time_ns, 0, 0))
        for written_ns, _, kw in writes[at:]:
            if written_ns - time_ns > LOST_S * 1e9:
                break
            if abs(kw - _expected_kw(hz)) <= 1:
                out.append((written_ns - time_ns) / 1e6)
                break
    return out


class _Cycle:
    """What the gateway says of its own cycle, once a second."""

    def __init__(self) -> None:
        self.seen: dict[int, list[float]] = {JITTER_IOA: [], STEP_IOA: []}

    def take(self, values: master104.Values) -> None:
        for ioa, value in zip(values.ioas.tolist(), values.values.tolist(), strict=True):
            if ioa in self.seen:
                self.seen[ioa].append(value)


def measure() -> Iterator[Result]:
    """The way in ms, the cycle beside it, and what the masters were told."""
    cycle, told = _Cycle(), dict[str, float]()
    share = CHANGES_PER_S / DEVICES
    with (
        system.workspace() as folder,
        system.devices(DEVICES - 1, POINTS, changes_per_s=CHANGES_PER_S - share) as others,
        system.devices(1, POINTS, changes_per_s=share) as unit,  # alone: it is not to wait for what the others do
    ):
        ports = (system.free_port(), system.free_port(), system.free_port(), system.free_port())
        site = _site(folder, [*others.ports, *unit.ports], ports)
        with _other("pmu", site.path) as pmu:
            pmu.answer()
            for process in (unit.process, pmu.process):
                _as_another_machine(process.pid)
            with system.gateway(site) as gateway, master104.connect(site.port, 60.0, gateway.check) as master:
                left = _run(ports, gateway, master, pmu, cycle, told)
        others.finish(), unit.finish()
    ways = _ways_ms(left, sorted(tuple(write) for write in unit.writes))
    if len(ways) < 0.95 * STEPS:
        raise RuntimeError(f"only {len(ways)} of {STEPS} steps reached the device")
    masters = ", ".join(f"{name} {rate:,.0f}/s" for name, rate in told.items())
    note = f"{len(ways)} of {STEPS} steps; told meanwhile: {masters}"
    yield Result(name="frequency_to_write_p50", value=percentile(ways, 50), unit="ms", note=note)
    yield Result(name="frequency_to_write_p99", value=percentile(ways, 99), unit="ms", budget=5.0)
    yield Result(name="frequency_to_write_max", value=max(ways), unit="ms")
    for name, ioa in (("jitter", JITTER_IOA), ("step", STEP_IOA)):
        seen, note = cycle.seen[ioa], "largest of each second"
        yield Result(name=f"frequency_to_write_cycle_{name}_p50", value=percentile(seen, 50), unit="us", note=note)
        yield Result(name=f"frequency_to_write_cycle_{name}_max", value=max(seen), unit="us")


@contextlib.contextmanager
def _pumped(master: master104.Master) -> Iterator[None]:
    """The 104 master receives in a thread. Raises what it met."""
    over, met = threading.Event(), list[Exception]()

    def pump() -> None:
        try:
            while not over.is_set():
                master.pump(0.1)
        except OSError as error:
            met.append(error)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if met:
        raise met[0]


def _run(
    ports: tuple[int, int, int, int],
    gateway: system.Gateway,
    master: master104.Master,
    pmu: MasterProcess,
    cycle: _Cycle,
    told: dict[str, float],
) -> list[tuple[int, float]]:
    master.start()
    master.pump(5.0)
    master.set_point(sites.SETPOINT_IOA, 0.0)  # the base to which the response is added
    master.on_values = cycle.take
    with _pumped(master), reader(ports[1]) as dnp3, _other("opcua", ports[2]) as opcua:
        opcua.answer()
        dnp3.ask(do="enable")
        dnp3.order(do="unsolicited", expect=10**9, silence_s=20.0, timeout_s=STEPS * 0.3 + 10.0)
        before, began = master.counts.values, time.monotonic()
        pmu.order(do="begin")
        left: list[tuple[int, float]] = pmu.answer()["left"]
        gateway.check()
        passed_s = time.monotonic() - began
        told["104"] = (master.counts.values - before) / passed_s
        told["OPC UA"] = _closed(opcua)["changes"] / passed_s
        told["DNP3"] = dnp3.answer()["received"] / passed_s
    return [(time_ns, hz) for time_ns, hz in left]


if __name__ == "__main__":
    role, what = sys.argv[1:]
    asyncio.run(_play(Path(what)) if role == "pmu" else _subscribe(int(what)))
