"""HMI: 10,000 points with 2,000 changes/s to 5 browsers that look at all of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

from bench import hmi_rig
from bench.iec104_rig import Product, cpu_s, end
from bench.opcua_rig import flow
from bench.result import Result

POINTS: Final = 10_000
RATE: Final = 2_000.0
CLIENTS: Final = 5
SECONDS: Final = 10.0
PERIODS_MS: Final = (250, 50)
"""What pages ask for, and the least there is."""
CPU_BUDGET: Final = 25.0


async def _one(product: Product, cookie: str, period_ms: int) -> tuple[float, dict[str, Any]]:
    """(CPU of the process in percent of a core, what the clients heard)."""
    pipe = subprocess.PIPE
    arguments = [str(product.port), cookie, str(CLIENTS), str(period_ms)]
    clients = subprocess.Popen(
        [sys.executable, "-m", "bench.hmi_clients", *arguments], stdin=pipe, stdout=pipe, text=True
    )
    assert clients.stdin is not None and clients.stdout is not None
    try:
        if not await asyncio.to_thread(clients.stdout.readline):
            raise RuntimeError("the clients did not get their first values")
        clients.stdin.write("begin\n")
        clients.stdin.flush()
        used_s, began = cpu_s(product.pid), time.monotonic()
        await flow(product, RATE, SECONDS)
        part = 100 * (cpu_s(product.pid) - used_s) / (time.monotonic() - began)
        await asyncio.sleep(1.0)
        clients.stdin.write("end\n")
        clients.stdin.flush()
        told = json.loads(await asyncio.to_thread(clients.stdout.readline))
    finally:
        end(clients)
    return part, told


async def _measure() -> list[Result]:
    out: list[Result] = []
    async with hmi_rig.hmi(hmi_rig.plain_site(POINTS)) as product:
        cookie = await asyncio.to_thread(hmi_rig.session_cookie, product.port)
        for period_ms in PERIODS_MS:
            part, told = await _one(product, cookie, period_ms)
            rate = told["changes"] / SECONDS / CLIENTS
            kb = told["octets"] / SECONDS / CLIENTS / 1e3
            note = f"{rate:,.0f} of {RATE:,.0f} changes/s heard by each, {kb:.0f} kB/s"
            name = f"hmi_stream_{period_ms}ms"
            half, worst = told["delays"]
            out.append(Result(name=f"{name}_cpu", value=part, unit="% of a core", budget=CPU_BUDGET, note=note))
            out.append(Result(name=f"{name}_delay_p50", value=half, unit="ms"))
            # A frame waits for its period, and no longer than that and a little.
            out.append(Result(name=f"{name}_delay_p99", value=worst, unit="ms", budget=period_ms + 50.0))
    return out


def measure() -> Iterator[Result]:
    """See the module."""
    yield from asyncio.run(_measure())
