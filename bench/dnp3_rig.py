"""What the DNP3 measurements share: the gateway's own worker process under a real feed, opendnp3's outstation, the
master that reads both."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from bench.iec104_rig import MasterProcess, Product, cpu_s, end, serving
from bench.system import free_port, workspace
from gateway.contracts import Place, Report
from gateway.contracts.settings import MasterRowSource, MasterSource, ServerSource
from gateway.points import Kind, Point, PointCatalogue
from gateway.processes.plans import WorkerPlan
from gateway.site.plan import ServerEntry
from protocols.dnp3.settings import SETTINGS

__all__ = ["MasterProcess", "Peer", "Product", "cpu_s", "has_peer", "memory_mb", "on_disk", "peer", "product", "reader"]

OUTSTATION_PROGRAM: Final = Path(__file__).resolve().parents[1] / "tests" / "peers" / "yadnp3_outstation.py"
PEER: Final = "opendnp3 (yadnp3) outstation"
CAPACITY: Final = 2_000_000
MASTER, OUTSTATION = 1, 10
PEER_TYPES: Final = ("binary", "double", "counter", "analog", "binary_output", "analog_output")

KINDS: Final = {
    "AI": Kind.ANALOG,
    "BI": Kind.BINARY,
    "DBI": Kind.DOUBLE,
    "CTR": Kind.COUNTER,
    "FCTR": Kind.COUNTER,
    "BO": Kind.CONTROL,
    "AO": Kind.SETPOINT,
}


def has_peer() -> bool:
    """Whether the peer is installed here."""
    return importlib.util.find_spec("opendnp3") is not None


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


@contextmanager
def reader(port: int) -> Iterator[MasterProcess]:
    """The master of the measurement, connected."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.dnp3_master", str(port)], stdin=pipe, stdout=pipe, text=True
    )
    try:
        master = MasterProcess(process)
        master.answer()
        yield master
    finally:
        end(process)


def _plan(port: int, types: dict[str, int], static: dict[str, str], folder: Path) -> WorkerPlan:
    """`types`: how many points of each; frozen counters are the counters of the same index."""
    entries = [(kind, index) for kind, count in types.items() for index in range(count)]
    running = {kind: start for start, (kind, index) in enumerate(entries) if index == 0}
    points = [Point(row=row, name=f"p{row}", kind=KINDS[kind]) for row, (kind, _) in enumerate(entries)]
    catalogue = PointCatalogue.of(points)
    place, report = Place("bench"), Report()
    rows = []
    for number, (kind, index) in enumerate(entries):
        row = running["CTR"] + index if kind == "FCTR" else number
        cells: dict[str, Any] = {"point": f"p{row}", "type": kind, "index": index, "class": 1}
        if kind in static:
            cells["static"] = static[kind]
        rows.append(MasterRowSource(SETTINGS.row_model(**cells), row, place))
    master = SETTINGS.master_model(
        name="m0",
        address=MASTER,
        addresses=["127.0.0.1"],
        map="m.csv",
        events={"capacity": CAPACITY},
        unsolicited={"classes": [1]},
    )
    settings = SETTINGS.server_model(name="bench", protocol="dnp3", listen=f"127.0.0.1:{port}", outstation=OUTSTATION)
    plan = SETTINGS.compile(ServerSource(settings, [MasterSource(master, rows, place)], place), catalogue, report)
    if report.errors:
        raise RuntimeError(f"the measurement's own configuration is wrong: {report.errors[0]}")
    entry = ServerEntry(
        name="bench",
        protocol="dnp3",
        listen=settings.listen,
        plan=plan,
        masters=["m0"],
        bindings={"m0": len(rows)},
    )
    return WorkerPlan(site="bench", state_dir=folder, log_level="error", catalogue=catalogue, server=entry)


@asynccontextmanager
async def product(types: dict[str, int], static: dict[str, str] | None = None) -> AsyncIterator[Product]:
    """The worker process, with so many points of each type in class 1; `static`: variation by type."""
    with workspace() as folder:
        port = free_port()
        async with serving(_plan(port, types, static or {}, folder), port, 1) as made:
            yield made


async def on_disk(product: Product) -> None:
    """Wait until the worker's journal has everything that was published. Raises `TimeoutError`."""
    async with asyncio.timeout(60.0):
        while product.hub.confirmed.get("bench", {}).get("m0", 0) < product.hub.ring.seq:
            await asyncio.sleep(0.01)


@dataclass(slots=True)
class Peer:
    """opendnp3's outstation, which is its own source of events."""

    port: int
    process: subprocess.Popen[str]

    def events(self, count: int, batch: int = 1_000) -> int:
        """Make events, the number of each as its value; returns when it began. Raises `RuntimeError` when it died."""
        self.order_events(count, batch)
        return self.began()

    def order_events(self, count: int, batch: int = 1_000) -> None:
        """The same without waiting for it."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": "events", "count": count, "batch": batch}) + "\n")
        self.process.stdin.flush()

    def began(self) -> int:
        """The answer to `order_events`."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("opendnp3's outstation died")
        return int(json.loads(line)["begin_ns"])


def _value(kind: str, number: int) -> int:
    return number % 2 if kind in ("binary", "double", "binary_output") else number


@contextmanager
def peer(points: int, *, types: tuple[str, ...] = ("analog",), **options: Any) -> Iterator[Peer]:
    """opendnp3's outstation with so many points of each type (it knows no other way); values of `types` are set."""
    port = free_port()
    command = [sys.executable, str(OUTSTATION_PROGRAM), str(port), str(OUTSTATION), str(MASTER)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        options = {"capacity": min(65_535, 2 * points), **options}
        values = {kind: [[_value(kind, number), 1] for number in range(points)] for kind in types}
        process.stdin.write(json.dumps({**values, **options}) + "\n")
        process.stdin.flush()
        if not process.stdout.readline():
            raise RuntimeError("opendnp3's outstation did not begin to serve")
        yield Peer(port, process)
    finally:
        end(process)
