"""OPC UA: changes to one subscribed node-opcua, CPU, ceiling with none lost, and how long others wait meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench import opcua_rig as rig
from bench.result import Result

SECONDS: Final = 5.0
LOADS: Final = ((10_000, 2_000.0), (50_000, 10_000.0))
CEILING_POINTS: Final = 10_000
RATES: Final = (20_000.0, 50_000.0, 75_000.0, 100_000.0, 150_000.0)
PEER_RATES: Final = (2_500.0, 5_000.0, 10_000.0, 15_000.0, 20_000.0)
QUEUE: Final = 100
BATCH: Final = 10_000


@dataclass(slots=True)
class _Seen:
    """CPU of the server as part of a core, and whether every change came, in order."""

    cpu: float
    complete: bool


def _subscribe(client: rig.Client, points: int) -> None:
    names = [f"ns=2;s={name}" for name in rig.names(points)]
    for first in range(0, points, BATCH):
        made = client.ask("flood", nodes=names[first : first + BATCH], queue=QUEUE)
        if made["bad"]:
            raise RuntimeError(f"{made['bad']} of the monitored items were refused")
    heard = client.ask("heard", count=points, timeout=60_000)
    if heard["count"] != points:
        raise RuntimeError(f"{heard['count']} first values came of {points}")


def _run(client: rig.Client, pid: int, flow: Callable[[], int]) -> _Seen:
    used_s, began = rig.cpu_s(pid), time.monotonic()
    count = flow()
    part = (rig.cpu_s(pid) - used_s) / (time.monotonic() - began)
    in_time = time.monotonic() - began < 1.5 * SECONDS
    heard = client.ask("heard", count=count, timeout=5_000)
    return _Seen(part, in_time and heard["count"] == count and not heard["disorder"])


async def _ours(points: int, rates: tuple[float, ...]) -> list[tuple[float, _Seen]]:
    """Rates one after the other until one does not come through."""
    out: list[tuple[float, _Seen]] = []
    async with rig.product(points) as product:
        loop = asyncio.get_running_loop()

        def flow(rate: float) -> int:
            return asyncio.run_coroutine_threadsafe(rig.flow(product, rate, SECONDS), loop).result()

        def work() -> None:
            with rig.client(product.port) as client:
                _subscribe(client, points)
                _climb(client, product.pid, flow, rates, out)

        await asyncio.to_thread(work)
    return out


def _theirs(points: int, rates: tuple[float, ...]) -> list[tuple[float, _Seen]]:
    out: list[tuple[float, _Seen]] = []
    with rig.stock(points) as stock, rig.client(stock.port) as client:
        _subscribe(client, points)
        _climb(client, stock.pid, lambda rate: stock.flow(rate, SECONDS), rates, out)
    return out


def _climb(client: Any, pid: int, flow: Any, rates: tuple[float, ...], out: list[tuple[float, _Seen]]) -> None:
    """One rate after the other, until two do not come through."""
    failed = 0
    for rate in rates:
        seen = _run(client, pid, lambda rate=rate: flow(rate))
        out.append((rate, seen))
        failed += not seen.complete
        if failed > 1:
            return


async def _our_stall(points: int) -> tuple[float, float]:
    async with rig.product(points) as product:
        return await asyncio.to_thread(_stall, product.port, points)


def _their_stall(points: int) -> tuple[float, float]:
    with rig.stock(points) as stock:
        return _stall(stock.port, points)


def _stall(port: int, points: int) -> tuple[float, float]:
    """(longest wait of another connection in ms, duration in ms) while so many items are made in one request."""
    names = [f"ns=2;s={name}" for name in rig.names(points)]
    with rig.client(port) as client, rig.Stalls(port) as stalls:
        made = client.ask("flood", nodes=names, queue=QUEUE)
    return stalls.longest_s * 1e3, float(made["ms"])


def _best(runs: list[tuple[float, _Seen]]) -> float:
    return max((rate for rate, seen in runs if seen.complete), default=0.0)


def measure() -> Iterator[Result]:
    """CPU at two loads, the ceiling, the stall; asyncua's server beside each."""
    if not rig.has_client():
        raise RuntimeError("node-opcua-client is not installed: npm ci in tests/peers/nodeopcua")
    peer_runs = _theirs(CEILING_POINTS, PEER_RATES)
    by_rate = dict(peer_runs)
    for points, rate in LOADS:
        ((_, seen),) = asyncio.run(_ours(points, (rate,)))
        if not seen.complete:
            raise RuntimeError(f"changes were lost at {rate:g}/s")
        near = min(by_rate, key=lambda known: abs(known - rate))
        yield Result(
            name=f"opcua_cpu_{points}_points_{rate:.0f}_changes",
            value=seen.cpu * 100,
            unit="% of a core",
            budget=5.0,
            peer=rig.PEER,
            peer_value=by_rate[near].cpu * 100,
            note=f"worker with its feed, none lost, in order; the peer at {CEILING_POINTS} points, {near:g}/s",
        )
    ours = asyncio.run(_ours(CEILING_POINTS, RATES))
    yield Result(
        name="opcua_changes_ceiling",
        value=_best(ours),
        unit="changes/s",
        at_least=50_000.0,
        peer=rig.PEER,
        peer_value=_best(peer_runs) or None,
        note=f"to one node-opcua, {CEILING_POINTS} items, none lost; the highest of the rates tried, for {SECONDS:g} s",
    )
    stall, took = asyncio.run(_our_stall(CEILING_POINTS))
    peer_stall, peer_took = _their_stall(CEILING_POINTS)
    yield Result(
        name="opcua_stall_10k_items",
        value=stall,
        unit="ms",
        budget=100.0,
        peer=rig.PEER,
        peer_value=peer_stall,
        note=f"longest Hello to Acknowledge beside a request of 10,000 items ({took:.0f} ms; peer {peer_took:.0f} ms)",
    )
