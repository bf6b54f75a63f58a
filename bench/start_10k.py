"""From `gridgate run` to a complete interrogation of 10,000 points on the wire, and until all of them are good."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from bench import master104, sites, system
from bench.result import Result

DEVICES = 10
POINTS = 1000


class Interrogation:
    """What one interrogation brought."""

    def __init__(self, master: master104.Master) -> None:
        self.points: set[int] = set()
        self.good: set[int] = set()
        self.ended_ns = 0
        master.on_values, master.on_other = self._values, self._other
        master.interrogate()
        master.wait(lambda: bool(self.ended_ns), 30.0)

    def _values(self, values: master104.Values) -> None:
        if values.cause == master104.INTERROGATED:
            self.points.update(values.ioas.tolist())
            self.good.update(values.ioas[np.asarray(values.qualities) == master104.GOOD].tolist())

    def _other(self, kind: int, cause: int, asdu: bytes, time_ns: int) -> None:
        if kind == master104.C_IC_NA_1 and cause == master104.ACTIVATION_TERM:
            self.ended_ns = time_ns


def measure() -> Iterator[Result]:
    """Seconds to the end of the first interrogation, and of the first one with every point good."""
    with system.workspace() as folder, system.devices(DEVICES, POINTS) as field:
        site = sites.write(folder, field.ports, POINTS, port=system.free_port())
        with system.gateway(site) as gateway, master104.connect(site.port, 60.0, gateway.check) as master:
            master.start()
            first = Interrogation(master)
            if len(first.points) != site.points:
                raise RuntimeError(f"the interrogation brought {len(first.points)} of {site.points} points")
            last = _all_good(first, master, site.points)
            started_ns = gateway.started_ns
    yield Result(name="start_10k", value=(first.ended_ns - started_ns) / 1e9, unit="s", budget=2.0)
    yield Result(name="start_10k_all_good", value=(last.ended_ns - started_ns) / 1e9, unit="s")


def _all_good(latest: Interrogation, master: master104.Master, points: int) -> Interrogation:
    end = time.monotonic() + 30.0
    while len(latest.good) < points:
        if time.monotonic() > end:
            raise TimeoutError(f"only {len(latest.good)} of {points} points became good")
        master.pump(0.05)
        latest = Interrogation(master)
    return latest
