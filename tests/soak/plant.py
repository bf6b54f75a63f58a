"""The plant: Modbus TCP devices in one process that write down what they change, what they answered, what was written.

``python -m tests.soak.plant PLAN.json`` prints ``ready``. Lines that it takes: ``begin`` (changes begin), ``freeze N``
and ``thaw N`` (device N takes requests and answers none meanwhile), ``rest`` (no more changes). It ends with its input,
and prints a line of JSON.

A part of a device (what one request reads: `PART` registers, or its bits) changes again only after what it shows was
read **and** asked for again on the same connection, half a scan later or more: then the gateway had a scan's time to
hand on what it read. So each change must reach everybody, whatever is cut or killed. Each change moves a random half
of the points of a part on by one.
"""

from __future__ import annotations

import asyncio
import json
import random
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.modbus_peer import READ, ModbusPeer, response, values, written
from tests.soak.ledger import ANSWERED, EVENT, RECORD, WRITE, LedgerWriter
from tests.soak.plan import ALARMED, EXCURSION, SETPOINTS, SoakPlan

PART: Final = 125
TURN_S: Final = 0.05
GAP_NS: Final = 3_000_000_000
BITS, HOLDING, INPUT, WRITE_MANY = 2, 3, 4, 16
ILLEGAL_FUNCTION: Final = 1
FIRST_REST: Final = 4
"""Alarmed points are beyond their limit for four of eight changes."""


@dataclass(slots=True)
class Part:
    """What one request reads: a stretch of points that changes at once."""

    first: int
    """Index of its first point in the plan."""
    at: int
    """Its first register or bit."""
    count: NDArray[np.int64]
    """How often each of its points has changed."""
    next_s: float
    """When it may change (monotonic)."""
    unread: NDArray[np.int64]
    """Places in it that have changed since it was last answered."""
    shown: object | None = None
    """The connection on which its newest state was answered; None: not answered yet."""
    shown_s: float = 0.0
    answered_ns: int = 0
    """When it was answered last (UTC)."""
    taken: bool = True


