"""The run: everything is started, the flood comes and goes, everybody is asked what happened."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import sites, system
from bench.watch import Sample, Watch
from tests.kit.gateway import listens, wait_until
from tests.overload.crowd import Crowd, SlowReader, Target, half_words
from tests.overload.site import AWAY, HEALTHY, STRANGER, OverloadSite, Scale, write

QUIET_S: Final = 15.0
"""How long what was made in the flood may take to reach the masters that keep up, without progress."""


@dataclass(slots=True)
class Outcome:
    """All that was seen. Times are of the monotonic clock."""

    scale: Scale
    seconds: float
    phases: dict[str, tuple[int, int]] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)
    """Changes of each flooded point."""
    reads: int = 0
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By master, see `Told.summary`."""
    ways: dict[str, list[tuple[int, float | None]]] = field(default_factory=dict)
    crowd: list[dict[str, Any]] = field(default_factory=list)
    slow: dict[str, int] = field(default_factory=dict)
    processes: dict[str, list[Sample]] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    load: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def system(self) -> dict[str, list[tuple[int, float]]]:
        """What the healthy master was told of the gateway, by point."""
        found: dict[str, list[tuple[int, float]]] = self.told["104 main"]["system"]
        return found

    def newest(self, point: str) -> float:
        """Its last value; 0 where none was told."""
        return self.system[point][-1][1] if self.system.get(point) else 0.0


class Peer:
    """A process of the test: a line in, a line of JSON out."""

    def __init__(self, module: str, *words: object) -> None:
        command = [sys.executable, "-m", f"tests.overload.{module}", *map(str, words)]
        self._name = module
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def say(self, word: str) -> None:
        """A line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Its next line. Raises `RuntimeError` when it has ended: a healthy master was cut off, for example."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with status {self._process.wait(10)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, word: str) -> dict[str, Any]:
        """A line and its answer."""
        self.say(word)
        return self.answer()


def run(
    folder: Path, scale: Scale, seconds: float, quiet_s: float, tell: Callable[[str], None] = lambda text: None
) -> Outcome:
    """A flood of so many seconds, with `quiet_s` before it and after it."""
    site, outcome = write(folder, scale), Outcome(scale, seconds)
    path = site.save()
    with Peer("flood", path) as flood, Peer("units", path) as units:
        flood.answer(), units.answer()
        tell("starting the gateway")
        bench_site = sites.BenchSite(site.path, site.iec104, scale.points)
        with system.gateway(bench_site) as gateway:
            _with_gateway(site, outcome, gateway, flood, units, quiet_s, tell)
        outcome.log = _log(gateway.log)
    return outcome


def _with_gateway(
    site: OverloadSite,
    outcome: Outcome,
    gateway: system.Gateway,
    flood: Peer,
    units: Peer,
    quiet_s: float,
    tell: Callable[[str], None],
) -> None:
    watch, slow, path = (
        Watch(gateway.process.pid, clock=time.monotonic_ns),
        SlowReader(site.iec104, "127.0.0.3"),
        site.save(),
    )
    crowd = Crowd(_targets(site), site.scale.connections)
    with Peer("master104", path, HEALTHY, "commands") as main, _dnp3(site, path, HEALTHY, 1) as rldc:
        main.answer()
        rldc.ask("enable")
        _settled(main, gateway)
        for door in (site.opcua, site.hmi):
            wait_until(partial(listens, door), f"somebody to listen at {door}")
        with watch.looking(), slow.reading():
            units.say("begin")
            with _phase(outcome, "before"):
                tell(f"quiet for {quiet_s:g} s")
                time.sleep(quiet_s)
            with _phase(outcome, "flood"):
                tell(f"flood for {outcome.seconds:g} s")
                flood.say("flood")
                time.sleep(outcome.seconds / 5)
                with crowd.standing():
                    time.sleep(outcome.seconds * 4 / 5)
                    flood.say("rest")
                    outcome.load = os.getloadavg()
            with _phase(outcome, "after"):
                tell("the flood is over: waiting for what is under way")
                time.sleep(quiet_s)
                outcome.told |= {"104 main": _drained(main, gateway), "DNP3 main": _drained(rldc, gateway)}
        gateway.check()
        outcome.ways = units.ask("now")
        field = flood.ask("now")
        outcome.made, outcome.reads = field["made"], field["reads"]
        tell("the masters that were away come back")
        outcome.told |= _come_back(path, gateway)
        time.sleep(2.0)
        outcome.told["104 main"] = main.ask("now")
    outcome.crowd, outcome.slow = crowd.summary(), {"octets": slow.octets, "connections": slow.connections}
    outcome.processes = watch.samples
    outcome.pids = {title: len({each.pid for each in found}) for title, found in watch.samples.items()}


@contextlib.contextmanager
def _phase(outcome: Outcome, name: str) -> Iterator[None]:
    began_ns = time.monotonic_ns()
    try:
        yield
    finally:
        outcome.phases[name] = (began_ns, time.monotonic_ns())


@contextlib.contextmanager
def _dnp3(site: OverloadSite, path: Path, source: str, address: int) -> Iterator[Peer]:
    with Peer("masterdnp3", path, source, address) as master:
        master.answer()
        yield master


def _settled(main: Peer, gateway: system.Gateway) -> None:
    """The first values have come: nothing is bad any more, and the control cycle counts."""
    end = time.monotonic() + 60.0
    while time.monotonic() < end:
        gateway.check()
        told = main.ask("now")
        if not told["bad"] and told["system"].get("system/control/cycles"):
            return
        time.sleep(0.5)
    raise RuntimeError("the gateway did not settle within 60 s")


def _drained(master: Peer, gateway: system.Gateway) -> dict[str, Any]:
    """What it was told when nothing more comes."""
    told, quiet_at = master.ask("now"), time.monotonic() + QUIET_S
    while time.monotonic() < quiet_at:
        time.sleep(1.0)
        gateway.check()
        more = master.ask("now")
        if more["events"] == told["events"]:
            return more
        told = more
        quiet_at = time.monotonic() + QUIET_S
    return told


def _come_back(path: Path, gateway: system.Gateway) -> dict[str, dict[str, Any]]:
    """The masters that were away take what was kept for them."""
    site = OverloadSite.load(str(path))
    with Peer("master104", path, AWAY) as sldc:
        sldc.answer()
        iec104 = _drained(sldc, gateway)
    with _dnp3(site, path, AWAY, 2) as rldc:
        dnp3 = rldc.ask("poll")
    return {"104 away": iec104, "DNP3 away": dnp3}


def _targets(site: OverloadSite) -> list[Target]:
    half = half_words()
    return [
        Target("104", site.iec104, (HEALTHY, AWAY, STRANGER), half["104"]),
        Target("DNP3", site.dnp3, (HEALTHY, AWAY, STRANGER), half["DNP3"]),
        Target("OPC UA", site.opcua, ("127.0.0.1", STRANGER), half["OPC UA"]),
        Target("HMI", site.hmi, ("127.0.0.1", STRANGER), half["HMI"]),
    ]


def _log(path: Path) -> list[dict[str, Any]]:
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            lines.append({"event": line})
    return lines
