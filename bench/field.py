"""Simulated Modbus TCP devices for measurements, in a process of their own and as cheap as can be.

::

    python -m bench.field '{"devices": 80, "registers": 1250, "changes_per_s": 10000, "probe_every": 0}'

First line on standard output: ``{"ports": [...]}``. When standard input ends: one JSON object with what was seen,
``{"reads": n, "probes": [[time_ns, value], ...], "writes": [[time_ns, address, value], ...]}``; times are of the
monotonic clock, which all processes of a machine share.

Register 0 of device 0 is the probe: on every `probe_every`-th read of it its value moves on, just before the answer
leaves, so that what follows is the way of the value beyond the poll.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.modbus_peer import READ, ModbusPeer, values, written

PROBE_MODULUS = 30_000


@dataclass(slots=True)
class Seen:
    """What the devices saw."""

    reads: int = 0
    probes: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class Image:
    """The registers of one device, as bytes to answer with and as an array to change."""

    data: bytearray
    registers: NDArray[np.uint16]
    probe_every: int = 0
    probe_reads: int = 0

    @classmethod
    def of(cls, registers: int, probe_every: int) -> Image:
        data = bytearray(2 * registers)
        array: NDArray[np.uint16] = np.frombuffer(data, ">u2")
        array[:] = np.arange(registers) % 1000
        return cls(data, array, probe_every)


class Device:
    """One device: an answer to every request."""

    def __init__(self, image: Image, seen: Seen) -> None:
        self._image, self._seen = image, seen

    def answer(self, request: bytes, _peer: ModbusPeer) -> bytes:
        _, _, _, _, function, address, count = READ.unpack_from(request)
        if function in (3, 4):
            self._seen.reads += 1
            if address == 0 and self._image.probe_every:
                self._probe()
            return values(request, self._image.data[2 * address : 2 * (address + count)])
        value = int.from_bytes(request[13:15], "big", signed=True) if function == 16 else count
        self._seen.writes.append((time.monotonic_ns(), address, value))
        return written(request)

    def _probe(self) -> None:
        image = self._image
        image.probe_reads += 1
        if image.probe_reads % image.probe_every == 0:
            image.registers[0] = (int(image.registers[0]) + 1) % PROBE_MODULUS
            self._seen.probes.append((time.monotonic_ns(), int(image.registers[0])))


async def _change(images: list[Image], changes_per_s: float) -> None:
    """Every 100 ms the next registers in turn get a new value; register 0 of device 0 is left to the probe."""
    size = len(images[0].registers)
    per_turn = round(changes_per_s / 10.0)
    at = 0
    while per_turn:
        await asyncio.sleep(0.1)
        flat = np.arange(at, at + per_turn) % (size * len(images))
        at += per_turn
        flat = flat[flat != 0]
        for device in np.unique(flat // size):
            registers = images[int(device)].registers
            places = flat[flat // size == device] % size
            registers[places] = (registers[places] + 1) % 1000


async def _serve(devices: int, registers: int, changes_per_s: float, probe_every: int) -> None:
    seen = Seen()
    images = [Image.of(registers, probe_every if number == 0 else 0) for number in range(devices)]
    loop = asyncio.get_running_loop()
    answers = [Device(image, seen).answer for image in images]
    servers = [await loop.create_server(partial(ModbusPeer, answer), "127.0.0.1", 0) for answer in answers]
    print(json.dumps({"ports": [server.sockets[0].getsockname()[1] for server in servers]}), flush=True)
    changing = asyncio.ensure_future(_change(images, changes_per_s))
    await loop.run_in_executor(None, lambda: [None for _ in iter(lambda: os.read(0, 4096), b"")])
    changing.cancel()
    print(json.dumps({"reads": seen.reads, "probes": seen.probes, "writes": seen.writes}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_serve(**json.loads(sys.argv[1])))
