"""100,000 points polled every second from 80 devices, 10,000 of them changing a second, one master connected.

CPU and memory of all processes of the gateway together, over 20 s after everything has come up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from bench import master104, sites, system
from bench.result import Result

DEVICES = 80
POINTS = 1250
CHANGES_PER_S = 10_000.0
READS_PER_S = DEVICES * POINTS / 125
SETTLE_S = 10.0
DURATION_S = 20.0


def measure() -> Iterator[Result]:
    """CPU in percent of one core, and memory in MB."""
    with system.workspace() as folder, system.devices(DEVICES, POINTS, changes_per_s=CHANGES_PER_S) as field:
        site = sites.write(folder, field.ports, POINTS, port=system.free_port())
        with system.gateway(site) as gateway, master104.connect(site.port, 60.0, gateway.check) as master:
            master.start(30.0)
            master.interrogate()
            master.pump(SETTLE_S)
            before_s, seen, at = gateway.cpu_s(), master.counts.values, time.monotonic()
            master.pump(DURATION_S)
            lasted_s = time.monotonic() - at
            percent = 100.0 * (gateway.cpu_s() - before_s) / lasted_s
            memory_mb = gateway.memory_mb()
            for role, (cpu_s, role_mb) in gateway.by_role().items():
                print(f"#   {role}: {cpu_s:.1f} s CPU since start, {role_mb:.0f} MB", file=sys.stderr)
            reported = (master.counts.values - seen) / lasted_s
        field.finish()
    if field.reads < 0.95 * READS_PER_S * (SETTLE_S + DURATION_S):
        raise RuntimeError(f"only {field.reads} reads reached the devices: not every point was polled every second")
    yield Result(name="points_100k_cpu", value=percent, unit="% of one core", budget=25.0)
    yield Result(name="points_100k_memory", value=memory_mb, unit="MB PSS", budget=400.0)
    yield Result(name="points_100k_reported", value=reported, unit="values/s at the master")
