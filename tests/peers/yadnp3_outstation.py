"""An independent DNP3 outstation: yadnp3 (opendnp3) in a process of its own. Never imported by the gateway.

    python yadnp3_outstation.py PORT OUTSTATION MASTER < values.json

`values.json`, one line, holds lists of [value, flags] pairs by type: binary, double, counter, analog, binary_output,
analog_output. They become events too when it holds ``"events": true``; ``"unsolicited": true`` allows unsolicited
responses, ``"capacity": n`` is the number of events of each type that are held (at most 65,535). Says ``ready`` once it
listens and runs until its standard input ends. Each further line is an order, answered by a line when it is done::

    < {"do": "events", "count": 1000, "batch": 100}      analog events, their number as value
    > {"begin_ns": 1}                                    of the machine's monotonic clock
"""

import json
import sys
import time

import opendnp3 as dnp3


class Commands(dnp3.ICommandHandler):
    """Refuses everything: nothing is commanded here."""

    def Begin(self) -> None:
        pass

    def End(self) -> None:
        pass


class Application(dnp3.IOutstationApplication):
    pass


TIME_MS = 1_700_000_000_123
TYPES = {
    # type: made from a value, the state bits that go into its flags
    "binary": (lambda value: dnp3.Binary(bool(value)), 7),
    "double": (lambda value: dnp3.DoubleBitBinary(dnp3.DoubleBit(value)), 6),
    "counter": (lambda value: dnp3.Counter(int(value)), None),
    "analog": (lambda value: dnp3.Analog(float(value)), None),
    "binary_output": (lambda value: dnp3.BinaryOutputStatus(bool(value)), 7),
    "analog_output": (lambda value: dnp3.AnalogOutputStatus(float(value)), None),
}


def measurement(kind: str, value: float, flags: int) -> object:
    make, state_bit = TYPES[kind]
    made = make(value)
    made.flags = dnp3.Flags(flags if state_bit is None else flags | int(value) << state_bit)
    made.time = dnp3.DNPTime(TIME_MS)
    return made


def configuration(
    count: int, capacity: int, unsolicited: bool, outstation: int, master: int
) -> "dnp3.OutstationStackConfig":
    config = dnp3.OutstationStackConfig(dnp3.DatabaseConfig(count))
    config.outstation.params.allowUnsolicited = unsolicited
    config.outstation.eventBufferConfig = dnp3.EventBufferConfig.AllTypes(capacity)
    config.link.LocalAddr = outstation
    config.link.RemoteAddr = master
    return config


def events(station: "dnp3.IOutstation", points: int, order: dict[str, int]) -> dict[str, int]:
    """Analogs change as fast as this process can say it."""
    begin_ns = time.monotonic_ns()
    for first in range(0, order["count"], order["batch"]):
        builder = dnp3.UpdateBuilder()
        for number in range(first, min(first + order["batch"], order["count"])):
            builder.Update(measurement("analog", number, 0x01), number % points, dnp3.EventMode.Force)
        station.Apply(builder.Build())
    return {"begin_ns": begin_ns}


def main(port: int, outstation: int, master: int) -> None:
    values = json.loads(sys.stdin.readline())
    mode = dnp3.EventMode.Force if values.pop("events", False) else dnp3.EventMode.Suppress
    unsolicited, capacity = values.pop("unsolicited", False), values.pop("capacity", 0)
    count = max(len(column) for column in values.values())
    config = configuration(count, capacity or 2 * count, unsolicited, outstation, master)
    manager = dnp3.DNP3Manager(1)
    endpoint = dnp3.IPEndpoint("127.0.0.1", port)
    channel = manager.AddTCPServer("s", dnp3.LogLevels(0), dnp3.ServerAcceptMode.CloseExisting, endpoint, None)
    station = channel.AddOutstation("o", Commands(), Application(), config)
    builder = dnp3.UpdateBuilder()
    for kind, column in values.items():
        for index, (value, flags) in enumerate(column):
            builder.Update(measurement(kind, value, flags), index, mode)
    station.Apply(builder.Build())
    station.Enable()
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(events(station, count, json.loads(line))), flush=True)
    manager.Shutdown()


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:4]))
