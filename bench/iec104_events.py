"""Events per second with nothing lost, to one and three masters, single and packed, beside c104's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from bench import iec104_rig as rig
from bench.result import Result

POINTS: Final = 10_000
PEER_POINTS: Final = 1_000
PEER_RATES: Final = (1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 18_000, 27_000, 40_000)
PEER_S: Final = 1.5
PACKED: Final = 16
"""Objects of M_ME_TF_1 that fit an ASDU."""

# name, objects per ASDU, masters, events, least that is expected per s
RUNS: Final = (
    ("packed_1", 127, 1, 2_000_000, 200_000.0),
    ("single_1", 1, 1, 300_000, 50_000.0),
    ("packed_3", 127, 3, 600_000, None),
    ("single_3", 1, 3, 100_000, None),
)


async def _ours(packed: int, count: int, events: int) -> tuple[float, float]:
    """Events per s to every master, all received in order, and CPU of the worker per 10,000 events made, in s."""
    async with rig.product(POINTS, packed=packed, count=count) as product:
        with rig.masters(product.port, count) as masters:
            for master in masters:
                master.ask(do="clear")
            used_s = rig.cpu_s(product.pid)
            for master in masters:
                master.order(do="events", expect=events, silence_s=5.0, timeout_s=120.0)
            begin_ns = await product.events(events)
            found = [await asyncio.to_thread(master.answer) for master in masters]
            used_s = rig.cpu_s(product.pid) - used_s
    for seen in found:
        if (seen["received"], seen["distinct"], seen["ordered"]) != (events, events, True):
            raise RuntimeError(f"{events} events were made, the master saw {seen}")
    last_ns = max(seen["last_ns"] for seen in found)
    return events / (last_ns - begin_ns) * 1e9, used_s / (events * count) * 10_000


def _theirs(packed: int, count: int) -> tuple[float, float | None]:
    """The highest rate of `PEER_RATES` at which c104 loses nothing, and its CPU per 10,000 events there, in s."""
    best, best_cpu_s = 0.0, None
    with rig.peer(PEER_POINTS, "timed") as peer, rig.masters(peer.port, count) as masters:
        for rate in PEER_RATES:
            events = int(rate * PEER_S)
            for master in masters:
                master.ask(do="clear")
            used_s = rig.cpu_s(peer.process.pid)
            peer.ask(f"events {events} {rate} {packed}")
            seen = [
                master.ask(do="events", expect=events, silence_s=1.0, timeout_s=30.0)["distinct"] for master in masters
            ]
            if min(seen) < events:
                break
            best, best_cpu_s = float(rate), (rig.cpu_s(peer.process.pid) - used_s) / (events * count) * 10_000
    return best, best_cpu_s


def measure() -> Iterator[Result]:
    """Four runs, each with its peer."""
    compared = rig.has_c104()
    for name, packed, count, events, expected in RUNS:
        rate, cpu_s = asyncio.run(_ours(packed, count, events))
        peer_rate, peer_cpu_s = _theirs(PACKED if packed > 1 else 1, count) if compared else (None, None)
        words = f"{events} events in order to each of {count}, none lost, by way of the durable journal"
        yield Result(
            name=f"iec104_events_{name}",
            value=rate,
            unit="events/s",
            at_least=expected,
            peer=rig.PEER,
            peer_value=peer_rate,
            note=words,
        )
        yield Result(
            name=f"iec104_events_{name}_cpu",
            value=cpu_s * 1000,
            unit="ms per 10,000 events and master",
            peer=rig.PEER,
            peer_value=None if peer_cpu_s is None else peer_cpu_s * 1000,
            note="of the server process",
        )
