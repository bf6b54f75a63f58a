"""A C_SE_NC_1 frame in to the Modbus write at the device, while 10,000 values change a second."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bench import master104, sites, system
from bench.result import Result, percentile

DEVICES = 10
POINTS = 1000
CHANGES_PER_S = 10_000.0
COMMANDS = 200


class Answers:
    """The story of the command in flight."""

    def __init__(self) -> None:
        self.ended = False
        self.refused = 0

    def take(self, kind: int, cause: int, asdu: bytes, time_ns: int) -> None:
        """Ended by a termination, or by a negative confirmation."""
        if kind != master104.C_SE_NC_1:
            return
        negative = bool(asdu[2] & 0x40)
        self.refused += negative
        self.ended = self.ended or negative or cause == master104.ACTIVATION_TERM


def measure() -> Iterator[Result]:
    """Median and 99th percentile in ms."""
    answers = Answers()
    sent: dict[int, int] = {}
    with system.workspace() as folder, system.devices(DEVICES, POINTS, changes_per_s=CHANGES_PER_S) as field:
        site = sites.write(folder, field.ports, POINTS, port=system.free_port(), setpoint=True)
        with system.gateway(site) as gateway, master104.connect(site.port, 60.0, gateway.check) as master:
            master.on_other = answers.take
            master.start()
            master.pump(5.0)
            seen, at = master.counts.values, time.monotonic()
            for number in range(1, COMMANDS + 1):
                answers.ended = False
                sent[number] = master.set_point(sites.SETPOINT_IOA, float(number))
                master.wait(lambda: answers.ended, 10.0)
                master.pump(0.02 + number % 7 * 0.01)  # not in step with the scans
            flowing = (master.counts.values - seen) / (time.monotonic() - at)
        field.finish()
    ways_ms = [(time_ns - sent[value]) / 1e6 for time_ns, _, value in field.writes if value in sent]
    if answers.refused or len(ways_ms) != COMMANDS:
        raise RuntimeError(f"{len(ways_ms)} of {COMMANDS} commands arrived, {answers.refused} were refused")
    if flowing < 0.8 * CHANGES_PER_S:
        raise RuntimeError(f"only {flowing:.0f} changes/s flowed to the master")
    yield Result(name="command_latency_p50", value=percentile(ways_ms, 50), unit="ms")
    yield Result(name="command_latency_p99", value=percentile(ways_ms, 99), unit="ms", budget=10.0)
