"""The faults of a run: drawn from its seed, done one after the other, each written down with its begin and end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.watch import child
from tests.soak.plan import SoakPlan
from tests.soak.relay import Passing

BEFORE_S: Final = 8.0
"""Without a fault at the beginning."""
AFTER_S: Final = 40.0
"""... and at the end, so that everybody can catch up."""
GAP_S: Final = (4.0, 9.0)
"""From the end of a fault to the begin of the next."""
LASTS_S: Final = (3.0, 9.0)
FROZEN_S: Final = (7.0, 10.0)
"""Longer than a point's greatest age, so that everybody must be told."""
STEPS_S: Final = (-30, -5, 4, 45)


@dataclass(slots=True)
class Fault:
    """One fault; times are of the real clock, 0 until it happened."""

    kind: str
    whom: str
    after_s: float
    """From the beginning of the run."""
    lasts_s: float
    step_s: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    note: str = ""


@dataclass(slots=True)
class Means:
    """What the faults are done with; a means that this machine has not is None, and its fault is left out."""

    gateway: int
    """Process id of the supervisor."""
    turn: Callable[[str, Passing], None]
    plant: Callable[[str], None]
    broker: Stoppable | None = None
    influx: Stoppable | None = None
    disk: Path | None = None
    """A small file system that holds the state."""
    clock: Path | None = None
    """Where the gateway's processes read by how much their clock is off."""
    workers: Sequence[str] = ()


class Stoppable:
    """A server that can be killed and started again."""

    def __init__(self, kill: Callable[[], None], start: Callable[[], None]) -> None:
        self.kill, self.start = kill, start


def kinds(plan: SoakPlan, means: Means) -> dict[str, list[str]]:
    """What can happen here, and to whom."""
    linked = [peer.name for peer in plan.peers if peer.protocol in plan.listen]
    lines = [f"dev{number}" for number in range(plan.devices)]
    upstream = [name for name, port in (("broker", plan.broker_relay), ("influxdb", plan.influx_relay)) if port]
    found = {
        "cut link": linked,
        "cut master": [peer.name for peer in plan.peers if peer.protocol in ("iec104", "dnp3")],
        "hold link": linked,
        "cut upstream": upstream,
        "cut device": lines,
        "hold device": lines,
        "freeze device": lines,
        "kill worker": [title for title in means.workers if title != "core"],
        "kill server": [title for title in means.workers if title.startswith(("iec104", "dnp3"))],
        "kill core": ["core"],
        "stop broker": ["broker"] if means.broker else [],
        "stop influxdb": ["influxdb"] if means.influx else [],
        "fill disk": ["disk"] if means.disk else [],
        "step clock": ["clock"] if means.clock else [],
    }
    return {kind: whom for kind, whom in found.items() if whom}


def chosen(able: dict[str, list[str]], only: Sequence[str]) -> dict[str, list[str]]:
    """Those of these kinds; all where none is named."""
    return {kind: whom for kind, whom in able.items() if not only or kind in only}


def draw(seed: int, seconds: float, able: dict[str, list[str]]) -> list[Fault]:
    """The faults of a run: every kind comes once before one comes again."""
    chance, faults, bag = random.Random(seed), list[Fault](), list[str]()
    at = BEFORE_S
    while True:
        if not bag:
            bag = list(able)
            chance.shuffle(bag)
        kind = bag.pop()
        whom = chance.choice(able[kind])
        lasts = chance.uniform(*(FROZEN_S if kind.endswith("device") else LASTS_S))
        if kind.startswith("kill"):
            lasts = 0.0
        step = chance.choice(STEPS_S) if kind == "step clock" else 0
        if at + lasts > seconds - AFTER_S:
            return faults
        faults.append(Fault(kind, whom, round(at, 1), round(lasts, 1), step))
        at += lasts + chance.uniform(*GAP_S) + (6.0 if kind.startswith("kill") else 0.0)


@dataclass(slots=True)
class Trouble:
    """Does the faults in a thread."""

    means: Means
    faults: list[Fault]
    tell: Callable[[str], None]
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """From now on; a fault that is on ends with the block."""
        thread = threading.Thread(target=self._run, args=(time.monotonic(),), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(60.0)

    def _run(self, began_s: float) -> None:
        for fault in self.faults:
            if self._over.wait(max(0.0, began_s + fault.after_s - time.monotonic())):
                return
            begin, end = self._deed(fault)
            self.tell(f"{fault.after_s:7.1f} s  {fault.kind} {fault.whom} for {fault.lasts_s:g} s {fault.step_s or ''}")
            fault.began_ns = time.time_ns()
            begin()
            self._over.wait(fault.lasts_s)
            end()
            fault.ended_ns = time.time_ns()

    def _deed(self, fault: Fault) -> tuple[Callable[[], object], Callable[[], object]]:
        """What begins it and what ends it."""
        means, whom = self.means, fault.whom
        turn = {"cut": Passing.CUT, "hold": Passing.HELD}.get(fault.kind.split()[0])
        if turn is not None:
            return lambda: means.turn(whom, turn), lambda: means.turn(whom, Passing.OPEN)
        deeds: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "freeze device": (
                lambda: means.plant(f"freeze {whom.removeprefix('dev')}"),
                lambda: means.plant(f"thaw {whom.removeprefix('dev')}"),
            ),
            "kill worker": (lambda: self._kill(fault), lambda: None),
            "kill server": (lambda: self._kill(fault), lambda: None),
            "kill core": (lambda: self._kill(fault), lambda: None),
            "fill disk": (self._fill, self._empty),
            "step clock": (lambda: self._step(fault.step_s), lambda: self._step(0)),
        }
        if means.broker:
            deeds["stop broker"] = (means.broker.kill, means.broker.start)
        if means.influx:
            deeds["stop influxdb"] = (means.influx.kill, means.influx.start)
        return deeds[fault.kind]

    def _kill(self, fault: Fault) -> None:
        pid = child(self.means.gateway, fault.whom)
        if pid is None:
            fault.note = "was not there"
            return
        os.kill(pid, signal.SIGKILL)

    def _fill(self) -> None:
        assert self.means.disk is not None
        with contextlib.suppress(OSError), (self.means.disk / "filler").open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass

    def _empty(self) -> None:
        assert self.means.disk is not None
        (self.means.disk / "filler").unlink(missing_ok=True)

    def _step(self, seconds: int) -> None:
        assert self.means.clock is not None
        spare = self.means.clock.with_suffix(".new")
        spare.write_text(f"{seconds:+d}\n")
        spare.replace(self.means.clock)
