"""Writes of the control cycle: the newest value of a point wins, one is in flight, and nobody waits for a device."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from gateway.contracts.driver import Write, WriteLost, WriteRefused

WRITE_S: Final = 5.0
"""A device that has not acknowledged by then has failed."""

OnWritten = Callable[[WriteRefused | WriteLost | None], None]
"""Called once per value: None when the device acknowledged it."""


class Overtaken(WriteLost):
    """A newer value took its place before it was sent."""


@dataclass(slots=True)
class _Point:
    """One point: what is being written, and what is to follow."""

    task: asyncio.Task[None] | None = None
    waiting: tuple[Write, OnWritten] | None = None


class FastWrites:
    """Lives on the core's loop. A value that is overtaken before its turn is never sent."""

    def __init__(self, write_field: Callable[[Write], Awaitable[None]]) -> None:
        self._write_field = write_field
        self._points: dict[int, _Point] = {}
        self.errors: dict[int, int] = {}
        """By row: writes that failed since the start."""

    def write(self, write: Write, on_written: OnWritten) -> None:
        """Take a value; at once when the point is free."""
        row = write.row
        point = self._points.setdefault(row, _Point())
        before, point.waiting = point.waiting, (write, on_written)
        if before is not None:
            before[1](Overtaken("a newer value took its place"))
        if point.task is None:
            self._next(row, point)

    async def stop(self) -> None:
        """End what is in flight."""
        tasks = [point.task for point in self._points.values() if point.task is not None]
        for point in self._points.values():
            point.waiting = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _next(self, row: int, point: _Point) -> None:
        if point.waiting is None:
            return
        (write, on_written), point.waiting = point.waiting, None
        task = point.task = asyncio.create_task(self._write(write))
        task.add_done_callback(lambda done: self._ended(row, point, on_written, done))

    async def _write(self, write: Write) -> None:
        async with asyncio.timeout(WRITE_S):
            await self._write_field(write)

    def _ended(self, row: int, point: _Point, on_written: OnWritten, task: asyncio.Task[None]) -> None:
        point.task = None
        trouble = _trouble(task)
        if trouble is not None:
            self.errors[row] = self.errors.get(row, 0) + 1
        on_written(trouble)
        self._next(row, point)


def _trouble(task: asyncio.Task[None]) -> WriteRefused | WriteLost | None:
    if task.cancelled():
        return WriteLost("the gateway is stopping")
    fault = task.exception()
    match fault:
        case None | WriteRefused() | WriteLost():
            return fault
        case TimeoutError():
            return WriteLost("the device did not acknowledge")
        case _:
            return WriteLost(f"the driver failed: {type(fault).__name__}: {fault}")
