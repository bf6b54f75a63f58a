"""What the 104 measurements share: the gateway's own worker process under a real feed, c104's server, the master."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import pickle
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil

from bench.system import free_port, workspace
from gateway.contracts import Place, Report
from gateway.contracts.command import Command, OnOutcome
from gateway.contracts.settings import MasterRowSource, MasterSource, ServerSource
from gateway.core import RING_CHANGES
from gateway.feed.address import socket_path
from gateway.feed.hub import FeedHub
from gateway.feed.ring import ChangeRing
from gateway.log import get_log
from gateway.points import Changes, Kind, Point, PointCatalogue
from gateway.points.table import PointTable
from gateway.processes.child import PLAN_FD, READY, STATUS_FD
from gateway.processes.childprocess import child_command, child_environment
from gateway.processes.plans import ScreenPlan, WorkerPlan
from gateway.site.plan import ServerEntry
from protocols.iec104.settings import SETTINGS

C104_SERVER: Final = Path(__file__).resolve().parents[1] / "tests" / "peers" / "c104_server.py"
PEER: Final = "c104 2.2.1 server"
SOURCES: Final = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
CAPACITY: Final = 3_000_000
LEAD: Final = 300_000
"""Changes that the core may be ahead: it keeps `RING_CHANGES` for a worker that falls behind."""
BATCH: Final = 1_000


def has_c104() -> bool:
    """Whether the peer is installed here."""
    return importlib.util.find_spec("c104") is not None


@dataclass(slots=True)
class MasterProcess:
    """A `bench.iec104_master` and its orders."""

    process: subprocess.Popen[str]

    def order(self, **words: object) -> None:
        """Give an order; `answer` waits for what comes of it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next line. Raises `RuntimeError` when the master has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the measuring master ended: its connection was refused or closed")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, **words: object) -> dict[str, Any]:
        """Order and answer."""
        self.order(**words)
        return self.answer()


@contextmanager
def masters(port: int, count: int) -> Iterator[list[MasterProcess]]:
    """Started masters at different loopback addresses, each in its own process."""
    pipe = subprocess.PIPE
    found = [
        MasterProcess(
            subprocess.Popen(
                [sys.executable, "-m", "bench.iec104_master", str(port), source], stdin=pipe, stdout=pipe, text=True
            )
        )
        for source in SOURCES[:count]
    ]
    try:
        for master in found:
            master.answer()
        yield found
    finally:
        for master in found:
            end(master.process)


def end(process: subprocess.Popen[str]) -> None:
    """Kill a peer and close its pipes."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def cpu_s(pid: int) -> float:
    """CPU time that a process has used so far."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


class _Core:
    """The hub's owner; nobody commands here."""

    def submit(self, server: str, command: Command, on_outcome: OnOutcome) -> None:
        raise RuntimeError("no commands in this measurement")

    def refresh_ages(self) -> None:
        """Every point here has a device."""

    def publish_system(self, server: str, batch: Changes) -> None:
        """No system points here."""


@dataclass(slots=True)
class Product:
    """The gateway's own worker, serving on `port`; its feed is this process."""

    port: int
    pid: int
    hub: FeedHub
    masters: int

    async def events(self, count: int) -> int:
        """Changes number 0 to `count`, their number as value; returns when it began.

        As fast as the loop turns, but never further ahead than `LEAD` of what the worker has in its journals.
        """
        table, size = self.hub.table, len(self.hub.table)
        qualities = np.zeros(BATCH, np.uint32)
        begin_seq = self.hub.ring.seq
        begin_ns = time.monotonic_ns()
        for first in range(0, count, BATCH):
            numbers = np.arange(first, min(first + BATCH, count))
            rows = (numbers % size).astype(np.uint32)
            values = numbers.astype(np.float64)
            flags = qualities[: len(rows)]
            self.hub.append(table.publish(rows, values, flags, time.time_ns(), time.monotonic_ns()))
            await asyncio.sleep(0)
            while self.hub.ring.seq - max(begin_seq, self._confirmed()) > LEAD:
                await asyncio.sleep(0.002)
        return begin_ns

    def _confirmed(self) -> int:
        """The change up to which no master needs anything more of the core."""
        seqs = self.hub.confirmed.get("bench", {})
        return min(seqs.values()) if len(seqs) == self.masters else 0

    async def isolated(self, count: int, apart_s: float) -> list[int]:
        """Single changes; returns when each was published."""
        left_ns = []
        table, size = self.hub.table, len(self.hub.table)
        for number in range(count):
            left_ns.append(time.monotonic_ns())
            row, value = np.array([number % size], np.uint32), np.array([float(number)])
            self.hub.append(table.publish(row, value, np.zeros(1, np.uint32), time.time_ns(), time.monotonic_ns()))
            await asyncio.sleep(apart_s)
        return left_ns


