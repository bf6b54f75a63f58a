"""The control cycle in a core under field traffic: its time, its jitter, and an interlock's input to the stop write.

The core runs as it does in a gateway, table, feed, alarms and audit with it; its drivers are replaced by devices in
the same process that take a write at once, so that nothing but the gateway is measured.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.result import Result, percentile
from gateway.config import load_site
from gateway.contracts.command import Action, Command, Origin
from gateway.contracts.driver import OnWritten, Write
from gateway.core import Core
from gateway.log import get_log, setup
from gateway.points.model import NO_ROW

UNITS = (1, 10, 100)
SECONDS = 8.0
CHANGES_PER_S = 10_000
STOPS = 60
BATCH_S = 0.01
SCAN_S = 0.1
"""Each device is read so often."""

_MAP = """\
point,kind,table,address,type,unit,low,high,feedback
power,analog,input,0,float32,kW,-2000,2000,
soc,analog,input,2,float32,%,,,
temp_a,analog,input,4,float32,degC,,,
temp_b,analog,input,6,float32,degC,,,
temp_c,analog,input,8,float32,degC,,,
estop,binary,discrete,0,bit,,,,
running,binary,discrete,1,bit,,,,
setpoint,setpoint,holding,0,float32,kW,-1000,1000,power
run,control,coil,0,bit,,,,running
"""
_ROWS = """\
estop{0},u{0}/estop == 1,0,,stop u{0}; block u{0},yes,hmi
hot{0},u{0}/temp_a > 70; u{0}/temp_b > 70; u{0}/temp_c > 70,1000,2oo3,stop u{0},yes,hmi
warm{0},"max(u{0}/temp_a, u{0}/temp_b, u{0}/temp_c) > 60",1000,,limit u{0} 50%,no,auto
lost{0},quality(u{0}/soc) != good,3000,,ramp u{0} 0,no,auto
"""
_HEALTHY = (100.0, 60.0, 30.0, 30.0, 30.0, 0.0, 1.0, 100.0, 1.0)
_FIELD = 1000
"""Further points that change all the time."""


def _site(folder: Path, units: int) -> Path:
    (folder / "unit.csv").write_text(_MAP)
    rows = "".join(f"f{i},analog,input,{2 * i},float32\n" for i in range(_FIELD))
    (folder / "field.csv").write_text("point,kind,table,address,type\n" + rows)
    matrix = "name,when,delay_ms,vote,then,latch,reset\n" + "".join(_ROWS.format(i) for i in range(units))
    (folder / "interlocks.csv").write_text(matrix)
    device = "  - {{name: d{0}, driver: modbus, url: 'tcp://127.0.0.1:{1}', map: unit.csv, prefix: u{0}}}\n"
    text = "site: bench\ndevices:\n" + "".join(device.format(i, 6000 + i) for i in range(units))
    text += "  - {name: field, driver: modbus, url: 'tcp://127.0.0.1:5999', map: field.csv, prefix: field}\n"
    text += "control:\n  interlocks: interlocks.csv\n  units:\n"
    text += "".join(
        f"    - {{unit: u{i}, setpoint: u{i}/setpoint, ramp_kw_per_s: 50, soc: u{i}/soc}}\n" for i in range(units)
    )
    path = folder / "site.yaml"
    path.write_text(text)
    return path


class _Devices:
    """Take every write at once, note when, acknowledge in the next turn of the loop; what they hold shows when they
    are read, each once in `SCAN_S`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.at_ns: dict[int, int] = {}
        self.held: dict[int, float] = {}
        self.writes = 0
        self._open: list[OnWritten] = []

    def take_write(self, write: Write, on_written: OnWritten) -> _Ticket:
        self._note(write)
        if not self._open:
            asyncio.get_running_loop().call_soon(self._answer)
        self._open.append(on_written)
        return _Ticket()

    async def write(self, write: Write) -> None:
        self._note(write)

    def _note(self, write: Write) -> None:
        self.writes += 1
        self.at_ns[write.row] = time.perf_counter_ns()
        self.held[write.row] = write.value

    def _answer(self) -> None:
        answered, self._open = self._open, []
        for on_written in answered:
            on_written(None)

    async def read(self, devices: list[list[int]]) -> None:
        """Rows of each device, one device after another, for ever."""
        table = self._core.table
        while True:
            for rows in devices:
                at = np.array(rows, np.uint32)
                values = np.array([self.held.get(row, table.value[row]) for row in rows])
                self._core.publish(at, values, np.zeros(len(at), np.uint32), time.time_ns())
                await asyncio.sleep(SCAN_S / len(devices))

    def counters(self) -> dict[str, dict[str, int]]:
        return {}


class _Ticket:
    def cancel(self) -> None:
        """What a device has taken it keeps."""


