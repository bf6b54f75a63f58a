"""A value that a device answers with, to the frame that carries it to the master: the way beyond the poll."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import master104, sites, system
from bench.result import Result, percentile

DEVICES = 4
POINTS = 250
CHANGES_PER_S = 1000.0
SCAN_MS = 50
DURATION_S = 20.0


def measure() -> Iterator[Result]:
    """Median and 99th percentile in ms, while 1,000 other values change a second."""
    arrived: dict[int, int] = {}

    def note(values: master104.Values) -> None:
        if values.cause == master104.SPONTANEOUS:
            for value in values.values[values.ioas == sites.PROBE_IOA]:
                arrived.setdefault(int(value), values.time_ns)

    with (
        system.workspace() as folder,
        system.devices(DEVICES, POINTS, changes_per_s=CHANGES_PER_S, probe_every=1) as field,
    ):
        site = sites.write(folder, field.ports, POINTS, port=system.free_port(), scan_ms=SCAN_MS)
        with system.gateway(site) as gateway, master104.connect(site.port, 60.0, gateway.check) as master:
            master.start()
            master.pump(3.0)
            master.on_values = note
            since_ns = time.monotonic_ns()
            master.pump(DURATION_S)
            until_ns = time.monotonic_ns() - 1_000_000_000
        field.finish()
    probes = [(left_ns, value) for left_ns, value in field.probes if since_ns < left_ns < until_ns]
    ways_ms = [(arrived[value] - left_ns) / 1e6 for left_ns, value in probes if value in arrived]
    if len(probes) < 100 or len(ways_ms) != len(probes):
        raise RuntimeError(f"{len(ways_ms)} of {len(probes)} changes reached the master")
    yield Result(name="field_to_104_p50", value=percentile(ways_ms, 50), unit="ms", budget=2.0)
    yield Result(name="field_to_104_p99", value=percentile(ways_ms, 99), unit="ms", budget=10.0)
