"""What alarms cost the core: 100,000 points with four limits each, 2,000 changes a second and more."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import numpy as np

from bench.result import Result
from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.engine import AlarmEngine
from gateway.alarms.model import Condition
from gateway.points import Kind, Point, PointCatalogue, changes

POINTS: Final = 100_000
BATCH: Final = 100
"""Changes of one turn of the core's loop at 2,000/s from twenty devices."""
BATCHES: Final = 2_000
LIMITS: Final = {Condition.LL: 10.0, Condition.L: 20.0, Condition.H: 80.0, Condition.HH: 90.0}


def _engine() -> AlarmEngine:
    catalogue = PointCatalogue.of([Point(row=i, name=f"p{i}", kind=Kind.ANALOG) for i in range(POINTS)])
    size = POINTS * len(LIMITS)
    return AlarmEngine(
        AlarmCatalogue(
            points=catalogue,
            row=np.repeat(np.arange(POINTS), len(LIMITS)),
            condition=np.tile(np.array(list(LIMITS), np.uint8), POINTS),
            limit=np.tile(np.array(list(LIMITS.values())), POINTS),
            deadband=np.full(size, 2.0),
            on_delay_s=np.zeros(size),
            off_delay_s=np.zeros(size),
            priority=np.full(size, 2, np.uint8),
            group=np.full(size, -1, np.int32),
            suppression=np.full(size, -1, np.int32),
        )
    )


def _run(engine: AlarmEngine, batch: int, low: float, high: float) -> tuple[float, int]:
    """(CPU in s, alarm events) of `BATCHES` batches with values between low and high."""
    random = np.random.default_rng(1)
    value, quality = np.full(POINTS, 50.0), np.zeros(POINTS, np.uint32)
    batches = [
        changes(
            random.choice(POINTS, batch, replace=False).astype(np.uint32),
            random.uniform(low, high, batch),
            np.zeros(batch, np.uint32),
            np.full(batch, number),
        )
        for number in range(BATCHES)
    ]
    events = 0
    start = time.process_time()
    for number, one in enumerate(batches):
        events += len(engine.changes(one, value, quality, number))
    return time.process_time() - start, events


def measure() -> Iterable[Result]:
    """Quiet values, values of which one in a hundred moves an alarm, and a flood."""
    count = BATCH * BATCHES
    cpu_s, _ = _run(_engine(), BATCH, 25, 75)
    note = f"{POINTS:,} points, {POINTS * len(LIMITS):,} alarms, batches of {BATCH}; no alarm moves"
    yield Result(
        name="alarms_engine_cpu_at_2000_per_s", value=2_000 * cpu_s / count * 100, unit="% of a core", note=note
    )
    yield Result(name="alarms_engine_changes_per_s", value=count / cpu_s, unit="changes/s", note=note)
    cpu_s, _ = _run(_engine(), 1_000, 25, 75)
    yield Result(
        name="alarms_engine_batch_of_1000", value=cpu_s / BATCHES * 1e6, unit="us", note="one batch, no alarm moves"
    )
    cpu_s, events = _run(_engine(), BATCH, 19.8, 80.2)
    note = f"one change in {count / max(events, 1):.0f} moves an alarm"
    yield Result(
        name="alarms_engine_cpu_at_2000_per_s_moving", value=2_000 * cpu_s / count * 100, unit="% of a core", note=note
    )
    cpu_s, events = _run(_engine(), BATCH, 0, 100)
    yield Result(
        name="alarms_engine_flood_event",
        value=cpu_s / events * 1e6,
        unit="us",
        note=f"per alarm event, {events:,} of them",
    )
