"""Flooded Modbus devices in a process of their own: every read changes all that it has read.

So a change stands until it was read once, and a gap in what a master is told is the gateway's. The value of a register
is the number of its changes. ``python -m tests.overload.flood SITE.json``; prints ``{"ready": true}``, then obeys
``flood`` and ``rest``, a word a line; at ``now`` it prints ``{"made": [changes of each register], "reads": n}``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial

import numpy as np

from bench.field import ANSWER, READ
from tests.overload.site import OverloadSite


class Field:
    """All devices; `flooding` while their values move."""

    def __init__(self, devices: int, registers: int) -> None:
        self.data = [bytearray(2 * registers) for _ in range(devices)]
        self.values = [np.frombuffer(data, ">u2") for data in self.data]
        self.flooding = False
        self.reads = 0


class Device(asyncio.Protocol):
    """One connection to one device."""

    def __init__(self, field: Field, number: int) -> None:
        self._field, self._number = field, number
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= 6 and len(self._buffer) >= (length := 6 + int.from_bytes(self._buffer[4:6], "big")):
            request, self._buffer = self._buffer[:length], self._buffer[length:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        transaction, _, _, unit, function, address, count = READ.unpack_from(request)
        field = self._field
        field.reads += 1
        body = field.data[self._number][2 * address : 2 * (address + count)]
        self._transport.write(ANSWER.pack(transaction, 0, 3 + len(body), unit, function, len(body)) + body)
        if field.flooding:
            field.values[self._number][address : address + count] += 1


async def _serve(site: OverloadSite) -> None:
    field = Field(site.scale.devices, site.scale.registers)
    loop = asyncio.get_running_loop()
    for number, port in enumerate(site.flood):
        await loop.create_server(partial(Device, field, number), "127.0.0.1", port)
    print(json.dumps({"ready": True}), flush=True)
    while word := await loop.run_in_executor(None, sys.stdin.readline):
        if word.strip() == "now":
            print(json.dumps({"made": np.concatenate(field.values).tolist(), "reads": field.reads}), flush=True)
        else:
            field.flooding = word.strip() == "flood"


if __name__ == "__main__":
    asyncio.run(_serve(OverloadSite.load(sys.argv[1])))
