"""What the OPC UA measurements share: the gateway's own worker, stock asyncua's server, node-opcua as the client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.iec104_rig import Product, cpu_s, end, serving
from bench.system import free_port, workspace
from gateway.points import Kind, PointCatalogue
from gateway.processes.plans import WorkerPlan
from gateway.site.plan import ServerEntry
from protocols.opcua.plan import LimitPlan, ServerPlan

__all__ = ["CLIENT", "PEER", "Client", "Product", "Stalls", "Stock", "catalogue", "cpu_s", "has_client", "plan"]

PEER: Final = "asyncua 2.1.0's own server"
CLIENT: Final = Path(__file__).resolve().parents[1] / "tests" / "peers" / "nodeopcua"
_FLOATS: Final = ("low", "high", "alarm_ll", "alarm_l", "alarm_h", "alarm_hh", "max_age_s", "feedback_tolerance")


def has_client() -> bool:
    """Whether node-opcua is installed here."""
    return shutil.which("node") is not None and (CLIENT / "node_modules" / "node-opcua-client").is_dir()


def names(points: int) -> list[str]:
    """A hundred points in a folder."""
    return [f"site/rack{row // 100 + 1}/cell[{row % 100 + 1}]" for row in range(points)]


def catalogue(points: int) -> PointCatalogue:
    """Analog points with a unit and a range."""
    columns: dict[str, Any] = {name: np.full(points, np.nan) for name in (*_FLOATS, "feedback_s", "chatter_count")}
    columns |= {"low": np.zeros(points), "high": np.full(points, 1e12), "chatter_s": np.full(points, np.nan)}
    return PointCatalogue(
        names=names(points),
        kinds=np.full(points, Kind.ANALOG, np.uint8),
        descriptions=["cell voltage"] * points,
        units=["V"] * points,
        device=np.full(points, -1, np.int32),
        feedback=np.full(points, -1, np.int32),
        **columns,
    )


def plan(port: int) -> ServerPlan:
    """Without security, which is no part of these figures."""
    return ServerPlan(
        name="bench",
        host="127.0.0.1",
        port=port,
        application_uri="urn:bench:gridgate",
        policies=("Basic256Sha256",),
        modes=(3,),
        allow_none=True,
        anonymous=True,
        limits=LimitPlan(connections_per_address=1_000, connections=1_000, message_size=1 << 26),
    )


@contextlib.asynccontextmanager
async def product(points: int) -> AsyncIterator[Product]:
    """The worker process as the supervisor would start it, fed from here."""
    with workspace() as folder:
        port = free_port()
        entry = ServerEntry(
            name="bench",
            protocol="opcua",
            listen=f"opc.tcp://127.0.0.1:{port}",
            plan=plan(port),
            masters=[],
            bindings={},
        )
        whole = WorkerPlan(site="bench", state_dir=folder, log_level="error", catalogue=catalogue(points), server=entry)
        async with serving(whole, port, 0) as made:
            yield made


class Client:
    """node-opcua's process, spoken to in JSON lines. Raises `RuntimeError` with what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, do: str, **what: Any) -> dict[str, Any]:
        self.order(do, **what)
        return self.answer()

    def order(self, do: str, **what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                if "error" in found:
                    raise RuntimeError(f"node-opcua: {found['error']}")
                return found
        raise RuntimeError("node-opcua's process has ended")


@contextlib.contextmanager
def client(port: int) -> Iterator[Client]:
    """Connected without security, with a subscription of 100 ms."""
    with workspace() as folder:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            ["node", str(CLIENT / "points.js")], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        try:
            made = Client(process)
            made.answer()
            made.ask("connect", url=f"opc.tcp://127.0.0.1:{port}", folder=str(folder / "pki"))
            made.ask("subscribe", interval=100)
            yield made
        finally:
            end(process)


class Stock:
    """asyncua's server in a process of its own: `bench.opcua_stock`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    @property
    def pid(self) -> int:
        return self.process.pid

    def flow(self, rate: float, seconds: float) -> int:
        """Changes at this rate; how many there were."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{rate} {seconds}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextlib.contextmanager
def stock(points: int) -> Iterator[Stock]:
    port = free_port()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.opcua_stock", str(port), str(points)],
        stdin=pipe,
        stdout=pipe,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise RuntimeError("asyncua's server did not begin to serve")
        yield Stock(process, port)
    finally:
        end(process)


async def flow(product: Product, rate: float, seconds: float, every_s: float = 0.01) -> int:
    """Changes spread over all points at this rate, each point's value growing; how many there were."""
    table, size = product.hub.table, len(product.hub.table)
    batch = max(int(rate * every_s), 1)
    count, begin = 0, time.monotonic()
    value = float(table.value.max()) + 1.0
    while count < int(rate * seconds):
        rows = (np.arange(count, count + batch) % size).astype(np.uint32)
        values = value + (np.arange(count, count + batch) // size).astype(np.float64)
        changed = table.publish(rows, values, np.zeros(batch, np.uint32), time.time_ns(), time.monotonic_ns())
        product.hub.append(changed)
        count += batch
        await asyncio.sleep(max(begin + count / rate - time.monotonic(), 0))
    return count


class Stalls(threading.Thread):
    """Says Hello on connections of its own, one after the other: the longest time until the server acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port, self._ended = port, threading.Event()
        self.longest_s = 0.0

    def __enter__(self) -> Stalls:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        url = f"opc.tcp://127.0.0.1:{self._port}".encode()
        body = struct.pack("<5I", 0, 65_536, 65_536, 0, 0) + len(url).to_bytes(4, "little") + url
        hello = struct.pack("<3scI", b"HEL", b"F", 8 + len(body)) + body
        while not self._ended.is_set():
            with socket.create_connection(("127.0.0.1", self._port), timeout=30) as link:
                began = time.perf_counter()
                link.sendall(hello)
                link.recv(64)
                self.longest_s = max(self.longest_s, time.perf_counter() - began)
            time.sleep(0.002)
