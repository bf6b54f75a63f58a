"""The core process: drivers, point table, broker, feed. Nothing slow lives here."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway import registry
from gateway.alarms.actions import ALARM_ACTIONS
from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.service import AlarmService
from gateway.alarms.store import AlarmStore
from gateway.alarms.summary import AlarmSystemRows
from gateway.audit import AuditLog
from gateway.commanding.authority import Authority, rights_by_master
from gateway.commanding.claim import Refusal
from gateway.commanding.fastwrites import FastWrites
from gateway.commands import CommandBroker
from gateway.contracts.command import Action, Command, OnOutcome, Outcome, Reason, Stage
from gateway.contracts.driver import DeviceState, FieldDriver, OnWritten, Write, WriteLost, WriteTicket
from gateway.contracts.log import Log
from gateway.control.runner import ControlRunner
from gateway.control.store import ControlStore
from gateway.control.view import control_view
from gateway.feed.address import socket_path
from gateway.feed.hub import FeedHub
from gateway.feed.ring import ChangeRing
from gateway.history.plan import SERVER as HISTORIAN
from gateway.log import get_log
from gateway.points.calculated import CalculatedPoints
from gateway.points.change import Changes, Qualities, Rows, Times, Values
from gateway.points.chatter import ChatterFilter
from gateway.points.model import NO_ROW
from gateway.points.quality import Quality
from gateway.points.table import PointTable
from gateway.processes.child import Child
from gateway.processes.priority import before_others
from gateway.site.plan import SitePlan

SWEEP_S: Final = 0.05
RING_CHANGES: Final = 500_000
"""Changes that the core keeps for readers that fall behind or restart: 12 MB."""
_COUNTERS_S: Final = 1.0
_DRIVER_RETRY_S: Final = (0.5, 1.0, 2.0, 5.0)
_LOCK_WAIT_S: Final = 5.0
_SWITCH_S: Final = 0.0005
"""How long a thread that writes to a disk may keep the control cycle waiting for the interpreter; Python says 5 ms."""


def next_epoch(state_dir: Path) -> int:
    """The number of this core's life, one above the last; kept on disk so that it never repeats."""
    path = state_dir / "run" / "epoch"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        epoch = int(path.read_text()) + 1
    except (FileNotFoundError, ValueError):
        epoch = int(time.time()) % (1 << 23)
    fresh = path.with_suffix(".new")
    with fresh.open("w") as file:
        file.write(str(epoch))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return epoch


class _DriverPort:
    """The core as one driver sees it."""

    def __init__(self, core: Core, log: Log) -> None:
        self._core = core
        self.log = log

    def now_ns(self) -> int:
        return time.time_ns()

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int) -> None:
        self._core.publish(rows, values, qualities, times_ns)

    def degrade(self, rows: Rows, flags: int) -> None:
        self._core.spread(self._core.table.degrade(rows, flags))

    def state(self, device: str, state: DeviceState, text: str = "") -> None:
        self._core.device_state(device, state, text)

    def controlled(self) -> bool:
        return self._core.control is None or self._core.control.running


