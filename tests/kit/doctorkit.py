"""Devices under examination: a compiled plan, its catalogue, and what the doctor finds."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from gateway.contracts.doctor import Finding, Live, Patient, Verdict
from gateway.points.model import Kind, Point, PointCatalogue


def catalogue(rows: int, low: float = np.nan, high: float = np.nan, **ranges: tuple[float, float]) -> PointCatalogue:
    """Points p0, p1, ... with one range, or each its own by name."""
    found = {f"p{row}": ranges.get(f"p{row}", (low, high)) for row in range(rows)}
    return PointCatalogue.of(
        [
            Point(row=row, name=name, kind=Kind.ANALOG, low=span[0], high=span[1])
            for row, (name, span) in enumerate(found.items())
        ]
    )


def patient(plan: Any, points: PointCatalogue, live: Live | None = None) -> Patient:
    """The first device of the plan."""
    return Patient(device=plan.devices[0], plan=plan, catalogue=points, rows=plan.rows, live=live)


def running(counters: dict[str, int], rows: int, online: bool = True) -> Live:
    """What a running gateway knows."""
    return Live(online=online, counters=counters, value=np.zeros(rows), quality=np.zeros(rows, np.uint32))


def faults(findings: list[Finding]) -> list[str]:
    """Codes of what is wrong."""
    return [finding.code for finding in findings if finding.verdict is Verdict.FAULT]


def finding(findings: list[Finding], code: str) -> Finding:
    """The one finding of this code."""
    (found,) = [each for each in findings if each.code == code]
    return found


@asynccontextmanager
async def serving(simulator: Any) -> AsyncIterator[Any]:
    """The simulated device while the block runs."""
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


@asynccontextmanager
async def meanwhile(action: Callable[[], object], every_s: float = 0.02) -> AsyncIterator[None]:
    """Something that goes on while the block runs."""

    async def go_on() -> None:
        while True:
            action()
            await asyncio.sleep(every_s)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def run(story: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
    """The findings of an examination."""
    return asyncio.run(story)
