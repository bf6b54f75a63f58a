"""CPU of one read of 125 registers by the gateway's driver (read, decode, publish) beside plain pymodbus (read only).

Both poll the same simulated device in another process, both in this process, one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from bench import sites, system
from bench.result import Result
from gateway import registry
from gateway.config import load_site
from gateway.contracts import DeviceState
from gateway.points import Qualities, Rows, Times, Values

BLOCK = 125
BLOCKS = 20
DURATION_S = 6.0
PEER = "pymodbus AsyncModbusTcpClient.read_input_registers, values not converted"


class QuietLog:
    """A log that nobody reads."""

    def debug(self, event: str, **facts: object) -> None: ...
    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...
    def bind(self, **facts: object) -> QuietLog:
        return self


class CountingPort:
    """What a driver needs of the core, and nothing behind it."""

    def __init__(self) -> None:
        self.log = QuietLog()
        self.values = 0

    def now_ns(self) -> int:
        return time.time_ns()

    def publish(self, rows: Rows, values: Values, qualities: Qualities, times_ns: Times | int) -> None:
        self.values += len(rows)

    def degrade(self, rows: Rows, flags: int) -> None: ...

    def state(self, device: str, state: DeviceState, text: str = "") -> None: ...

    def controlled(self) -> bool:
        return True


async def _ours(site: Path) -> float:
    """CPU in us per read of 125 registers."""
    name, plan = load_site(site).drivers[0]
    port = CountingPort()
    driver: Any = registry.load(registry.field(name).driver)(plan, port)
    polling = asyncio.ensure_future(driver.run())
    await asyncio.sleep(1.0)
    before_s, before = time.process_time(), port.values
    await asyncio.sleep(DURATION_S)
    used_s, reads = time.process_time() - before_s, (port.values - before) / BLOCK
    polling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await polling
    if not reads:
        raise RuntimeError("the driver read nothing")
    return 1e6 * used_s / reads


async def _plain(port: int) -> float:
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    if not await client.connect():
        raise RuntimeError("pymodbus could not connect")
    reads = 0
    before_s, end = time.process_time(), time.monotonic() + DURATION_S
    while time.monotonic() < end:
        for block in range(BLOCKS):
            await client.read_input_registers(block * BLOCK, count=BLOCK, device_id=1)
        reads += BLOCKS
    used_s = time.process_time() - before_s
    client.close()
    return 1e6 * used_s / reads


def measure() -> Iterator[Result]:
    """CPU in us per read of 125 registers, ours beside the peer."""
    with system.workspace() as folder, system.devices(1, BLOCK * BLOCKS) as field:
        site = sites.write(folder, field.ports, BLOCK * BLOCKS, port=system.free_port(), scan_ms=20)
        plain = asyncio.run(_plain(field.ports[0]))
        ours = asyncio.run(_ours(site.path))
    yield Result(name="modbus_poll", value=ours, unit="us CPU/read of 125", peer=PEER, peer_value=plain)
