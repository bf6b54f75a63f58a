"""An isolated event: from the change in the core to the master's socket, beside c104's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from bench import iec104_rig as rig
from bench.result import Result, percentile

EVENTS: Final = 300
APART_S: Final = 0.0217
"""Not a multiple of anyone's tick."""
POINTS: Final = 1_000
BUDGET_P99_MS: Final = 10.0


def _ways_ms(left_ns: list[int], seen: dict[str, Any]) -> list[float]:
    arrived = dict(reversed(seen["arrivals"]))
    return [(arrived[number] - at) / 1e6 for number, at in enumerate(left_ns) if number in arrived]


async def _ours() -> list[float]:
    async with rig.product(POINTS) as product:
        with rig.masters(product.port, 1) as (master,):
            await asyncio.sleep(0.5)
            master.ask(do="clear")
            left_ns = await product.isolated(EVENTS, APART_S)
            await asyncio.sleep(0.5)
            return _ways_ms(left_ns, master.ask(do="arrivals"))


def _theirs() -> list[float]:
    with rig.peer(POINTS, "timed") as peer, rig.masters(peer.port, 1) as (master,):
        master.ask(do="clear")
        left_ns = peer.ask(f"isolated {EVENTS} {APART_S}")["left_ns"]
        master.ask(do="events", expect=EVENTS, silence_s=1.0, timeout_s=5.0)
        return _ways_ms(left_ns, master.ask(do="arrivals"))


def measure() -> Iterator[Result]:
    """Median and 99th percentile in ms."""
    ways_ms = asyncio.run(_ours())
    if len(ways_ms) != EVENTS:
        raise RuntimeError(f"{len(ways_ms)} of {EVENTS} events arrived")
    peers_ms = _theirs() if rig.has_c104() else []
    for percent, budget in ((50, None), (99, BUDGET_P99_MS)):
        yield Result(
            name=f"iec104_event_latency_p{percent}",
            value=percentile(ways_ms, percent),
            unit="ms",
            budget=budget,
            peer=rig.PEER,
            peer_value=percentile(peers_ms, percent) if peers_ms else None,
            note="from the change in the core, through feed and worker; the peer has no feed before it",
        )