class _Bench:
    def __init__(self, folder: Path, units: int) -> None:
        self.units = units
        plan = load_site(_site(folder, units))
        plan.state_dir = folder / "state"
        self.rows = plan.catalogue.rows
        self.core = Core(plan, get_log(process="bench"))
        self.devices = _Devices(self.core)
        self.core._drivers = [self.devices for _ in plan.drivers]
        assert self.core.control is not None
        self.control = self.core.control
        self.cpu_us: list[float] = []
        self.overruns = 0

    def show(self, name: str, value: float) -> None:
        rows = np.array([self.rows[name]], np.uint32)
        self.core.publish(rows, np.array([value]), np.zeros(1, np.uint32), time.time_ns())

    async def traffic(self) -> None:
        rows = np.array([self.rows[f"field/f{i}"] for i in range(_FIELD)], np.uint32)
        random = np.random.default_rng(1)
        count = int(CHANGES_PER_S * BATCH_S)
        at = 0
        while True:
            part = rows[at : at + count]
            at = (at + count) % _FIELD
            self.core.publish(part, random.random(len(part)), np.zeros(len(part), np.uint32), time.time_ns())
            await asyncio.sleep(BATCH_S)

    async def run(self) -> tuple[list[tuple[float, float]], list[float]]:
        """(step, lateness) in us of every cycle, and ways of the stop in ms."""
        core, control = self.core, self.control
        core.audit.start()
        core.alarms.start()
        names = [line.split(",")[0] for line in _MAP.splitlines()[1:]]
        for i in range(self.units):
            for name, value in zip(names, _HEALTHY, strict=True):
                self.show(f"u{i}/{name}", value)
        control.start()
        core.have_process()
        rows = [[self.rows[f"u{i}/setpoint"], self.rows[f"u{i}/run"]] for i in range(self.units)]
        tasks = [asyncio.create_task(self.traffic()), asyncio.create_task(self.devices.read(rows))]
        await asyncio.sleep(1.0)
        for standing in control.cycle.standing:  # every unit is on a ramp for the whole time: a write per cycle
            standing.ask(1000.0, "bench", False, time.monotonic_ns())
        self._time_steps()
        control.counters.measuring = True
        overruns = control.counters.overruns
        await asyncio.sleep(SECONDS)
        control.counters.measuring = False
        self.overruns = control.counters.overruns - overruns
        ways = [await self._stop(i) for i in range(STOPS)]
        for task in tasks:
            task.cancel()
        await core.stop()
        return control.counters.latest, ways

    def _time_steps(self) -> None:
        """CPU of each step: what the machine's other work does not change."""
        step = self.control._run

        def timed() -> bool:
            began = time.thread_time_ns()
            healthy = step()
            self.cpu_us.append((time.thread_time_ns() - began) / 1e3)
            return healthy

        self.control._run = timed  # type: ignore[method-assign]

    async def _stop(self, number: int) -> float:
        """The emergency stop of one unit is pressed at any moment of the cycle; then all is as it was."""
        unit = number % self.units
        row = self.rows[f"u{unit}/run"]
        self.devices.at_ns.pop(row, None)
        await asyncio.sleep(0.003 * (number % 11))
        began = time.perf_counter_ns()
        self.show(f"u{unit}/estop", 1.0)
        while row not in self.devices.at_ns:
            await asyncio.sleep(0)
        way_ms = (self.devices.at_ns[row] - began) / 1e6
        self.show(f"u{unit}/estop", 0.0)
        await asyncio.sleep(0.05)
        origin = Origin(protocol="bench", server="local", master="bench")
        deadline_ns = time.time_ns() + 10**9
        facts = {"row": NO_ROW, "value": 0.0, "action": Action.RESET, "subject": f"estop{unit}"}
        self.core.broker.submit(Command(id=number, origin=origin, deadline_ns=deadline_ns, **facts), lambda _: None)
        await asyncio.sleep(0.05)
        return way_ms


def measure() -> Iterator[Result]:
    """Cycle time and jitter at 1, 10 and 100 units; the way of a stop."""
    setup("bench", "error")
    note = f"{CHANGES_PER_S} changes/s, every unit on a ramp, 4 interlocks a unit"
    for units in UNITS:
        with tempfile.TemporaryDirectory() as folder:
            bench = _Bench(Path(folder), units)
            cycles, ways = asyncio.run(bench.run())
        if len(cycles) < SECONDS * 40:
            raise RuntimeError(f"only {len(cycles)} cycles in {SECONDS:g} s")
        steps, late = [step for step, _ in cycles], [late for _, late in cycles]
        budget = {1: None, 10: 200.0, 100: None}[units]
        yield Result(name=f"control_step_{units}_p50", value=percentile(steps, 50), unit="us", budget=budget, note=note)
        yield Result(name=f"control_step_{units}_p99", value=percentile(steps, 99), unit="us")
        yield Result(name=f"control_step_{units}_max", value=max(steps), unit="us")
        yield Result(name=f"control_step_{units}_cpu_p50", value=percentile(bench.cpu_us, 50), unit="us")
        yield Result(name=f"control_overruns_{units}", value=bench.overruns, unit="cycles", note=f"of {len(cycles)}")
        yield Result(name=f"control_jitter_{units}_p50", value=percentile(late, 50), unit="us")
        yield Result(name=f"control_jitter_{units}_p99", value=percentile(late, 99), unit="us", budget=2000.0)
        yield Result(name=f"control_jitter_{units}_max", value=max(late), unit="us")
        yield Result(name=f"control_stop_{units}_p50", value=percentile(ways, 50), unit="ms")
        yield Result(name=f"control_stop_{units}_p99", value=percentile(ways, 99), unit="ms", budget=5.0)
