"""An independent RTU: c104 (lib60870-C) as a controlled station in a process of its own. Never imported by the gateway.

Takes one JSON object a line on standard input, answers each with a line ``done``; says the commands it obeys::

    TZ=UTC python c104_typed_server.py PORT '[[CA, IOA, "M_SP_TB_1"], [CA, IOA, "C_SC_NA_1", "select"], ...]'
    < {"do": "set", "ca": 1, "ioa": 2, "value": 1, "quality": ["Blocked"], "ms": 1700000000123}
    > {"say": "command", "ca": 1, "ioa": 7, "value": 1.0}
    > {"say": "done"}

``refuse``: commands are answered negatively from now on. ``ms``: time of the value, now if left out.
"""

# No postponed annotations here: c104 compares the signatures of callbacks with types, not with text.
import datetime
import json
import sys
import threading
from typing import Any

import c104

LOCK = threading.Lock()
REFUSING = threading.Event()


def say(**facts: object) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def number(value: Any) -> float:
    if isinstance(value, c104.Double):
        return float(value.value)
    if isinstance(value, c104.Step):
        return float(value.value)
    if isinstance(value, c104.Byte32):
        return float(int.from_bytes(bytes(value), "little"))
    return float(value)


def obey(point: c104.Point, previous_info: c104.Information, message: c104.IncomingMessage) -> c104.ResponseState:
    if REFUSING.is_set():
        return c104.ResponseState.FAILURE
    say(say="command", ca=message.common_address, ioa=point.io_address, value=number(point.value))
    return c104.ResponseState.SUCCESS


def packed(value: float) -> c104.PackedSingle:
    made = c104.PackedSingle()
    for bit in range(16):
        if int(value) >> bit & 1:
            made |= getattr(c104.PackedSingle, f"I{bit}")
    return made


STATES = (c104.Double.INTERMEDIATE, c104.Double.OFF, c104.Double.ON, c104.Double.INDETERMINATE)
EVENTS = (c104.EventState.INTERMEDIATE, c104.EventState.OFF, c104.EventState.ON, c104.EventState.INDETERMINATE)
INFORMATION = {
    "M_SP": lambda v, **more: c104.SingleInfo(on=bool(v), **more),
    "M_DP": lambda v, **more: c104.DoubleInfo(state=STATES[int(v)], **more),
    "M_ST": lambda v, **more: c104.StepInfo(state=c104.Int7(int(v)), transient=False, **more),
    "M_BO": lambda v, **more: c104.BinaryInfo(blob=c104.Byte32(int(v).to_bytes(4, "little")), **more),
    "M_ME_NA": lambda v, **more: c104.NormalizedInfo(actual=c104.NormalizedFloat(v), **more),
    "M_ME_TD": lambda v, **more: c104.NormalizedInfo(actual=c104.NormalizedFloat(v), **more),
    "M_ME_NB": lambda v, **more: c104.ScaledInfo(actual=c104.Int16(int(v)), **more),
    "M_ME_TE": lambda v, **more: c104.ScaledInfo(actual=c104.Int16(int(v)), **more),
    "M_ME_NC": lambda v, **more: c104.ShortInfo(actual=v, **more),
    "M_ME_TF": lambda v, **more: c104.ShortInfo(actual=v, **more),
    "M_IT": lambda v, **more: c104.BinaryCounterInfo(counter=int(v), sequence=c104.UInt5(3), **more),
    "M_EP": lambda v, **more: c104.ProtectionEventInfo(state=EVENTS[int(v)], elapsed_ms=c104.UInt16(5), **more),
    "M_PS": lambda v, **more: c104.StatusAndChanged(status=packed(v), changed=packed(0), **more),
}


def information(type_: str, order: dict[str, Any]) -> Any:
    names = c104.BinaryCounterQuality if type_.startswith("M_IT") else c104.Quality
    quality = names()
    for name in order.get("quality", ()):
        quality |= getattr(names, name)
    ms = order.get("ms")
    when = (
        datetime.datetime.now(datetime.UTC) if ms is None else datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC)
    )
    make = INFORMATION.get(type_[:7]) or INFORMATION[type_[:4]]
    return make(order["value"], quality=quality, recorded_at=when)


def main() -> None:
    server = c104.Server(ip="127.0.0.1", port=int(sys.argv[1]), tick_rate_ms=100)
    points: dict[tuple[int, int], tuple[c104.Point, str]] = {}
    for ca, ioa, type_, *mode in json.loads(sys.argv[2]):
        station = server.get_station(common_address=ca) or server.add_station(common_address=ca)
        more = {"command_mode": c104.CommandMode.SELECT_AND_EXECUTE} if mode == ["select"] else {}
        point = station.add_point(io_address=ioa, type=getattr(c104.Type, type_), **more)
        if type_.startswith("C_"):
            point.on_receive(callable=obey)
        points[ca, ioa] = (point, type_)
    server.start()
    say(say="done")
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "set":
            point, type_ = points[order["ca"], order["ioa"]]
            point.info = information(type_, order)
            point.transmit(cause=c104.Cot.SPONTANEOUS)
        elif order["do"] == "refuse":
            REFUSING.set()
        say(say="done")
    server.stop()


if __name__ == "__main__":
    main()
