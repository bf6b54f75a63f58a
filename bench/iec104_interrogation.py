"""Station interrogations of many floats: how long until the termination, how many arrived; beside c104's server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from bench import iec104_rig as rig
from bench.result import Result

# name, points, addresses apart, budget in s
RUNS: Final = (
    ("10k", 10_000, 1, None),
    ("10k_scattered", 10_000, 3, None),
    ("100k", 100_000, 1, 0.5),
    ("100k_scattered", 100_000, 3, None),
)
ROUNDS: Final = 3


async def _ours(points: int, step: int) -> list[dict[str, Any]]:
    async with rig.product(points, step=step) as product:
        with rig.masters(product.port, 1) as (master,):
            return [
                await asyncio.to_thread(lambda: master.ask(do="interrogate", timeout_s=60.0)) for _ in range(ROUNDS)
            ]


def _theirs(points: int, step: int) -> dict[str, Any]:
    with rig.peer(points, "untimed", step=step) as peer, rig.masters(peer.port, 1) as (master,):
        return master.ask(do="interrogate", timeout_s=20.0)


def _short(points: int, seen: dict[str, Any]) -> str:
    """Why there is no time of the peer to compare with."""
    end = "terminated all the same" if seen["terminated"] else "without a termination"
    return f"; of c104's {points} arrived {seen['distinct']}, {end}"


def measure() -> Iterator[Result]:
    """Median of the rounds; every point counted."""
    for name, points, step, budget in RUNS:
        found = asyncio.run(_ours(points, step))
        for seen in found:
            if (seen["points"], seen["distinct"], seen["terminated"]) != (points, points, True):
                raise RuntimeError(f"{points} points were asked for, the master saw {seen}")
        theirs = _theirs(points, step) if rig.has_c104() else None
        complete = theirs is not None and theirs["distinct"] == points
        seconds = sorted(seen["seconds"] for seen in found)[ROUNDS // 2]
        yield Result(
            name=f"iec104_interrogation_{name}",
            value=seconds,
            unit="s",
            budget=budget,
            peer=rig.PEER,
            peer_value=theirs["seconds"] if theirs is not None and complete else None,
            note=f"{points} of {points} arrived, k=12" + ("" if theirs is None or complete else _short(points, theirs)),
        )