class Core:
    """One site's table, drivers, broker and feed on one loop."""

    def __init__(self, plan: SitePlan, log: Log) -> None:
        self.plan, self.log = plan, log
        self.table = PointTable(plan.catalogue)
        ring = ChangeRing(next_epoch(plan.state_dir), RING_CHANGES)
        self.hub = FeedHub(plan.name, self.table, ring, self, log.bind(part="feed"))
        self.hub.counters = self.counters
        self.hub.devices = self.devices
        self.audit = AuditLog(plan.state_dir / "audit", log.bind(part="audit"))
        local_row, remote_when = plan.local_remote or (NO_ROW, 0.0)
        authority = Authority(
            rights=rights_by_master(plan.rights),
            local_row=local_row,
            remote_when=remote_when,
            holders=plan.holders,
        )
        self.broker = CommandBroker(
            plan.catalogue,
            self.table,
            authority,
            self.write_field,
            self.hub.tell_commanded,
            self.spread,
            self.audit,
            log.bind(part="broker"),
        )
        self.broker.control_writes = FastWrites(self.write_field, self.take_write)
        self.alarms = AlarmService(
            plan.alarms or AlarmCatalogue(points=plan.catalogue),
            plan.alarm_system or AlarmSystemRows(),
            self.table,
            self.hub,
            AlarmStore(plan.state_dir / "alarms", log.bind(part="alarms")),
            self.set_system_rows,
            log.bind(part="alarms"),
        )
        self.broker.handle(ALARM_ACTIONS, self.alarms.act)
        if plan.alarm_system is not None:
            self.broker.handle_point(plan.alarm_system.acknowledge_all, self._acknowledge_all)
        self.broker.record.told = self.hub.tell_record
        self.control: ControlRunner | None = None
        if plan.control is not None:
            store = ControlStore(plan.state_dir / "control", log.bind(part="control"))
            self.control = ControlRunner(
                plan.control, self.table, self.broker, self._publish_now, store, log.bind(part="control")
            )
            self.broker.handle([Action.ACKNOWLEDGE], self._acknowledge)
            self.hub.control = self._control_view
        self._calculated = CalculatedPoints(plan.calculated) if plan.calculated else None
        self._chatter = ChatterFilter.of(plan.catalogue)
        self._drivers: list[FieldDriver | None] = [None] * len(plan.drivers)
        self._driver_of: NDArray[np.int16] = np.full(len(plan.catalogue), -1, np.int16)
        for index, (_, driver_plan) in enumerate(plan.drivers):
            self._driver_of[driver_plan.rows] = index
        self._states: dict[str, tuple[DeviceState, str, int]] = {}
        system = [row for row, name in enumerate(plan.catalogue.names) if name.startswith("system/")]
        self._system_rows = np.array(system, np.intp)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the feed, start the drivers. Raises `OSError` when the state directory cannot be used."""
        for driver_name, _ in self.plan.drivers:
            registry.load(registry.field(driver_name).driver)  # now: an import later would hold the control cycle up
        self.audit.start()
        self.alarms.start()
        await self.hub.start(socket_path(self.plan.state_dir))
        self._tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._count())]
        self._tasks.append(asyncio.create_task(self.alarms.run()))
        for index, (driver_name, _) in enumerate(self.plan.drivers):
            self._tasks.append(asyncio.create_task(self._keep_driver(index, driver_name)))
        if self.control is not None:
            self.control.start()

    def have_process(self) -> None:
        """This process is the core's alone: nothing in it may keep the control cycle waiting."""
        if self.control is not None:
            gc.freeze()
            self.control.collect_when_idle()
            sys.setswitchinterval(_SWITCH_S)

    async def stop(self) -> None:
        """Stop the drivers, answer what is in flight, send the last changes, close."""
        if self.control is not None:
            self.control.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.broker.stop()
        await self.hub.stop()
        self.alarms.stop()
        self.audit.stop()

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int) -> None:
        """One batch of updates into the table, what changed to the feed and to the calculated points."""
        now_ns = time.monotonic_ns()
        if self._chatter is not None:
            values, qualities = self._chatter.admit(rows, values, qualities, times_ns, now_ns)
        self.spread(self.table.publish(rows, values, qualities, times_ns, now_ns))

    def spread(self, batch: Changes) -> None:
        """Hand changes of the table on."""
        if not len(batch):
            return
        if self.control is not None:
            self.control.after(batch)
        self.hub.append(batch)
        self.alarms.after(batch)
        if self._calculated is not None:
            table = self.table
            new = self._calculated.after(batch["row"], table.value, table.quality, table.time_ns)
            if new is not None:
                made = table.publish(*new, time.monotonic_ns())
                self.hub.append(made)
                self.alarms.after(made)
                if self.control is not None:
                    self.control.after(made)

    def device_state(self, device: str, state: DeviceState, text: str) -> None:
        """Log a device's change of state and show it as its system point."""
        before = self._states.get(device)
        if before is not None and before[0] is state:
            return
        self._states[device] = (state, text, time.time_ns())
        tell = self.log.warning if state is DeviceState.LOST else self.log.info
        tell(f"device {state}", device=device, **({"cause": text} if text else {}))
        self.set_system(f"system/device/{device}/online", float(state is DeviceState.ONLINE))

    def set_system(self, name: str, value: float) -> None:
        """Set one system point by name; nothing when the site has no such point."""
        row = self.plan.catalogue.rows.get(name)
        if row is not None:
            rows = np.array([row], np.uint32)
            self.publish(rows, np.array([value]), np.zeros(1, np.uint32), time.time_ns())

    def set_system_rows(self, rows: Rows, values: Values) -> None:
        """Set system points by row."""
        self.publish(rows, values, np.zeros(len(rows), np.uint32), time.time_ns())

    def counters(self) -> dict[str, Mapping[str, int]]:
        """What the drivers have counted, by device."""
        return {
            device: by for driver in self._drivers if driver is not None for device, by in driver.counters().items()
        }

    def devices(self) -> dict[str, Mapping[str, Any]]:
        """State of each device, why in words, and since when."""
        return {
            device: {"state": state.value, "cause": text, "since_ns": since_ns}
            for device, (state, text, since_ns) in self._states.items()
        }

    def _control_view(self) -> dict[str, Any]:
        """What control does now, for who asks through the feed."""
        return {} if self.control is None else control_view(self.control, time.monotonic_ns(), time.time_ns())

    def _publish_now(self, rows: Rows, values: Values, qualities: Qualities) -> None:
        self.publish(rows, values, qualities, time.time_ns())

    def _acknowledge(self, command: Command) -> Refusal | None:
        """An interlock's alarm that is acknowledged is an acknowledged trip."""
        refusal = self.alarms.act(command)
        if refusal is None and self.control is not None:
            self.control.operations.acknowledge_alarm(command.subject)
        return refusal

    def _acknowledge_all(self, command: Command) -> Refusal | None:
        """The command point for all alarms; 0 does nothing."""
        return self._acknowledge(command) if command.value else None

    def refresh_ages(self) -> None:
        """A calculated point was last seen when the oldest of its inputs was; a system point just now."""
        seen_ns = self.table.seen_ns
        seen_ns[self._system_rows] = time.time_ns()
        for point in self.plan.calculated:
            inputs = point.expression.inputs
            seen_ns[point.row] = seen_ns[inputs].min() if len(inputs) else time.time_ns()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            now_ns = time.monotonic_ns()
            self.spread(self.table.sweep(now_ns))
            quiet = None if self._chatter is None else self._chatter.settle(now_ns)
            if quiet is not None:
                self.spread(self.table.lift(quiet.rows, quiet.values, quiet.times_ns, Quality.CHATTER))

    async def _count(self) -> None:
        """Errors of each device as a system point."""
        while True:
            await asyncio.sleep(_COUNTERS_S)
            self.set_system("system/audit/failing", float(not self.audit.healthy))
            for driver in self._drivers:
                if driver is not None:
                    for device, counters in driver.counters().items():
                        self.set_system(f"system/device/{device}/errors", float(counters.get("errors", 0)))

    async def _keep_driver(self, index: int, driver_name: str) -> None:
        """Run a driver for ever. It is not to end; if a fault ends it, its points say so and it starts anew."""
        _, driver_plan = self.plan.drivers[index]
        log = self.log.bind(driver=driver_name, devices=",".join(driver_plan.devices[:4]))
        make: Callable[[Any, Any], FieldDriver] = registry.load(registry.field(driver_name).driver)
        for attempt in range(1 << 60):
            driver = make(driver_plan, _DriverPort(self, log))
            self._drivers[index] = driver
            task = asyncio.create_task(driver.run())
            try:
                await asyncio.wait({task})
            finally:
                task.cancel()
            fault = None if task.cancelled() else task.exception()
            trace = "".join(traceback.format_exception(fault)) if fault is not None else ""
            log.error("driver ended", cause=f"{type(fault).__name__}: {fault}", trace=trace)
            self.spread(self.table.degrade(driver_plan.rows, Quality.COMM_LOST))
            for device in driver_plan.devices:
                self.device_state(device, DeviceState.LOST, "the driver failed and is started anew")
            await asyncio.sleep(_DRIVER_RETRY_S[min(attempt, len(_DRIVER_RETRY_S) - 1)])

    async def write_field(self, write: Write) -> None:
        """Write through the driver of the point; see `FieldDriver.write`."""
        index = int(self._driver_of[write.row])
        driver = self._drivers[index] if index >= 0 else None
        if driver is None:
            raise WriteLost("the point has no device that is running")
        await driver.write(write)

    def take_write(self, write: Write, on_written: OnWritten) -> WriteTicket | None:
        """A write of the control cycle into the queue of its driver; None where that takes `write` alone."""
        index: int = self._driver_of.item(write.row)
        take = getattr(self._drivers[index], "take_write", None) if index >= 0 else None
        return None if take is None else take(write, on_written)

    def submit(self, server: str, command: Command, on_outcome: OnOutcome) -> None:
        """A command from a reader of the feed, who may speak for its own server only."""
        if command.origin.server != server:
            text = f"{server or 'a reader without a server'} may not speak for {command.origin.server}"
            self.log.error("command refused", origin=str(command.origin), reason=text)
            on_outcome(Outcome(id=command.id, stage=Stage.REFUSED, reason=Reason.NOT_AUTHORISED, text=text))
            return
        self.broker.submit(command, on_outcome)

    def publish_system(self, server: str, batch: Changes) -> None:
        """System points from a worker: only rows of its server and its masters (the historian's own) are taken."""
        names = self.plan.catalogue.names
        own_server = (f"system/master/{server}/", f"system/server/{server}/")
        below = "system/history/" if server == HISTORIAN else own_server
        own = [names[row].startswith(below) for row in batch["row"].tolist()]
        batch = batch[np.array(own, np.bool_)]
        self.publish(batch["row"], batch["value"], batch["quality"], batch["time_ns"])


@contextlib.contextmanager
def _alone(state_dir: Path) -> Any:
    """Hold the core's lock: the core before this one may need a moment to end."""
    (state_dir / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state_dir / "run" / "core.lock").open("w") as lock:
        end = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise SystemExit("another core still runs on this state directory") from None
                time.sleep(0.05)
        yield


async def core_main(plan: SitePlan, child: Child) -> None:
    """The core process from start to orderly end."""
    log = get_log(process="core")
    before_others(log)
    with _alone(plan.state_dir):
        core = Core(plan, log)
        await core.start()
        core.have_process()
        child.ready()
        await child.stopping.wait()
        await core.stop()
