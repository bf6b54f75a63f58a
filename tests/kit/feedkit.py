"""A hub and its readers on one loop, over a real Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gateway.contracts.command import Command, OnOutcome, Outcome, Stage
from gateway.feed.client import FeedClient
from gateway.feed.hub import FeedHub
from gateway.feed.ring import ChangeRing
from gateway.points import Changes, Kind, Point, PointCatalogue
from gateway.points.table import PointTable


class QuietLog:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, object]]] = []

    def _say(self, level: str, event: str, facts: dict[str, object]) -> None:
        self.lines.append((level, event, facts))

    def debug(self, event: str, **facts: object) -> None:
        self._say("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._say("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._say("error", event, facts)

    def bind(self, **facts: object) -> QuietLog:
        return self

    def events(self) -> list[str]:
        return [event for _, event, _ in self.lines]


def catalogue(size: int) -> PointCatalogue:
    return PointCatalogue.of([Point(row=i, name=f"p{i}", kind=Kind.ANALOG) for i in range(size)])


class CoreSide:
    """The feed's core side with a broker that accepts and completes everything."""

    def __init__(self, path: Path, size: int, *, epoch: int = 1, capacity: int = 100_000) -> None:
        self.path, self.log = path, QuietLog()
        self.table_catalogue = catalogue(size)
        self.table = PointTable(self.table_catalogue)
        self.hub = FeedHub("test-site", self.table, ChangeRing(epoch, capacity), self, self.log)
        self.commands: list[tuple[str, Command]] = []
        self.system: list[tuple[str, Changes]] = []

    def submit(self, server: str, command: Command, on_outcome: OnOutcome) -> None:
        self.commands.append((server, command))
        on_outcome(Outcome(id=command.id, stage=Stage.ACCEPTED))
        on_outcome(Outcome(id=command.id, stage=Stage.COMPLETED))

    def refresh_ages(self) -> None:
        """Every point here has a device."""

    def publish_system(self, server: str, batch: Changes) -> None:
        self.system.append((server, batch))

    def publish(self, rows: list[int], values: list[float], time_ns: int) -> None:
        n = len(rows)
        batch = self.table.publish(
            np.array(rows, np.uint32), np.array(values, np.float64), np.zeros(n, np.uint32), time_ns, time_ns
        )
        self.hub.append(batch)


@dataclass
class ReaderSide:
    """A reader that keeps what it is told."""

    path: Path
    size: int
    name: str = "test reader"
    server: str = "srv"
    told: list[tuple[int, float, int]] = field(default_factory=list)
    batches: list[tuple[Changes, int]] = field(default_factory=list)
    confirmed: dict[str, int] | None = None
    ready: bool = False
    missed: int = 0

    def __post_init__(self) -> None:
        self.log = QuietLog()
        self.client = FeedClient(self.path, self.name, self.server, self.size, self, self.log)
        self._task: asyncio.Task[None] | None = None

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        self.confirmed = confirmed

    def feed_changes(self, batch: Changes, seq: int) -> None:
        self.batches.append((batch.copy(), seq))
        self.told += [(int(r["row"]), float(r["value"]), int(r["quality"])) for r in batch]

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Of no interest here."""

    def feed_lost(self, count: int) -> None:
        self.missed += count

    def feed_ready(self) -> None:
        self.ready = True

    def start(self) -> None:
        self._task = asyncio.create_task(self.client.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await asyncio.sleep(0)


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
