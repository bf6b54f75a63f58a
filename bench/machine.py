"""What the machine itself is worth while the rest is measured: the time it takes away, and how fast it loops.

A thread that only looks at the clock, before all ordinary ones as the core is, should never lose it. What it loses is
taken by the kernel or, on a virtual machine, by its neighbours: no figure of a latency can be better than that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

from bench.result import Result
from gateway.log import get_log
from gateway.processes.priority import before_others

BURSTS: Final = 20
BURST_S: Final = 0.4
"""Shorter than what the kernel leaves to real-time threads of each second."""
GAP_S: Final = 0.0002
LOOP: Final = 1_000_000


def _gaps_s(until: float) -> list[float]:
    """Times for which this thread did not run, spinning until then."""
    gaps: list[float] = []
    last = time.perf_counter()
    while last < until:
        now = time.perf_counter()
        if now - last > GAP_S:
            gaps.append(now - last)
        last = now
    return gaps


def _loop_ms() -> float:
    begin = time.perf_counter()
    total = 0
    for number in range(LOOP):
        total += number
    return (time.perf_counter() - begin) * 1e3


def measure() -> Iterable[Result]:
    """`BURSTS` bursts of `BURST_S`, as many pauses, on a machine where nothing else is to run."""
    scheduling, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before_others(get_log(process="bench"))
    gaps: list[float] = []
    loops: list[float] = []
    try:
        for _ in range(BURSTS):
            time.sleep(BURST_S)
            gaps += _gaps_s(time.perf_counter() + BURST_S)
            loops.append(_loop_ms())
    finally:
        os.sched_setscheduler(0, scheduling, parameters)
    yield Result(name="machine_takes_away", value=sum(gaps) / (BURSTS * BURST_S) * 100, unit="% of a spinning thread")
    yield Result(name="machine_takes_away_at_once", value=max(gaps, default=0.0) * 1e3, unit="ms")
    yield Result(name="machine_million_additions", value=sorted(loops)[BURSTS // 2], unit="ms")