def _plan(port: int, points: int, step: int, packed: int, count: int, state_dir: Path) -> WorkerPlan:
    catalogue = PointCatalogue.of([Point(row=row, name=f"p{row}", kind=Kind.ANALOG) for row in range(points)])
    place, report = Place("bench"), Report()
    rows = [
        MasterRowSource(SETTINGS.row_model(point=f"p{row}", ca=1, ioa=1 + row * step, type="M_ME_TF_1"), row, place)
        for row in range(points)
    ]
    named = [
        {
            "name": f"m{number}",
            "addresses": [SOURCES[number]],
            "map": "m.csv",
            "events": {"capacity": CAPACITY},
            "objects_per_asdu": packed,
        }
        for number in range(count)
    ]
    settings = SETTINGS.server_model(name="bench", protocol="iec104", listen=f"127.0.0.1:{port}")
    sources = [MasterSource(SETTINGS.master_model(**keys), rows, place) for keys in named]
    plan = SETTINGS.compile(ServerSource(settings, sources, place), catalogue, report)
    if report.errors:
        raise RuntimeError(f"the measurement's own configuration is wrong: {report.errors[0]}")
    entry = ServerEntry(
        name="bench",
        protocol="iec104",
        listen=settings.listen,
        plan=plan,
        masters=[source.settings.name for source in sources],
        bindings={source.settings.name: points for source in sources},
    )
    return WorkerPlan(site="bench", state_dir=state_dir, log_level="error", catalogue=catalogue, server=entry)


@asynccontextmanager
async def product(points: int, *, step: int = 1, packed: int = 127, count: int = 1) -> AsyncIterator[Product]:
    """The worker process as the supervisor would start it, fed from here, with `count` masters known to it."""
    with workspace() as folder:
        port = free_port()
        async with serving(_plan(port, points, step, packed, count, folder), port, count) as made:
            yield made


@asynccontextmanager
async def serving(plan: WorkerPlan | ScreenPlan, port: int, count: int, role: str = "worker") -> AsyncIterator[Product]:
    """The process of any protocol, its points at their row number and a quarter, `count` masters known to it.

    `role` is that of `gateway.process`: the HMI is a ``screen``.
    """
    whole = plan.site if isinstance(plan, ScreenPlan) else plan
    table, points = PointTable(whole.catalogue), len(whole.catalogue)
    rows = np.arange(points, dtype=np.uint32)
    first = table.publish(rows, rows + 0.25, np.zeros(points, np.uint32), time.time_ns(), time.monotonic_ns())
    hub = FeedHub("bench", table, ChangeRing(1, RING_CHANGES), _Core(), get_log(process="bench"))
    await hub.start(socket_path(whole.state_dir))
    hub.append(first)
    hub.flush()
    process, handles = _spawn(plan, role)
    try:
        await asyncio.to_thread(_wait_ready, handles[1], process)
        yield Product(port, process.pid, hub, count)
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        for handle in handles:
            os.close(handle)
        await hub.stop()


def _spawn(plan: WorkerPlan | ScreenPlan, role: str) -> tuple[subprocess.Popen[bytes], tuple[int, int]]:
    memory = os.memfd_create("gridgate-bench")
    with os.fdopen(os.dup(memory), "wb") as file:
        pickle.dump(plan, file, pickle.HIGHEST_PROTOCOL)
    status, child_status = os.pipe()
    process = subprocess.Popen(
        child_command("gateway.process", role),
        stdin=subprocess.PIPE,
        pass_fds=(memory, child_status),
        env=child_environment() | {PLAN_FD: str(memory), STATUS_FD: str(child_status)},
    )
    os.close(child_status)
    return process, (memory, status)


def _wait_ready(status: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60.0
    while time.monotonic() < end and process.poll() is None:
        if select.select([status], [], [], 0.5)[0] and READY in os.read(status, 4096):
            return
    raise RuntimeError("the worker did not begin to serve")


@dataclass(slots=True)
class Peer:
    """c104's server, which is its own source of events."""

    port: int
    process: subprocess.Popen[str]

    def ask(self, order: str) -> dict[str, Any]:
        """One order. Raises `RuntimeError` when c104 has died."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"c104 died while it did: {order}")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def peer(points: int, kind: str, *, step: int = 1) -> Iterator[Peer]:
    """c104's server with so many points of `kind` timed or untimed."""
    port = free_port()
    command = [sys.executable, str(C104_SERVER), str(port), str(points), kind, str(step)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("c104 did not begin to serve")
        yield Peer(port, process)
    finally:
        end(process)
