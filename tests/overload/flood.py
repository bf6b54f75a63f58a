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

from bench.modbus_peer import READ, ModbusPeer, values
from tests.overload.site import OverloadSite


class Field:
    """All devices; `flooding` while their values move."""

    def __init__(self, devices: int, registers: int) -> None:
        self.data = [bytearray(2 * registers) for _ in range(devices)]
        self.values = [np.frombuffer(data, ">u2") for data in self.data]
        self.flooding = False
        self.reads = 0

    def answer(self, number: int, request: bytes, _peer: ModbusPeer) -> bytes:
        """Of the device with this number."""
        _, _, _, _, _, address, count = READ.unpack_from(request)
        self.reads += 1
        response = values(request, self.data[number][2 * address : 2 * (address + count)])
        if self.flooding:
            self.values[number][address : address + count] += 1
        return response


async def _serve(site: OverloadSite) -> None:
    field = Field(site.scale.devices, site.scale.registers)
    loop = asyncio.get_running_loop()
    for number, port in enumerate(site.flood):
        await loop.create_server(partial(ModbusPeer, partial(field.answer, number)), "127.0.0.1", port)
    print(json.dumps({"ready": True}), flush=True)
    while word := await loop.run_in_executor(None, sys.stdin.readline):
        if word.strip() == "now":
            print(json.dumps({"made": np.concatenate(field.values).tolist(), "reads": field.reads}), flush=True)
        else:
            field.flooding = word.strip() == "flood"


if __name__ == "__main__":
    asyncio.run(_serve(OverloadSite.load(sys.argv[1])))