@dataclass(slots=True)
class Image:
    """The registers and bits of one device."""

    number: int
    plan: SoakPlan
    ledger: LedgerWriter
    frozen: bool = False
    reads: int = 0
    writes: int = 0
    gaps: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(first point, points, from ns, to ns): not asked for, or not answered, for longer than `GAP_NS`."""
    registers: NDArray[np.uint16] = field(init=False)
    bits: NDArray[np.uint8] = field(init=False)
    setpoints: list[int] = field(default_factory=lambda: [0] * SETPOINTS)
    inputs: list[Part] = field(init=False)
    contacts: Part = field(init=False)

    def __post_init__(self) -> None:
        analogs, base = self.plan.analogs, self.number * self.plan.per_device
        self.registers = np.ones(analogs, ">u2")
        self.bits = np.ones(self.plan.per_device - analogs, np.uint8)
        self.inputs = [_part(base + at, at, min(PART, analogs - at)) for at in range(0, analogs, PART)]
        self.contacts = _part(base + analogs, 0, len(self.bits))

    @property
    def parts(self) -> list[Part]:
        return [*self.inputs, self.contacts]

    def begin(self) -> None:
        """Write down what stands before any change."""
        for part in self.parts:
            self._note(part, EVENT, np.arange(len(part.count)), time.time_ns())
            part.unread = np.arange(len(part.count))
            part.taken = False

    def change(self, part: Part, rng: np.random.Generator) -> int:
        """Move half of its points on; returns how many."""
        places = np.flatnonzero(rng.random(len(part.count)) < 0.5)
        part.count[places] += 1
        count = part.count
        if part is self.contacts:
            self.bits[:] = count % 2
        else:
            self.registers[part.at : part.at + len(count)] = count
            self._excursions()
        self._note(part, EVENT, places, time.time_ns())
        part.unread, part.shown, part.taken = places, None, False
        return len(places)

    def _excursions(self) -> None:
        last = self.registers[-ALARMED:]
        count = self.inputs[-1].count[-ALARMED:]
        last[:] = count + np.where(count % (2 * FIRST_REST) >= FIRST_REST, EXCURSION, 0)

    def _note(self, part: Part, kind: int, places: NDArray[np.int64], now_ns: int) -> None:
        records = np.zeros(len(places), RECORD)
        records["point"], records["kind"] = part.first + places, kind
        shown = self.bits if part is self.contacts else self.registers[part.at : part.at + len(part.count)]
        records["value"], records["time_ns"], records["at_ns"] = shown[places], now_ns, now_ns
        self.ledger.extend(records)

    def read(self, function: int, at: int, count: int, connection: object) -> bytes:
        """The body of an answer that leaves now."""
        self.reads += 1
        if function == HOLDING:
            return struct.pack(f">{SETPOINTS}I", *self.setpoints)[2 * at : 2 * (at + count)]
        now_s = time.monotonic()
        for part in [self.contacts] if function == BITS else self.inputs:
            if part.at < at + count and at < part.at + len(part.count):
                self._asked(part, connection, now_s)
        if function == BITS:
            return np.packbits(self.bits[at : at + count], bitorder="little").tobytes()
        return self.registers[at : at + count].tobytes()

    def answer(self, request: bytes, connection: ModbusPeer) -> bytes | None:
        """To one request; a frozen device says nothing."""
        if self.frozen:
            return None
        _, _, _, _, function, at, count = READ.unpack_from(request)
        if function in (BITS, HOLDING, INPUT):
            return values(request, self.read(function, at, count, connection))
        if function == WRITE_MANY:
            self.write(at, request[13:])
            return written(request)
        return response(request[:7] + bytes([function | 0x80]), bytes([ILLEGAL_FUNCTION]))

    def _asked(self, part: Part, connection: object, now_s: float) -> None:
        if part.shown is connection and now_s - part.shown_s >= self.plan.scan_ms / 2000:
            part.taken = True
        elif part.shown is not connection:
            part.shown, part.shown_s = connection, now_s
        now_ns, last_ns = time.time_ns(), part.answered_ns
        part.answered_ns = now_ns
        if last_ns and now_ns - last_ns > GAP_NS:
            self.gaps.append((part.first, len(part.count), last_ns, now_ns))
        if len(part.unread):
            self._note(part, ANSWERED, part.unread, now_ns)
            part.unread = part.unread[:0]

    def write(self, at: int, values: bytes) -> None:
        """A set-point is executed."""
        self.writes += 1
        setpoint, value = at // 2, int.from_bytes(values[:4], "big")
        self.setpoints[setpoint] = value
        self.ledger.add(self.number * SETPOINTS + setpoint, WRITE, value, 0, time.time_ns())


def _part(first: int, at: int, count: int) -> Part:
    return Part(first, at, np.ones(count, np.int64), 0.0, np.zeros(0, np.int64))


class Plant:
    """All devices and the clock that changes them."""

    def __init__(self, plan: SoakPlan, ledger: LedgerWriter) -> None:
        self.plan, self.ledger = plan, ledger
        self.images = [Image(number, plan, ledger) for number in range(plan.devices)]
        self._rng = np.random.default_rng(plan.seed)
        self._period_s = plan.points / plan.changes_per_s / 2
        self._changing = False
        self.changes = 0
        self.late = 0
        """Turns in which a part was due and might not change, because the gateway had not read it."""

    def begin(self) -> None:
        """Changes begin, each part at a time of its own."""
        chance, now = random.Random(self.plan.seed), time.monotonic()
        for image in self.images:
            for part in image.parts:
                part.next_s = now + chance.random() * self._period_s
        self._changing = True

    def order(self, line: str) -> None:
        """A line of the input."""
        word, _, number = line.strip().partition(" ")
        orders: dict[str, Callable[[], None]] = {
            "begin": self.begin,
            "rest": partial(setattr, self, "_changing", False),
            "freeze": lambda: setattr(self.images[int(number)], "frozen", True),
            "thaw": lambda: setattr(self.images[int(number)], "frozen", False),
        }
        orders[word]()

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(TURN_S)
            self.ledger.flush()
            if self._changing:
                self._turn(time.monotonic())

    def _turn(self, now_s: float) -> None:
        for image in self.images:
            for part in image.parts:
                if part.next_s <= now_s and part.taken:
                    self.changes += image.change(part, self._rng)
                    part.next_s = max(part.next_s + self._period_s, now_s)
                elif part.next_s <= now_s:
                    self.late += 1

    def told(self) -> dict[str, Any]:
        """For the report, and the gaps between answers for the comparison."""
        reads, writes = sum(image.reads for image in self.images), sum(image.writes for image in self.images)
        return {"changes": self.changes, "reads": reads, "writes": writes, "late": self.late} | {
            "gaps": [gap for image in self.images for gap in image.gaps]
        }


async def _serve(plan: SoakPlan) -> None:
    with LedgerWriter(plan.ledgers / "plant.bin") as ledger:
        plant, loop = Plant(plan, ledger), asyncio.get_running_loop()
        for image, port in zip(plant.images, plan.field_ports, strict=True):
            image.begin()
            await loop.create_server(partial(ModbusPeer, image.answer), "127.0.0.1", port)
        running = asyncio.create_task(plant.run())
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            plant.order(line)
        running.cancel()
    print(json.dumps(plant.told()), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(SoakPlan.load(sys.argv[1])))
