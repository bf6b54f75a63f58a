"""DNP3 reads of analogs and of class 0, complete, and the memory of the server; beside opendnp3's outstation."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from bench import dnp3_rig as rig
from bench.result import Result

ROUNDS: Final = 9
ANALOGS: Final = "1e0506"
CLASS_0: Final = "3c0106"
AT_MOST: Final = 1.5
"""Times the peer."""
MIXED: Final = 10_000
TYPES: Final = ("AI", "BI", "DBI", "CTR", "FCTR", "BO", "AO")
PEER_EXTRA: Final = 2
"""Types of points that the peer cannot be without: time and interval, octet strings."""
# Static variations as the peer has them.
AS_PEER: Final = {"AI": "g30v1", "CTR": "g20v1", "FCTR": "g21v1", "AO": "g40v1"}


@dataclass(frozen=True, slots=True)
class _Seen:
    """Rounds of one outstation and its memory."""

    answer: dict[str, Any]
    memory_mb: float

    @property
    def seconds(self) -> float:
        return float(statistics.median(self.answer["seconds"]))

    @property
    def count(self) -> int:
        return int(sum(self.answer["objects"].values()))


async def _ours(types: dict[str, int], asked: str, static: dict[str, str] | None = None) -> _Seen:
    async with rig.product(types, static) as product:
        with rig.reader(product.port) as master:
            answer = await asyncio.to_thread(lambda: master.ask(do="read", objects=asked, rounds=ROUNDS))
            return _Seen(answer, rig.memory_mb(product.pid))


def _theirs(points: int, asked: str, types: tuple[str, ...] = ("analog",)) -> _Seen:
    with rig.peer(points, types=types) as peer, rig.reader(peer.port) as master:
        answer = master.ask(do="read", objects=asked, rounds=ROUNDS)
        return _Seen(answer, rig.memory_mb(peer.process.pid))


def _result(name: str, ours: _Seen, theirs: _Seen | None, wanted: int) -> Result:
    if ours.count != wanted:
        raise RuntimeError(f"{wanted} points were asked for, the master saw {ours.answer['objects']}")
    note = f"{ours.count} points in {ours.answer['octets']} octets and {ours.answer['fragments']} fragments, complete"
    if theirs is not None:
        note += f"; the peer: {theirs.count} points in {theirs.answer['octets']} octets"
    return Result(
        name=name,
        value=ours.seconds,
        unit="s",
        budget=None if theirs is None else AT_MOST * theirs.seconds,
        peer=rig.PEER,
        peer_value=None if theirs is None else theirs.seconds,
        note=note,
    )


def measure() -> Iterator[Result]:
    """Median of the rounds; every point counted."""
    compared = rig.has_peer()
    for points, name in ((10_000, "10k"), (65_535, "65k")):
        ours = asyncio.run(_ours({"AI": points}, ANALOGS))
        theirs = _theirs(points, ANALOGS) if compared else None
        yield _result(f"dnp3_read_{name}_analogs", ours, theirs, points)
    yield Result(
        name="dnp3_memory_65k",
        value=ours.memory_mb,
        unit="MB",
        peer=rig.PEER,
        peer_value=None if theirs is None else theirs.memory_mb,
        note="resident, of the server process with 65,535 analogs that were read; the peer holds as many of every type",
    )
    each = MIXED // len(TYPES)
    mixed = {kind: each + (MIXED - each * len(TYPES) if kind == "AI" else 0) for kind in TYPES}
    ours = asyncio.run(_ours(mixed, CLASS_0, AS_PEER))
    peer_each = MIXED // (len(TYPES) + PEER_EXTRA)
    theirs = _theirs(peer_each, CLASS_0, rig.PEER_TYPES) if compared else None
    # Frozen counters that were never frozen have no value yet; the others are all there.
    yield _result("dnp3_class0_10k_mixed", ours, theirs, MIXED)
