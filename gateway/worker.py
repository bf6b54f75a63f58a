"""One server in a process of its own: the feed on one side, a protocol package on the other."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateway import registry
from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.mirror import AlarmMirror
from gateway.alarms.model import AlarmRecord
from gateway.contracts.command import CommandPort
from gateway.contracts.history import HistoryReader
from gateway.contracts.log import Log
from gateway.contracts.server import AlarmsView, OutputServer, TableView
from gateway.feed.address import socket_path
from gateway.feed.client import FeedClient
from gateway.history.ondemand import HistoryOnDemand
from gateway.log import get_log
from gateway.points.change import Changes, Rows, Values, changes
from gateway.points.model import PointCatalogue
from gateway.processes.child import Child
from gateway.processes.plans import WorkerPlan
from gateway.refusals import refused_point
from gateway.tracing.inspection import Inspection, inspection_path
from gateway.tracing.trace import TraceRing

REFUSED_EVERY_S: Final = 1.0


class _Port:
    """The worker as its server sees it."""

    def __init__(self, client: FeedClient, catalogue: PointCatalogue, state_dir: Path, log: Log) -> None:
        self._client = client
        self.catalogue, self.state_dir, self.log = catalogue, state_dir, log
        self.history: HistoryReader | None = None
        self.table: TableView = client.mirror
        self.commands: CommandPort = client
        self.trace = TraceRing()
        self.alarms: AlarmsView = client.alarms or AlarmMirror(AlarmCatalogue(points=catalogue))

    def confirm(self, master: str, seq: int) -> None:
        self._client.confirm(master, seq)

    def publish(self, rows: Rows, values: Values) -> None:
        times = np.full(len(rows), time.time_ns(), np.int64)
        self._client.publish(changes(rows, values, np.zeros(len(rows), np.uint32), times))


class Worker:
    """Feeds one `OutputServer`."""

    def __init__(self, plan: WorkerPlan, log: Log) -> None:
        entry = plan.server
        name = f"{entry.protocol} {entry.name}"
        size = len(plan.catalogue)
        self.client = FeedClient(
            socket_path(plan.state_dir), name, entry.name, size, self, log.bind(part="feed"), entry.masters, plan.alarms
        )
        make: Callable[[Any, Any], OutputServer] = registry.load(registry.grid(entry.protocol).server)
        self.port = _Port(self.client, plan.catalogue, plan.state_dir, log)
        if plan.history is not None:
            self.port.history = HistoryOnDemand(plan.history)
        self.server = make(entry.plan, self.port)
        path = inspection_path(plan.state_dir, entry.name)
        reported = getattr(self.server, "reported", lambda master, row: None)
        self.inspection = Inspection(path, entry.masters, self.port.trace, log, reported)
        self._name = entry.name
        self._primed = asyncio.Event()

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        self.server.resume(confirmed)

    def feed_changes(self, batch: Changes, seq: int) -> None:
        self.server.changes(batch, seq)

    def feed_alarms(self, records: list[AlarmRecord]) -> None:
        tell: Callable[[list[AlarmRecord]], None] | None = getattr(self.server, "alarms", None)
        if tell is not None:
            tell(records)

    def feed_lost(self, count: int) -> None:
        tell: Callable[[int], None] | None = getattr(self.server, "missed", None)
        if tell is not None:
            tell(count)

    def feed_ready(self) -> None:
        self._primed.set()

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        self.server.commanded(row, feedback, remote)

    async def _tell_refused(self) -> None:
        """How many connections the server has turned away, as its system point; for ever."""
        await self._primed.wait()
        row, told = self.port.catalogue.rows.get(refused_point(self._name)), -1
        while row is not None and (count := getattr(self.server, "refused", None)) is not None:
            if not self.client.connected:  # the next core knows nothing yet
                told = -1
            elif count != told:
                told = count
                self.port.publish(np.array([row], np.uint32), np.array([float(count)]))
            await asyncio.sleep(REFUSED_EVERY_S)

    async def run(self, child: Child) -> None:
        """Serve until told to stop. Raises `OSError` when the listen address cannot be had."""
        feed = asyncio.create_task(self.client.run())
        stopping = asyncio.create_task(child.stopping.wait())
        primed = asyncio.create_task(self._primed.wait())
        telling = asyncio.create_task(self._tell_refused())
        try:
            await asyncio.wait({primed, stopping, feed}, return_when=asyncio.FIRST_COMPLETED)
            if primed.done():
                await self.server.start()
                await self.inspection.start()
                child.ready()
                await asyncio.wait({stopping, feed}, return_when=asyncio.FIRST_COMPLETED)
                await self.server.stop()
                await self.inspection.stop()
            if feed.done():
                feed.result()
        finally:
            for task in (feed, stopping, primed, telling):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


async def worker_main(plan: WorkerPlan, child: Child) -> None:
    """A worker process from start to orderly end."""
    log = get_log(process=f"{plan.server.protocol} {plan.server.name}")
    try:
        await Worker(plan, log).run(child)
    except OSError as error:
        log.error("server cannot start", cause=str(error))
        raise SystemExit(1) from None
