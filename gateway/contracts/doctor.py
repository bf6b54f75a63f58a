"""How a field protocol says why a device gives no or wrong values: ``gridgate doctor``.

A doctor reads; it never writes to a device. It opens a connection of its own where the device takes one beside the
gateway's, and otherwise says so and goes by what the running gateway knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from gateway.contracts.driver import DeviceState, FieldDriver
from gateway.contracts.log import Log
from gateway.points.change import Qualities, Rows, Times, Values
from gateway.points.model import PointCatalogue
from gateway.points.quality import Quality


class Verdict(StrEnum):
    """What a finding means."""

    WELL = "well"
    NOTE = "note"
    """Worth knowing; explains no missing value by itself."""
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found. `code` is a short constant name for programs, `says` the sentence for a person."""

    verdict: Verdict
    code: str
    says: str
    evidence: tuple[str, ...] = ()
    advice: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a running gateway knows: its counters of the device, and value and quality of every row of the table."""

    online: bool
    counters: Mapping[str, int]
    value: Values
    quality: Qualities


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The device to be examined. `plan` is the driver's plan it belongs to, `rows` its own rows."""

    device: str
    plan: Any
    catalogue: PointCatalogue
    rows: Rows
    live: Live | None = None

    def shown(self, row: int, value: float) -> str:
        """A value of a point with its name and unit."""
        return f"{self.catalogue.names[row]} = {value:g} {self.catalogue.units[row]}".rstrip()


Doctor = Callable[[Patient], Awaitable[list[Finding]]]
"""What `FieldProtocol.doctor` names. Never raises for anything a device does."""


def fault(code: str, says: str, evidence: str, advice: str) -> Finding:
    """A fault with one piece of evidence."""
    return Finding(verdict=Verdict.FAULT, code=code, says=says, evidence=(evidence,) if evidence else (), advice=advice)


def note(code: str, says: str, *evidence: str, advice: str = "") -> Finding:
    """Something worth knowing."""
    return Finding(verdict=Verdict.NOTE, code=code, says=says, evidence=evidence, advice=advice)


def unreachable(host: str, port: int, error: BaseException | None, text: str) -> Finding:
    """Why a TCP connection could not be made, from the error that ended it."""
    if isinstance(error, ConnectionRefusedError):
        advice = (
            "the device is there, but nothing listens: is the port right, is the service on, is its connection taken?"
        )
        return fault("connection_refused", f"{host} refuses connections at port {port}", text, advice)
    if isinstance(error, socket.gaierror):
        return fault("name", f"the name {host} has no address", text, "is it spelt right; is DNS up?")
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        advice = "is there a route to it: cable, address, netmask, VLAN, firewall?"
        return fault("no_route", f"{host} cannot be reached", text, advice)
    advice = "is it switched on, is the address right, does a firewall drop the connection?"
    return fault("no_connection", f"{host} does not take a connection", text, advice)


async def reach_tcp(host: str, port: int, timeout_s: float) -> Finding | None:
    """Open a TCP connection and close it; what keeps it from being made, or None."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        return unreachable(host, port, error, str(error) or f"no connection within {timeout_s:g} s")
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return None


class _Ear:
    """A log that is kept."""

    def __init__(self, lines: list[tuple[str, dict[str, object]]]) -> None:
        self.lines = lines

    def _keep(self, event: str, **facts: object) -> None:
        self.lines.append((event, facts))

    debug = info = warning = error = _keep

    def bind(self, **facts: object) -> Log:
        return self


@dataclass(slots=True)
class Observation:
    """A `DriverPort` that keeps what a driver says: for doctors that let the driver itself look for a while."""

    catalogue: PointCatalogue
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    states: list[tuple[str, DeviceState, str]] = field(default_factory=list)
    value: Values = field(init=False)
    quality: Qualities = field(init=False)
    time_ns: Times = field(init=False)
    log: Log = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.catalogue)
        self.value = np.zeros(size)
        self.quality = np.full(size, Quality.NEVER_REPORTED, np.uint32)
        self.time_ns = np.zeros(size, np.int64)
        self.log = _Ear(self.told)

    def now_ns(self) -> int:
        return time.time_ns()

    def controlled(self) -> bool:
        return True

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int) -> None:
        self.value[rows], self.quality[rows], self.time_ns[rows] = values, qualities, times_ns

    def degrade(self, rows: Rows, flags: int) -> None:
        self.quality[rows] |= np.uint32(flags)

    def state(self, device: str, state: DeviceState, text: str = "") -> None:
        self.states.append((device, state, text))

    def of(self, event: str) -> list[dict[str, object]]:
        """The facts of every log line of this event."""
        return [facts for found, facts in self.told if found == event]

    def lost(self, device: str) -> str:
        """Why the device was last lost; empty when it was not, or is back."""
        mine = [(state, text) for name, state, text in self.states if name == device]
        return mine[-1][1] if mine and mine[-1][0] is DeviceState.LOST else ""


async def observe(driver: FieldDriver, seconds: float, enough: Callable[[], bool] = lambda: False) -> None:
    """Let a driver run for so long, or until `enough` says so."""
    task = asyncio.create_task(driver.run())
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end and not enough() and not task.done():
            await asyncio.wait({task}, timeout=0.02)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
