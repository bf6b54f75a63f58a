"""A worker's port played by the test: real catalogue, numpy table, a command port that the test scripts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gateway.alarms import AlarmCatalogue
from gateway.alarms.mirror import AlarmMirror
from gateway.contracts import Action, Command, OnOutcome, Outcome, Reason, Stage
from gateway.points import Kind, Point, PointCatalogue, Quality, changes
from gateway.tracing.trace import TraceRing

Script = Callable[[Command, OnOutcome], None]


class QuietLog:
    """Keeps what was logged."""

    def __init__(self, lines: list[tuple[str, str, dict[str, object]]] | None = None, **facts: object) -> None:
        self.lines = [] if lines is None else lines
        self._facts = facts

    def _line(self, level: str, event: str, facts: dict[str, object]) -> None:
        self.lines.append((level, event, {**self._facts, **facts}))

    def debug(self, event: str, **facts: object) -> None:
        self._line("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._line("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._line("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._line("error", event, facts)

    def bind(self, **facts: object) -> QuietLog:
        return QuietLog(self.lines, **{**self._facts, **facts})

    def said(self, event: str) -> list[dict[str, object]]:
        return [facts for _, text, facts in self.lines if text == event]


class ScriptedCommands:
    """Answers every command as the test's script says; keeps what came.

    As the broker does it refuses what the server has refused already. Only executions are in `received`.
    """

    def __init__(self) -> None:
        self.received: list[Command] = []
        self.selects: list[Command] = []
        """Selects and cancels."""
        self.refused: list[Command] = []
        self.script: Script = accept_and_complete
        self._id = 0

    def next_id(self) -> int:
        self._id += 1
        return self._id

    def submit(self, command: Command, on_outcome: OnOutcome) -> None:
        if command.refusal is not Reason.OK or command.test:
            self.refused.append(command)
            on_outcome(Outcome(id=command.id, stage=Stage.REFUSED, reason=command.refusal, text=command.refusal_text))
            return
        (self.received if command.action is Action.EXECUTE else self.selects).append(command)
        self.script(command, on_outcome)


def accept_and_complete(command: Command, tell: OnOutcome) -> None:
    tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
    tell(Outcome(id=command.id, stage=Stage.COMPLETED))


class Table:
    """The worker's mirror."""

    def __init__(self, length: int) -> None:
        self.value = np.zeros(length)
        self.quality = np.full(length, int(Quality.NEVER_REPORTED), np.uint32)
        self.time_ns = np.zeros(length, np.int64)


class FakePort:
    """`gateway.contracts.ServerPort`, and the core behind it: `change` does what core and feed do."""

    def __init__(self, catalogue: PointCatalogue) -> None:
        self.log = QuietLog()
        self.catalogue = catalogue
        self.table = Table(len(catalogue))
        self.commands = ScriptedCommands()
        self.trace = TraceRing()
        self.history: Any = None
        self.alarms = AlarmMirror(AlarmCatalogue(points=catalogue))
        self.confirmed: dict[str, int] = {}
        self.published: dict[int, float] = {}
        self.seq = 0
        self.server: Any = None
        self.state_dir = Path(tempfile.mkdtemp(prefix="gridgate-port-"))
        weakref.finalize(self, shutil.rmtree, self.state_dir, ignore_errors=True)

    def confirm(self, master: str, seq: int) -> None:
        assert seq > self.confirmed.get(master, -1)
        self.confirmed[master] = seq

    def publish(self, rows: np.ndarray, values: np.ndarray) -> None:
        self.published.update(zip(rows.tolist(), values.tolist(), strict=True))

    def set(self, row: int, value: float, time_ns: int = 1_700_000_000_000_000_000, quality: int = 0) -> None:
        """The table alone, as a snapshot brings it."""
        self.table.value[row], self.table.quality[row], self.table.time_ns[row] = value, quality, time_ns

    def change(self, records: Iterable[tuple[int, float, int, int]]) -> None:
        """Changes (row, value, quality, time_ns) happen: table first, then the server hears."""
        records = list(records)
        rows, values, qualities, times = (np.array(column) for column in zip(*records, strict=True))
        for row, value, quality, time_ns in records:
            self.set(row, value, time_ns, quality)
        batch = changes(rows.astype(np.uint32), values.astype(float), qualities.astype(np.uint32), times.astype("i8"))
        self.seq += len(records)
        self.server.changes(batch, self.seq)


def catalogue(*points: tuple[str, Kind] | tuple[str, Kind, float, float]) -> PointCatalogue:
    """Points by name, kind and perhaps range."""
    made = []
    for row, (name, kind, *span) in enumerate(points):
        low, high = span or (float("nan"), float("nan"))
        made.append(Point(row=row, name=name, kind=kind, low=low, high=high))
    return PointCatalogue.of(made)


async def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that will be true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)
