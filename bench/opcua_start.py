"""OPC UA: from the point list to listening, time and memory, at 10,000 and 100,000 points; beside asyncua's server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, Final

from bench import opcua_rig as rig
from bench.result import Result

SIZES: Final = (10_000, 100_000)
TIME_BUDGET_S: Final = 1.0
MEMORY_BUDGET_MB: Final = 60.0


def _child(which: str, points: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.opcua_starting", which, str(points)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{which} did not start: {done.stderr[-300:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure() -> Iterator[Result]:
    """Each in a process of its own. Memory: what the points add to a server without any."""
    empty, peer_empty = _child("ours", 100), _child("stock", 100)
    for points in SIZES:
        ours, peer = _child("ours", points), _child("stock", points)
        yield Result(
            name=f"opcua_start_{points}",
            value=ours["seconds"],
            unit="s",
            budget=TIME_BUDGET_S,
            peer=rig.PEER,
            peer_value=peer["seconds"],
            note=f"nodes and points, until it listens; CPU {ours['cpu_s']:.2f} s, the peer's {peer['cpu_s']:.1f} s",
        )
        yield Result(
            name=f"opcua_memory_{points}",
            value=ours["mb"] - empty["mb"],
            unit="MB",
            budget=MEMORY_BUDGET_MB,
            peer=rig.PEER,
            peer_value=peer["mb"] - peer_empty["mb"],
            note=f"beyond a server of 100 points ({empty['mb']:.0f} MB, the peer's {peer_empty['mb']:.0f} MB)",
        )
