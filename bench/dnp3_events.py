"""DNP3 events per second with nothing lost, by poll and unsolicited, by way of the journal; beside opendnp3."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench import dnp3_rig as rig
from bench.result import Result

POINTS: Final = 10_000
PEER_POINTS: Final = 1_000
EVENTS: Final = 500_000
PEER_EVENTS: Final = 60_000
"""opendnp3 holds at most 65,535."""
LEAST: Final = 100_000.0
PATIENCE: Final = {"silence_s": 5.0, "timeout_s": 120.0}


@dataclass(frozen=True, slots=True)
class _Rate:
    """Events per s, and CPU of the server process per 10,000 of them in s."""

    rate: float
    cpu_s: float


def _rate(seen: dict[str, Any], events: int, begin_ns: int, used_s: float) -> _Rate:
    if (seen["received"], seen["distinct"], seen["ordered"]) != (events, events, True):
        raise RuntimeError(f"{events} events were made, the master saw {seen}")
    return _Rate(events / (seen["last_ns"] - begin_ns) * 1e9, used_s / events * 10_000)


async def _waiting() -> _Rate:
    """Events that wait, fetched by one poll after the other; from the first fragment to the last."""
    async with rig.product({"AI": POINTS}) as product:
        await product.events(PEER_EVENTS)
        await rig.on_disk(product)
        with rig.reader(product.port) as master:
            used_s = rig.cpu_s(product.pid)
            seen = await asyncio.to_thread(lambda: master.ask(do="poll", expect=PEER_EVENTS, **PATIENCE))
            used_s = rig.cpu_s(product.pid) - used_s
    return _rate(seen, PEER_EVENTS, seen["first_ns"], used_s)


async def _polled() -> _Rate:
    """Events fetched while they come about; from the first change to the last fragment."""
    async with rig.product({"AI": POINTS}) as product:
        with rig.reader(product.port) as master:
            return await _flow(product, master, "poll")


async def _unsolicited() -> _Rate:
    """Events told as they come about."""
    async with rig.product({"AI": POINTS}) as product:
        with rig.reader(product.port) as master:
            await asyncio.to_thread(lambda: master.ask(do="enable"))
            return await _flow(product, master, "unsolicited")


async def _flow(product: rig.Product, master: rig.MasterProcess, how: str) -> _Rate:
    used_s = rig.cpu_s(product.pid)
    master.order(do=how, expect=EVENTS, **PATIENCE)
    begin_ns = await product.events(EVENTS)
    seen = await asyncio.to_thread(master.answer)
    return _rate(seen, EVENTS, begin_ns, rig.cpu_s(product.pid) - used_s)


def _peer_waiting() -> _Rate:
    with rig.peer(PEER_POINTS, capacity=65_535) as peer:
        peer.events(PEER_EVENTS)
        with rig.reader(peer.port) as master:
            used_s = rig.cpu_s(peer.process.pid)
            seen = master.ask(do="poll", expect=PEER_EVENTS, **PATIENCE)
            used_s = rig.cpu_s(peer.process.pid) - used_s
    return _rate(seen, PEER_EVENTS, seen["first_ns"], used_s)


def _peer_flow(how: str) -> _Rate:
    unsolicited = how == "unsolicited"
    peering = rig.peer(PEER_POINTS, capacity=65_535, unsolicited=unsolicited)
    with peering as peer, rig.reader(peer.port) as master:
        if unsolicited:
            master.ask(do="enable")
        used_s = rig.cpu_s(peer.process.pid)
        master.order(do=how, expect=PEER_EVENTS, **PATIENCE)
        begin_ns = peer.events(PEER_EVENTS)
        seen = master.answer()
        used_s = rig.cpu_s(peer.process.pid) - used_s
    return _rate(seen, PEER_EVENTS, begin_ns, used_s)


Measured = tuple[str, Callable[[], _Rate], Callable[[], _Rate], str]
RUNS: Final[tuple[Measured, ...]] = (
    (
        "waiting",
        lambda: asyncio.run(_waiting()),
        _peer_waiting,
        f"{PEER_EVENTS} that waited on the disk, fetched by class polls, first to last fragment",
    ),
    (
        "poll",
        lambda: asyncio.run(_polled()),
        lambda: _peer_flow("poll"),
        f"{EVENTS} through feed and journal to class polls, in order, none lost; the peer {PEER_EVENTS} out of itself",
    ),
    (
        "unsolicited",
        lambda: asyncio.run(_unsolicited()),
        lambda: _peer_flow("unsolicited"),
        f"{EVENTS} through feed and journal, unsolicited, in order, none lost; the peer {PEER_EVENTS} out of itself",
    ),
)


def measure() -> Iterator[Result]:
    """Three runs, each with its peer."""
    compared = rig.has_peer()
    for name, ours, theirs, words in RUNS:
        found, peer = ours(), theirs() if compared else None
        yield Result(
            name=f"dnp3_events_{name}",
            value=found.rate,
            unit="events/s",
            at_least=LEAST,
            peer=rig.PEER,
            peer_value=None if peer is None else peer.rate,
            note=words,
        )
        yield Result(
            name=f"dnp3_events_{name}_cpu",
            value=found.cpu_s * 1_000,
            unit="ms per 10,000 events",
            peer=rig.PEER,
            peer_value=None if peer is None else peer.cpu_s * 1_000,
            note="of the server process",
        )
