"""Writes of the control cycle: the newest value of a point wins, one is in flight, and nobody waits for a device."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.contracts.driver import OnWritten, Write, WriteLost, WriteRefused, WriteTicket

WRITE_S: Final = 5.0
"""A device that has not acknowledged by then has failed."""
_LOOK_S: Final = 0.25
"""How often what is in flight is looked through for that."""

TakeWrite = Callable[[Write, OnWritten], WriteTicket | None]
"""See `gateway.contracts.driver.DirectWriter`; None also where a driver takes no direct writes."""


class Overtaken(WriteLost):
    """A newer value took its place before it was sent."""


class _Flight:
    """One value on its way. It ends once, whoever comes first: the device, the time, the end of the gateway."""

    __slots__ = ("on_written", "owner", "point", "since_s", "ticket")

    def __init__(self, owner: FastWrites, point: _Point, on_written: OnWritten, since_s: float) -> None:
        self.owner, self.point, self.on_written, self.since_s = owner, point, on_written, since_s
        self.ticket: WriteTicket | None = None

    def ended(self, trouble: WriteRefused | WriteLost | None) -> None:
        if self.point.flight is self:
            self.point.flight = None
            self.owner.ended(self.point, self.on_written, trouble)

    def give_up(self, trouble: WriteLost) -> None:
        ticket, self.ticket = self.ticket, None
        self.ended(trouble)
        if ticket is not None:
            ticket.cancel()


class _Point:
    """One point: what is being written, and what is to follow."""

    __slots__ = ("flight", "row", "waiting")

    def __init__(self, row: int) -> None:
        self.row = row
        self.flight: _Flight | None = None
        self.waiting: tuple[Write, OnWritten] | None = None


class FastWrites:
    """Lives on the core's loop. A value that is overtaken before its turn is never sent.

    `take_write` hands a value to its driver at once; what it does not take goes by `write_field`, in a task.
    """

    def __init__(self, write_field: Callable[[Write], Awaitable[None]], take_write: TakeWrite | None = None) -> None:
        self._write_field, self._take_write = write_field, take_write
        self._points: dict[int, _Point] = {}
        self._look: asyncio.TimerHandle | None = None
        self.errors: dict[int, int] = {}
        """By row: writes that failed since the start."""

    def write(self, write: Write, on_written: OnWritten) -> None:
        """Take a value; at once when the point is free."""
        point = self._points.get(write.row)
        if point is None:
            point = self._points[write.row] = _Point(write.row)
        if point.flight is None:
            self._send(point, write, on_written)
            return
        before, point.waiting = point.waiting, (write, on_written)
        if before is not None:
            before[1](Overtaken("a newer value took its place"))

    async def stop(self) -> None:
        """End what is in flight."""
        if self._look is not None:
            self._look.cancel()
        flights = [point.flight for point in self._points.values() if point.flight is not None]
        for point in self._points.values():
            point.waiting = None
        tasks = [flight.ticket for flight in flights if isinstance(flight.ticket, asyncio.Future)]
        for flight in flights:
            flight.give_up(WriteLost("the gateway is stopping"))
        await asyncio.gather(*tasks, return_exceptions=True)

    def ended(self, point: _Point, on_written: OnWritten, trouble: WriteRefused | WriteLost | None) -> None:
        """The last word on the value that was in flight; the next one goes."""
        if trouble is not None:
            self.errors[point.row] = self.errors.get(point.row, 0) + 1
        on_written(trouble)
        if point.waiting is not None and point.flight is None:
            (write, to_tell), point.waiting = point.waiting, None
            self._send(point, write, to_tell)

    def _send(self, point: _Point, write: Write, on_written: OnWritten) -> None:
        flight = point.flight = _Flight(self, point, on_written, time.monotonic())
        ticket = None if self._take_write is None else self._take_write(write, flight.ended)
        if ticket is None and point.flight is flight:
            ticket = self._send_by_task(flight, write)
        if point.flight is flight:
            flight.ticket = ticket
            if self._look is None:
                self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_through)

    def _send_by_task(self, flight: _Flight, write: Write) -> asyncio.Future[None]:
        task = asyncio.ensure_future(self._write_field(write))
        task.add_done_callback(lambda done: flight.ended(_trouble(done)))
        return task

    def _look_through(self) -> None:
        """Give up what a device has not acknowledged in time."""
        self._look = None
        too_old_s = time.monotonic() - WRITE_S
        flights = [point.flight for point in self._points.values() if point.flight is not None]
        for flight in flights:
            if flight.since_s <= too_old_s:
                flight.give_up(WriteLost("the device did not acknowledge"))
        if flights and self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_S, self._look_through)


def _trouble(task: asyncio.Future[None]) -> WriteRefused | WriteLost | None:
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
