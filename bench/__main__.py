"""Run measurements: ``python -m bench [names...]`` prints one JSON object a line."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable
from typing import Final

from bench.result import Result

MEASUREMENTS: Final = {
    "machine": "what the machine itself takes away, and how fast it is",
    "publish_feed": "a batch of 1,000 changes into the table and to 6 workers",
    "modbus_poll": "CPU per read of 125 registers, beside plain pymodbus",
    "sunspec_polls": "polls of a SunSpec device of 20 models, beside pysunspec2's client",
    "can_decode": "CAN: decoding a frame, and the driver on a busy bus, beside cantools and python-can",
    "pmu_streams": "CPU of 10 PMU streams at 50 frames/s, beside reading their octets only",
    "points_100k": "100,000 points at 1 s: CPU and memory of all processes",
    "field_to_104": "a change in a device to its frame on the wire, beyond the poll",
    "command_latency": "a command frame in to the Modbus write out, under 10,000 changes/s",
    "iec104_events": "104 events per second with nothing lost, to 1 and 3 masters, beside c104's server",
    "iec104_latency": "an isolated 104 event, from the core to the master's socket, beside c104's server",
    "iec104_interrogation": "104 interrogations of 10,000 and 100,000 points, complete, beside c104's server",
    "dnp3_reads": "DNP3 reads of 10,000 and 65,535 analogs and class 0 of 10,000 mixed points, beside opendnp3",
    "dnp3_events": "DNP3 events per second by poll and unsolicited with nothing lost, beside opendnp3",
    "opcua_start": "OPC UA: start and memory at 10,000 and 100,000 points, beside asyncua's server",
    "opcua_changes": "OPC UA: changes to node-opcua, CPU, ceiling and stalls, beside asyncua's server",
    "mqtt_changes": "MQTT changes per second from the durable queue, and CPU of the input, beside paho-mqtt alone",
    "control_cycle": "control cycle at 1, 10 and 100 units: time, jitter, an interlock's input to the stop write",
    "frequency_to_write": "a PMU's sample to the set-point write at the device, with traffic and three masters",
    "journal": "events on the disk per second, beside a row per event in SQLite",
    "history": "samples recorded, bytes each, a day of a point, forwarding; beside influxdb-client",
    "alarms_flood": "alarms: turns of the core's loop while a batch raises 1,000 of them",
    "alarms_engine": "alarms: CPU over 100,000 points with 400,000 alarms, quiet and in a flood",
    "hmi_stream": "HMI: 10,000 points with 2,000 changes/s to 5 browsers' WebSockets: CPU of the process, delay",
    "hmi_search": "HMI: a search over 100,000 points with two masters' addresses",
    "hmi_page": "HMI: first contentful paint in Chromium on loopback, weight of the first page and of all pages",
    "hmi_trends": "HMI: a trend of 20 points to 1,000 buckets, over an hour, a day and 30 days of samples",
    "start_10k": "start to a complete interrogation of 10,000 points",
}
"""Each is the module ``bench.<name>`` with a function ``measure() -> Iterable[Result]``."""


def measure(name: str) -> Iterable[Result]:
    """Run one measurement; `ImportError` when its module is missing."""
    results: Iterable[Result] = importlib.import_module(f"bench.{name}").measure()
    return results


def main() -> int:
    """The command line. Exit status 1 when a measurement could not be made; a budget not met is only reported."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure; one JSON object a line.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    names = parser.parse_args().names or list(MEASUREMENTS)
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}")
    failed = 0
    for name in names:
        print(f"# {name}: {MEASUREMENTS[name]}", file=sys.stderr, flush=True)
        try:
            for result in measure(name):
                print(result.line(), flush=True)
        except (ImportError, OSError, TimeoutError, RuntimeError) as error:
            failed += 1
            print(f"# {name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            print(json.dumps({"name": name, "failed": f"{type(error).__name__}: {error}"}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
