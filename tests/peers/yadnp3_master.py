"""An independent DNP3 master: yadnp3 (opendnp3) in a process of its own. Never imported by the gateway.

    python yadnp3_master.py PORT OUTSTATION MASTER [OPTIONS]

OPTIONS is a JSON object: ``disable_at_start`` (unsolicited responses, true), ``time_sync`` (``LAN``, ``NonLAN``). Reads
one order per line, tells one JSON line per step: what it received (``values``), tasks that ended, results of orders.
At start it clears the restart, reads everything and enables unsolicited responses of every class.
"""

import json
import sys
import threading
import time

import opendnp3 as dnp3

LOCK = threading.Lock()
EVENT_CLASSES = dnp3.ClassField.AllEventClasses()


def say(**facts: object) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(facts, default=str) + "\n")
        sys.stdout.flush()


def plain(value: object) -> object:
    """A measurement as [value, flags, time in ms]."""
    inner = getattr(value, "value", value)
    inner = getattr(inner, "value", inner)
    flags = getattr(getattr(value, "flags", None), "value", 0)
    time = getattr(value, "time", None)
    stamp = getattr(getattr(time, "value", None), "msSinceEpoch", getattr(time, "value", 0))
    return [inner if isinstance(inner, (int, float, bool)) else str(inner), flags, stamp]


class Events(dnp3.ISOEHandler):
    """Tells what every header holds."""

    def Process(self, info: object, values: object) -> None:
        gv = str(info.gv).rpartition(".")[2]
        items = [[item.index, *plain(item.value)] for item in values]
        say(say="values", gv=gv, event=info.isEventVariation, items=items)

    def BeginFragment(self, info: object) -> None:
        say(say="begin", unsolicited=info.unsolicited, fir=info.fir, fin=info.fin)

    def EndFragment(self, info: object) -> None:
        say(say="end", unsolicited=info.unsolicited, fir=info.fir, fin=info.fin)

    def OnDeviceAttribute(self, info: object, number: int, variation: int, value: object) -> None:
        say(say="attribute", set=number, variation=variation, value=str(value))


class Application(dnp3.IMasterApplication):
    """Tells indications and tasks."""

    def OnReceiveIIN(self, iin: object) -> None:
        say(say="iin", value=iin.LSB | iin.MSB << 8)

    def OnTaskComplete(self, info: object) -> None:
        say(say="task", type=info.type.name, result=str(info.result).rpartition(".")[2])

    def Now(self) -> object:
        return dnp3.UTCTimestamp(time.time_ns() // 1_000_000)

    def AssignClassDuringStartup(self) -> bool:
        return False


class Listener(dnp3.IChannelListener):
    """Tells the state of the connection."""

    def OnStateChange(self, state: object) -> None:
        say(say="state", state=str(state).rpartition(".")[2])


def commanded(order: str) -> object:
    def told(result: object) -> None:
        points = [
            [point.index, str(point.state).rpartition(".")[2], str(point.status).rpartition(".")[2]]
            for point in result.to_list()
        ]
        say(say="command", order=order, summary=str(result.summary).rpartition(".")[2], points=points)

    return told


def header(text: str) -> object:
    """``g/v`` for all objects, ``g/v/start/stop`` for a range, ``g/v/+n`` for a count."""
    words = text.split("/")
    group, variation = int(words[0]), int(words[1])
    if len(words) == 2:
        return dnp3.Header.AllObjects(group, variation)
    if words[2].startswith("+"):
        return dnp3.Header.Count8(group, variation, int(words[2]))
    return dnp3.Header.Range16(group, variation, int(words[2]), int(words[3]))


OPERATIONS = {
    "latch_on": (dnp3.OperationType.LATCH_ON, dnp3.TripCloseCode.NUL),
    "latch_off": (dnp3.OperationType.LATCH_OFF, dnp3.TripCloseCode.NUL),
    "pulse_on": (dnp3.OperationType.PULSE_ON, dnp3.TripCloseCode.NUL),
    "close": (dnp3.OperationType.PULSE_ON, dnp3.TripCloseCode.CLOSE),
    "trip": (dnp3.OperationType.PULSE_ON, dnp3.TripCloseCode.TRIP),
}
ANALOGS = {
    "i16": lambda value: dnp3.AnalogOutputInt16(int(value)),
    "i32": lambda value: dnp3.AnalogOutputInt32(int(value)),
    "f32": dnp3.AnalogOutputFloat32,
    "f64": dnp3.AnalogOutputDouble64,
}


def block(words: list[str]) -> object:
    """``latch_on`` and its like, or ``f32 12.5``."""
    if words[0] in OPERATIONS:
        operation, trip_close = OPERATIONS[words[0]]
        return dnp3.ControlRelayOutputBlock(operation, trip_close)
    return ANALOGS[words[0]](float(words[1]))


def carry_out(master: object, events: object, line: str) -> bool:
    """One order; False at the end."""
    match line.split():
        case ["poll", *headers]:
            master.Scan([header(text) for text in headers], events)
        case ["integrity"]:
            master.ScanClasses(dnp3.ClassField.AllClasses(), events)
        case ["events"]:
            master.ScanClasses(EVENT_CLASSES, events)
        case ["function", name, *headers]:
            code = dnp3.FunctionCode.__members__[name]
            master.PerformFunction(line, code, [header(text) for text in headers])
        case ["direct", index, *words]:
            master.DirectOperate(block(words), int(index), commanded(line))
        case ["select", index, *words]:
            master.SelectAndOperate(block(words), int(index), commanded(line))
        case ["freeze", kind, *headers]:
            master.Freeze(dnp3.FreezeType.__members__[kind], [header(text) for text in headers])
        case ["restart", kind]:
            master.Restart(
                dnp3.RestartType.__members__[kind],
                lambda result: say(
                    say="restart", summary=str(result.summary).rpartition(".")[2], time=str(result.restartTime)
                ),
            )
        case ["deadband", index, value]:
            master.WriteDeadBands(
                [dnp3.IndexedAnalogInputDeadband(dnp3.AnalogInputDeadband(float(value)), int(index))],
                lambda result: say(say="deadband", result=str(result)),
            )
        case ["disable"]:
            master.Disable()
        case ["enable"]:
            master.Enable()
        case ["quit"] | []:
            return False
    return True


def main(port: int, outstation: int, address: int, options: dict[str, object]) -> None:
    manager = dnp3.DNP3Manager(1)
    endpoint = dnp3.IPEndpoint("127.0.0.1", port)
    retry = dnp3.ChannelRetry(dnp3.TimeDuration.Milliseconds(50), dnp3.TimeDuration.Milliseconds(200))
    listener, events, application = Listener(), Events(), Application()
    channel = manager.AddTCPClient("c", dnp3.LogLevels(0), retry, [endpoint], "127.0.0.1", listener)
    config = dnp3.MasterStackConfig()
    config.link.LocalAddr, config.link.RemoteAddr = address, outstation
    config.master.responseTimeout = dnp3.TimeDuration.Seconds(5)
    config.master.timeSyncMode = dnp3.TimeSyncMode.__members__[str(options.get("time_sync", "None"))]
    config.master.disableUnsolOnStartup = bool(options.get("disable_at_start", True))
    master = channel.AddMaster("m", events, application, config)
    master.Enable()
    for line in sys.stdin:
        if not carry_out(master, events, line.strip()):
            break
    manager.Shutdown()


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:4]), json.loads(sys.argv[4]) if len(sys.argv) > 4 else {})
