"""The two units and the PMU in a process of their own, and the two ways that are measured all the time.

``python -m tests.overload.units SITE.json`` prints ``{"ready": true}``, and begins at the first line of its input:
the frequency steps, and the emergency stop of the second unit is pressed and let go, each again as soon as the gateway
has written what it must. At the next line it prints ``{"frequency": [[began_ns, ms], ...], "stop": [...]}`` and
only answers from then on; ms is null where no write came within `LOST_S`. Times are of the monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from bench.modbus_peer import ModbusPeer, response
from gateway.config import load_site
from protocols.c37118 import simulator
from tests.overload.site import OverloadSite

HZ: Final = (49.60, 49.80)
"""Both outside the dead band, so that each step is a write."""
RATED_KW: Final = 1000.0
LOST_S: Final = 5.0
PAUSE_S: Final = 0.25
ESTOP, RUNNING = 0, 1

Ways = list[tuple[int, float | None]]


class State:
    """Registers and bits of a unit that takes what is written at once.

    `on_write` hears function and value, `on_bits` that its inputs are read.
    """

    def __init__(self) -> None:
        self.registers = {0: 0, 1: 0}
        self.bits = {ESTOP: 0, RUNNING: 1}
        self.coils = {0: 1}
        self.on_write: Callable[[int, int], None] = lambda function, value: None
        self.on_bits: Callable[[], None] = lambda: None

    def answer(self, request: bytes, _peer: ModbusPeer) -> bytes:
        """To one request."""
        return response(request, self._data(request[7], request[8:]))

    def _data(self, function: int, body: bytes) -> bytes:
        """PDU without its function."""
        address, count = struct.unpack_from(">HH", body)
        if function in (1, 2):
            bits = self.coils if function == 1 else self.bits
            value = sum(bits.get(address + n, 0) << n for n in range(count))
            if function == 2:
                self.on_bits()
            return bytes([(count + 7) // 8]) + value.to_bytes((count + 7) // 8, "little")
        if function in (3, 4):
            values = [self.registers.get(address + n if function == 3 else 0, 0) for n in range(count)]
            return bytes([2 * count]) + struct.pack(f">{count}h", *values)
        self._write(function, address, body)
        return body[:4]

    def _write(self, function: int, address: int, body: bytes) -> None:
        if function in (5, 15):
            value = int(body[2] == 0xFF) if function == 5 else body[5] & 1
            self.coils[address] = self.bits[RUNNING] = value
        else:
            value = struct.unpack_from(">h", body, 2 if function == 6 else 5)[0]
            self.registers[address] = value
        if function in (5, 15) or address == 0:
            self.on_write(function, value)


class Way:
    """From something that the field shows to the write that must follow."""

    def __init__(self) -> None:
        self.found: Ways = []
        self._began_ns = 0
        self._done = asyncio.Event()

    def begin(self) -> None:
        """It is on the wire now (or again: the first time counts)."""
        self._began_ns = self._began_ns or time.monotonic_ns()

    def written(self) -> None:
        """The write that was awaited has come."""
        if self._began_ns:
            self._done.set()

    async def wait(self) -> None:
        """For the write, or until it counts as lost."""
        self._done.clear()
        asked_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(LOST_S):
                await self._done.wait()
        except TimeoutError:
            self.found.append((self._began_ns or asked_ns, None))
        else:
            self.found.append((self._began_ns, (time.monotonic_ns() - self._began_ns) / 1e6))
        self._began_ns = 0


def expected_kw(hz: float) -> int:
    """IEGC: 5 % no-step droop from the edge of +-0.03 Hz."""
    return round((49.97 - hz) / (0.05 * 50.0) * RATED_KW)


def _watch_frames(showing: list[float], way: Way) -> None:
    """A new frequency in `showing` is on the wire with the next frame; call it before the PMU has peers."""
    send = simulator._Peer._write

    def write(peer: Any, data: bytes) -> None:
        if len(showing) > 1:
            way.begin()
            del showing[0]
        send(peer, data)

    simulator._Peer._write = write  # type: ignore[method-assign]


async def _steps(pmu: simulator.PmuSimulator, row: Any, unit: State, way: Way, showing: list[float]) -> None:
    """Frequency steps for ever."""
    unit.on_write = lambda function, kw: way.written() if abs(kw - expected_kw(showing[-1])) <= 1 else None
    number = 0
    while True:
        await asyncio.sleep(PAUSE_S + 0.003 * (number % 17))
        showing.append(HZ[number % 2])
        pmu.set(row, np.array([showing[-1]]))
        number += 1
        await way.wait()


async def _stops(unit: State, way: Way) -> None:
    """The emergency stop, for ever; somebody at the unit starts it again in between."""
    number = 0
    unit.on_write = lambda function, value: way.written() if function in (5, 15) and not value else None
    while True:
        await asyncio.sleep(2 * PAUSE_S + 0.003 * (number % 17))
        unit.on_bits = way.begin
        unit.bits[ESTOP] = 1
        number += 1
        await way.wait()
        unit.on_bits = lambda: None
        unit.bits[ESTOP], unit.bits[RUNNING], unit.coils[0] = 0, 1, 1


async def _play(site: OverloadSite) -> None:
    plan = next(plan for name, plan in load_site(site.path).drivers if name == "c37118")
    pmu, row = simulator.PmuSimulator(plan), np.array([plan.bindings[0].row], np.uint32)
    pmu.set(row, np.array([HZ[1]]))
    frequency, stop, showing = Way(), Way(), [HZ[1]]
    _watch_frames(showing, frequency)
    await pmu.start()
    loop = asyncio.get_running_loop()
    units = [State(), State()]
    for unit, port in zip(units, (site.unit1, site.unit2), strict=True):
        await loop.create_server(partial(ModbusPeer, unit.answer), "127.0.0.1", port)
    print(json.dumps({"ready": True}), flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    tasks = [
        asyncio.create_task(_steps(pmu, row, units[0], frequency, showing)),
        asyncio.create_task(_stops(units[1], stop)),
    ]
    await loop.run_in_executor(None, sys.stdin.readline)
    for task in tasks:
        task.cancel()
    print(json.dumps({"frequency": frequency.found, "stop": stop.found}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    await pmu.stop()


if __name__ == "__main__":
    asyncio.run(_play(OverloadSite.load(sys.argv[1])))
