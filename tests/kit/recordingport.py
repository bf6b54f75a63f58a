"""The core as a driver sees it, remembering everything: what the driver contract suite listens to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from gateway.contracts import DeviceState
from gateway.points import Qualities, Quality, Rows, Times, Values


class RecordingLog:
    """Keeps log lines as (level, event, facts)."""

    def __init__(self, lines: list[tuple[str, str, dict[str, object]]] | None = None) -> None:
        self.lines = [] if lines is None else lines

    def _keep(self, level: str, event: str, facts: dict[str, object]) -> None:
        self.lines.append((level, event, facts))

    def debug(self, event: str, **facts: object) -> None:
        self._keep("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._keep("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._keep("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._keep("error", event, facts)

    def bind(self, **facts: object) -> RecordingLog:
        return RecordingLog(self.lines)

    def of(self, event: str) -> list[dict[str, object]]:
        return [facts for _, found, facts in self.lines if found == event]


class RecordingPort:
    """A `gateway.contracts.DriverPort`: value, quality and source time by row, states in order, every batch."""

    def __init__(self, rows: int) -> None:
        self.log: Any = RecordingLog()
        self.value = np.full(rows, np.nan)
        self.quality = np.full(rows, int(Quality.NEVER_REPORTED), np.uint32)
        self.time_ns = np.zeros(rows, np.int64)
        self.states: list[tuple[str, DeviceState, str]] = []
        self.batches = 0
        self.degraded: list[tuple[list[int], int]] = []
        self.seen: dict[int, set[float]] = {}

    def now_ns(self) -> int:
        return time.time_ns()

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int) -> None:
        assert rows.dtype == np.uint32 and values.dtype == np.float64 and qualities.dtype == np.uint32
        assert len(rows) == len(values) == len(qualities)
        assert isinstance(times_ns, int) or (times_ns.dtype == np.int64 and len(times_ns) == len(rows))
        self.batches += 1
        self.value[rows] = values
        self.quality[rows] = qualities
        self.time_ns[rows] = times_ns
        for row, value in zip(rows.tolist(), values.tolist(), strict=True):
            self.seen.setdefault(row, set()).add(value)

    def degrade(self, rows: Rows, flags: int) -> None:
        self.degraded.append((rows.tolist(), flags))
        self.quality[rows] |= np.uint32(flags)

    def state(self, device: str, state: DeviceState, text: str = "") -> None:
        self.states.append((device, state, text))

    def controlled(self) -> bool:
        return True

    def states_of(self, device: str) -> list[DeviceState]:
        return [state for name, state, _ in self.states if name == device]


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    """Wait until the condition holds; fails in words."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(0.005)
