"""A few points with alarms, and an engine that is told values at times given in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.alarms.actions import Asked
from gateway.alarms.catalogue import AlarmCatalogue, AlarmRules
from gateway.alarms.engine import AlarmEngine
from gateway.alarms.model import AlarmRecord, Condition, Priority
from gateway.contracts.command import Action
from gateway.points import Kind, Point, PointCatalogue, changes
from gateway.points.expression import Expression

TEMP, DOOR, RUN, BREAKER, FLOW = range(5)
START_S = 1_000_000
"""UTC, in s, at which the story of a test begins."""


def points() -> PointCatalogue:
    return PointCatalogue.of(
        [
            Point(row=TEMP, name="bess1/temp", kind=Kind.ANALOG, unit="degC", description="Cell temperature"),
            Point(row=DOOR, name="bess1/door", kind=Kind.BINARY, description="Door"),
            Point(row=RUN, name="bess1/run", kind=Kind.BINARY),
            Point(row=BREAKER, name="bess1/breaker", kind=Kind.DOUBLE, description="AC breaker"),
            Point(row=FLOW, name="bess1/flow", kind=Kind.ANALOG, unit="l/s"),
        ]
    )


@dataclass(kw_only=True)
class Definition:
    """One alarm of a test."""

    row: int
    condition: Condition
    limit: float = 1.0
    deadband: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    priority: Priority = Priority.MEDIUM
    group: str = ""
    suppressed_when: str = ""


def alarm_catalogue(
    *definitions: Definition, rules: AlarmRules | None = None, of: PointCatalogue | None = None
) -> AlarmCatalogue:
    """The catalogue of these alarms."""
    catalogue = points() if of is None else of
    chosen = sorted(definitions, key=lambda one: (one.row, one.condition))
    groups = list(dict.fromkeys(one.group for one in chosen if one.group))
    sources = list(dict.fromkeys(one.suppressed_when for one in chosen if one.suppressed_when))

    def column(name: str, dtype: Any) -> Any:
        return np.array([getattr(one, name) for one in chosen], dtype)

    return AlarmCatalogue(
        points=catalogue,
        row=column("row", np.intp),
        condition=column("condition", np.uint8),
        limit=column("limit", np.float64),
        deadband=column("deadband", np.float64),
        on_delay_s=column("on_delay_s", np.float64),
        off_delay_s=column("off_delay_s", np.float64),
        priority=column("priority", np.uint8),
        group=np.array([groups.index(one.group) if one.group else -1 for one in chosen], np.int32),
        suppression=np.array(
            [sources.index(one.suppressed_when) if one.suppressed_when else -1 for one in chosen], np.int32
        ),
        groups=groups,
        suppressions=[Expression(source, catalogue.rows) for source in sources],
        rules=rules or AlarmRules(),
    )


@dataclass
class Story:
    """An engine and what it is told; times in s from the begin."""

    alarms: AlarmCatalogue
    now_s: float = 0.0
    events: list[AlarmRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        size = len(self.alarms.points)
        self.engine = AlarmEngine(self.alarms)
        self.value = np.zeros(size)
        self.quality = np.zeros(size, np.uint32)

    @property
    def now_ns(self) -> int:
        return int(self.now_s * 1e9)

    @property
    def utc_ns(self) -> int:
        return int((START_S + self.now_s) * 1e9)

    def at(self, now_s: float) -> Story:
        """Time passes until then; what was due on the way has happened at its time."""
        while self.engine.deadline_ns <= int(now_s * 1e9):
            self.now_s = self.engine.deadline_ns / 1e9
            self.events += self.engine.tick(self.engine.deadline_ns, self.utc_ns)
        self.now_s = now_s
        self.events += self.engine.tick(self.now_ns, self.utc_ns)
        return self

    def told(self, *seen: tuple[int, float] | tuple[int, float, int]) -> Story:
        """Changes of points: (row, value) or (row, value, quality), in one batch, their source time now."""
        rows = np.array([one[0] for one in seen], np.uint32)
        values = np.array([one[1] for one in seen], np.float64)
        qualities = np.array([one[2] if len(one) > 2 else 0 for one in seen], np.uint32)
        batch = changes(rows, values, qualities, np.full(len(seen), self.utc_ns))
        return self.batch(batch)

    def batch(self, batch: Any) -> Story:
        """Changes as they come from the table."""
        self.value[batch["row"]] = batch["value"]
        self.quality[batch["row"]] = batch["quality"]
        self.events += self.engine.changes(batch, self.value, self.quality, self.now_ns)
        return self

    def act(self, action: Action, name: str, text: str = "", duration_s: float = 0.0, by: str = "asha") -> Story:
        """A person acts."""
        asked = Asked(by=by, text=text, duration_s=duration_s, utc_ns=self.utc_ns)
        self.events += self.engine.act(action, self.index(name), asked, self.now_ns)
        return self

    def index(self, name: str) -> int:
        found = self.alarms.find(name)
        assert found is not None, name
        return found

    def record(self, name: str) -> AlarmRecord:
        return self.engine.record(self.index(name))

    def state(self, name: str) -> str:
        return str(self.record(name).state)

    def said(self) -> list[str]:
        """Names and events since the last call."""
        out = [f"{self.alarms.name(record.index)} {record.event}" for record in self.events]
        self.events.clear()
        return out
