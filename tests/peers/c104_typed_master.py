"""An IEC 104 master, c104 (lib60870-C), that says what c104 itself reads in every object. Never imported: a process.

Takes one JSON object a line on standard input and answers each with a line ``done``; says what it hears in between::

    TZ=UTC python c104_typed_master.py PORT '[[CA, IOA, "M_SP_NA_1"], ...]'
    < {"do": "interrogate", "ca": 1, "qualifier": "STATION"}
    > {"say": "object", "ca": 1, "ioa": 1001, "type": "M_SP_NA_1", "value": true, "quality": ["Invalid"], ...}
    > {"say": "done", "ok": true}

c104 knows one type per ioa, and drops a whole ASDU in which one of its ioas has another. It knows no type with a
short time tag: these are heard as ``frame`` only, which says every I frame with c104's reading of the head.
"""

# No postponed annotations here: c104 compares the signatures of callbacks with types, not with text.
import datetime
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import c104

ORIGINATOR = 7
LOCK = threading.Lock()
NAMES = ("Overflow", "Blocked", "Substituted", "NonTopical", "Invalid")
COUNTER_NAMES = ("Carry", "Adjusted", "Invalid")


def say(**facts: object) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def number(value: Any) -> object:
    """c104's value classes as plain numbers."""
    if isinstance(value, bool):
        return value
    if isinstance(value, c104.Double | c104.Step):
        return value.value
    if isinstance(value, c104.Byte32):
        return int.from_bytes(bytes(value), "little")
    if isinstance(value, float | c104.NormalizedFloat):
        return float(value)
    return int(value)


def flags(quality: Any) -> list[str]:
    """Names of the flags that c104 sees."""
    kind, names = type(quality), COUNTER_NAMES if isinstance(quality, c104.BinaryCounterQuality) else NAMES
    return [name for name in names if (quality & getattr(kind, name)).is_any()]


def reading(info: Any) -> dict[str, object]:
    """Value, quality, time and what else an information says of itself."""
    time_ = info.recorded_at
    facts: dict[str, object] = {
        "value": number(info.value),
        "quality": flags(info.quality) if info.quality is not None else [],
        "time_ns": None if time_ is None else round(time_.timestamp() * 1000) * 1_000_000,
    }
    if isinstance(info, c104.BinaryCounterInfo):
        facts["freeze"] = int(info.sequence)
    if isinstance(info, c104.StepInfo):
        facts["transient"] = info.transient
    return facts


def on_receive(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    say(
        say="object",
        ca=point.station.common_address,
        ioa=point.io_address,
        type=message.type.name,
        cause=message.cot.name,
        test=message.is_test,
        sequence=message.is_sequence,
        **reading(message.info),
    )
    return c104.ResponseState.SUCCESS


def on_raw(connection: c104.Connection, data: bytes) -> None:
    head = c104.explain_bytes_dict(data)
    if head.get("format") == "I":
        say(
            say="frame",
            type=head["type"].name,
            cause=head["cot"].name,
            negative=head["negative"],
            test=head["test"],
            originator=head["originatorAddress"],
            ca=head["commonAddress"],
            raw=data.hex(),
        )


def on_unexpected(connection: c104.Connection, message: c104.IncomingMessage, cause: c104.Umc) -> None:
    say(say="unexpected", raw=message.raw.hex(), cause=cause.name)


def on_initialised(client: c104.Client, station: c104.Station, cause: c104.Coi) -> None:
    say(say="initialised", ca=station.common_address, cause=cause.name)


MAKE: dict[str, Callable[..., Any]] = {
    "C_SC": lambda value, qualifier, at: c104.SingleCmd(bool(value), getattr(c104.Qoc, qualifier), at),
    "C_DC": lambda value, qualifier, at: c104.DoubleCmd(c104.Double(value), getattr(c104.Qoc, qualifier), at),
    "C_RC": lambda value, qualifier, at: c104.StepCmd(c104.Step(value), getattr(c104.Qoc, qualifier), at),
    "C_SE_NA": lambda value, qualifier, at: c104.NormalizedCmd(c104.NormalizedFloat(value), c104.UInt7(qualifier), at),
    "C_SE_NB": lambda value, qualifier, at: c104.ScaledCmd(c104.Int16(value), c104.UInt7(qualifier), at),
    "C_SE_NC": lambda value, qualifier, at: c104.ShortCmd(value, c104.UInt7(qualifier), at),
    "C_BO": lambda value, qualifier, at: c104.BinaryCmd(c104.Byte32(value), at),
}
MAKE |= {"C_SE_TA": MAKE["C_SE_NA"], "C_SE_TB": MAKE["C_SE_NB"], "C_SE_TC": MAKE["C_SE_NC"]}


def command(point: c104.Point, order: dict[str, Any]) -> bool:
    name = point.type.name
    at = order.get("time_s")
    when = None if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC)
    make = MAKE.get(name[:7]) or MAKE[name[:4]]
    point.command_mode = c104.CommandMode.SELECT_AND_EXECUTE if order.get("select") else c104.CommandMode.DIRECT
    point.info = make(order["value"], order.get("qualifier"), when)
    return point.transmit(cause=getattr(c104.Cot, order.get("cause", "ACTIVATION")))


def main() -> None:
    client: Any = c104.Client(tick_rate_ms=50, command_timeout_ms=1_000)
    connection = client.add_connection(ip="127.0.0.1", port=int(sys.argv[1]), init=c104.Init.NONE)
    connection.originator_address = ORIGINATOR
    client.on_station_initialized(callable=on_initialised)
    connection.on_receive_raw(callable=on_raw)
    connection.on_unexpected_message(callable=on_unexpected)
    points: dict[tuple[int, int], c104.Point] = {}
    for ca, ioa, type_ in json.loads(sys.argv[2]):
        station = connection.get_station(ca) or connection.add_station(common_address=ca)
        points[ca, ioa] = station.add_point(io_address=ioa, type=getattr(c104.Type, type_))
        if type_.startswith("M_"):
            points[ca, ioa].on_receive(callable=on_receive)
    client.start()
    # Now and then c104 does not send STARTDT by itself.
    while connection.state != c104.ConnectionState.OPEN:
        if connection.is_connected and connection.is_muted:
            connection.unmute()
        time.sleep(0.02)
    say(say="done", ok=True)

    def perform(order: dict[str, Any]) -> Any:
        ca = order["ca"]
        cause = getattr(c104.Cot, order.get("cause", "ACTIVATION"))
        match order["do"]:
            case "interrogate":
                qoi = getattr(c104.Qoi, order["qualifier"])
                return connection.interrogation(common_address=ca, cause=cause, qualifier=qoi)
            case "counters":
                rqt, frz = getattr(c104.Rqt, order["qualifier"]), getattr(c104.Frz, order["freeze"])
                return connection.counter_interrogation(common_address=ca, cause=cause, qualifier=rqt, freeze=frz)
            case "clock":
                return connection.clock_sync(common_address=ca)
            case "test":
                # c104 does not take the answer to its own test command for one: it is heard as a frame.
                return connection.test(common_address=ca, with_time=order["with_time"], wait_for_response=False)
            case "read":
                return points[ca, order["ioa"]].read()
            case "command":
                return command(points[ca, order["ioa"]], order)
        raise SystemExit(f"no such order: {order}")

    for line in sys.stdin:
        say(say="done", ok=perform(json.loads(line)))
    client.stop()


if __name__ == "__main__":
    main()
