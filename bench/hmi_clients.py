"""Browsers as the stream sees them, in a process of their own: ``bench.hmi_clients PORT COOKIE COUNT PERIOD_MS``.

Says ``ready`` when each has had its first values; a line on standard input begins the measurement, the next one ends
it. Then one JSON object: changes and octets heard by all, and delays in ms from a change's source time to its arrival.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import connect

_VALUES = 1
_HEAD = 16


@dataclass(slots=True)
class Heard:
    """Of one client."""

    measuring: bool = False
    first: asyncio.Event = field(default_factory=asyncio.Event)
    octets: int = 0
    delays_ms: list[NDArray[np.float64]] = field(default_factory=list)

    def take(self, data: bytes) -> None:
        """One binary frame."""
        now_ms = time.time() * 1e3
        kind, count = np.frombuffer(data, np.uint32, 2).tolist()
        self.first.set()
        if not self.measuring:
            return
        self.octets += len(data)
        if kind == _VALUES:
            self.delays_ms.append(now_ms - np.frombuffer(data, np.float64, count, _HEAD + 16 * count))


async def _listen(port: int, cookie: str, period_ms: int, heard: Heard) -> None:
    async with connect(
        f"ws://127.0.0.1:{port}/api/stream", additional_headers={"Cookie": cookie}, max_size=None, compression=None
    ) as socket:
        await socket.send(json.dumps({"points": ["*"], "period_ms": period_ms}))
        async for message in socket:
            if isinstance(message, bytes):
                heard.take(message)


async def _main(port: int, cookie: str, count: int, period_ms: int) -> None:
    clients = [Heard() for _ in range(count)]
    listening = [asyncio.create_task(_listen(port, cookie, period_ms, heard)) for heard in clients]
    for heard in clients:
        await asyncio.wait_for(heard.first.wait(), 60)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for measuring in (True, False):
        await asyncio.to_thread(sys.stdin.readline)
        for heard in clients:
            heard.measuring = measuring
    delays = np.concatenate([part for heard in clients for part in heard.delays_ms] or [np.empty(0)])
    told = {
        "changes": len(delays),
        "octets": sum(heard.octets for heard in clients),
        "delays": np.quantile(delays, (0.5, 0.99)).tolist() if len(delays) else [],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
