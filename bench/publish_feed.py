"""What one batch costs the core: into the table, out to six reader processes."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

from bench.result import Result
from gateway.contracts.command import Command, OnOutcome
from gateway.feed.client import FeedClient
from gateway.feed.hub import FeedHub
from gateway.feed.ring import ChangeRing
from gateway.log import get_log
from gateway.points import Changes, Kind, Point, PointCatalogue
from gateway.points.table import PointTable

READERS: Final = 6
BATCH: Final = 1_000
POINTS: Final = 10_000
BATCHES: Final = 300
BUDGET_US: Final = 250.0


class _Core:
    """The hub's owner; nobody commands here."""

    def submit(self, server: str, command: Command, on_outcome: OnOutcome) -> None:
        raise RuntimeError("no commands in this measurement")

    def refresh_ages(self) -> None:
        """Every point here has a device."""

    def publish_system(self, server: str, batch: Changes) -> None:
        raise RuntimeError("no system points in this measurement")


class _Reader:
    """Counts what arrives and how old it is."""

    def __init__(self) -> None:
        self.delays_ns: list[int] = []
        self.received = 0

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """Nothing to resume."""

    def feed_changes(self, batch: Changes, seq: int) -> None:
        self.received += len(batch)
        self.delays_ns.append(time.time_ns() - int(batch["time_ns"][-1]))

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Of no interest here."""

    def feed_ready(self) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()


async def _read(path: Path, expected: int) -> None:
    """A reader process: prints how many changes came and their delays in us (median, p99)."""
    reader = _Reader()
    client = FeedClient(path, "bench", "", POINTS, reader, get_log(process="bench"))
    task = asyncio.create_task(client.run())
    while reader.received < expected:
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    delays_us = np.array(reader.delays_ns) / 1e3
    print(reader.received, np.percentile(delays_us, 50), np.percentile(delays_us, 99), flush=True)


def _start_readers(path: Path) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.publish_feed", str(path), str(BATCHES * BATCH)]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]


async def _publish(path: Path) -> tuple[float, float, list[list[float]]]:
    """Core CPU in us a batch in all, wall time of the publishing call in us (median), what the readers say."""
    table = PointTable(PointCatalogue.of([Point(row=i, name=f"p{i}", kind=Kind.ANALOG) for i in range(POINTS)]))
    hub = FeedHub("bench", table, ChangeRing(1, 500_000), _Core(), get_log(process="bench"))
    await hub.start(path)
    readers = _start_readers(path)
    while len(hub.readers) < READERS:
        await asyncio.sleep(0.05)
    rows = [np.arange(k, k + BATCH, dtype=np.uint32) for k in range(0, POINTS, BATCH)]
    qualities = np.zeros(BATCH, np.uint32)
    calls: list[float] = []
    start = time.process_time()
    for i in range(BATCHES):
        values = np.arange(BATCH) + i * 0.5
        begin = time.perf_counter()
        hub.append(table.publish(rows[i % len(rows)], values, qualities, time.time_ns(), time.monotonic_ns()))
        hub.flush()
        calls.append(time.perf_counter() - begin)
        await asyncio.sleep(0.01)
    cpu_us = (time.process_time() - start) / BATCHES * 1e6
    said: list[list[float]] = []
    for reader in readers:
        out, _ = await asyncio.to_thread(reader.communicate, timeout=60)
        said.append([float(word) for word in out.split()[1:]])
    await hub.stop()
    return cpu_us, statistics.median(calls) * 1e6, said


def measure() -> Iterable[Result]:
    """Publish `BATCHES` batches of 1,000 changes, 100 a second."""
    with tempfile.TemporaryDirectory() as folder:
        cpu_us, call_us, said = asyncio.run(_publish(Path(folder) / "run" / "feed.sock"))
    complete = all(words[0] == BATCHES * BATCH for words in said)
    note = f"{READERS} readers, {'nothing lost' if complete else 'CHANGES LOST'}"
    yield Result(name="publish_1000_to_6_workers", value=call_us, unit="us", budget=BUDGET_US, note=note)
    yield Result(
        name="publish_1000_to_6_workers_cpu", value=cpu_us, unit="us", note="all of the core's CPU, its loop included"
    )
    yield Result(
        name="publish_to_reader_p50", value=max(words[1] for words in said), unit="us", note="slowest of the readers"
    )
    yield Result(
        name="publish_to_reader_p99", value=max(words[2] for words in said), unit="us", note="slowest of the readers"
    )


if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    asyncio.run(_read(Path(sys.argv[1]), int(sys.argv[2])))
