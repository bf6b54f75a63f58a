"""An independent IEC 104 master: c104 (lib60870-C) in a process of its own. Never imported by the gateway.

Says what it hears as JSON lines on standard output and takes orders as lines on standard input::

    python c104_master.py PORT CA
    < interrogate
    < setpoint 7001 300.0
    < single 6001 1
    > {"say": "frame", "type": 36, "cot": 3, "negative": false, "ca": 1, "objects": [...], "at": 1700000000.1}
    > {"say": "done", "order": "interrogate", "ok": true}

Header fields of a frame are c104's own reading; the elements of the types used here are read below.
"""

# No postponed annotations here: c104 compares the signatures of callbacks with types, not with text.
import calendar
import json
import struct
import sys
import threading
import time

import c104

CA = 1
LOCK = threading.Lock()

FORMS = {  # type identification -> (struct of the value and quality octets, bytes of the time tag)
    1: ("<B", 0), 30: ("<B", 7), 3: ("<B", 0), 31: ("<B", 7), 9: ("<hB", 0), 34: ("<hB", 7), 11: ("<hB", 0),
    35: ("<hB", 7), 13: ("<fB", 0), 36: ("<fB", 7), 15: ("<iB", 0), 37: ("<iB", 7), 45: ("<B", 0), 50: ("<fB", 0),
    100: ("<B", 0), 103: ("", 7), 70: ("<B", 0),
}  # fmt: skip


def say(**facts: object) -> None:
    with LOCK:
        sys.stdout.write(json.dumps(facts, default=str) + "\n")
        sys.stdout.flush()


def cp56_ns(data: bytes) -> int:
    """CP56Time2a read as UTC, ns; the invalid bit is told apart by the caller."""
    ms, minute, hour, day, month, year = struct.unpack("<HBBBBB", data)
    seconds = calendar.timegm((2000 + (year & 127), month & 15, day & 31, hour & 31, minute & 63, 0))
    return seconds * 1_000_000_000 + ms * 1_000_000


def objects(type_id: int, count: int, sequence: bool, body: bytes) -> list[dict[str, object]]:
    """Information objects with address, value octets and time."""
    if type_id not in FORMS:
        return []
    form, time_bytes = FORMS[type_id]
    out: list[dict[str, object]] = []
    at, address = 0, -1
    for _ in range(count):
        if not sequence or address < 0:
            address = int.from_bytes(body[at : at + 3], "little")
            at += 3
        else:
            address += 1
        fields = struct.unpack_from(form, body, at)
        at += struct.calcsize(form)
        tag = body[at : at + time_bytes]
        at += time_bytes
        facts: dict[str, object] = {"ioa": address, "fields": list(fields)}
        if tag:
            facts |= {"time_ns": cp56_ns(tag), "time_invalid": bool(tag[2] & 0x80)}
        out.append(facts)
    return out


def on_raw(connection: c104.Connection, data: bytes) -> None:
    head = c104.explain_bytes_dict(data)
    if head.get("format") != "I":
        return
    type_id = head["type"].value
    say(
        say="frame",
        type=type_id,
        cot=head["cot"].value,
        negative=head["negative"],
        test=head["test"],
        ca=head["commonAddress"],
        objects=objects(type_id, head["numberOfObjects"], head["sequence"], data[12:]),
        at=time.time(),
    )


def on_state(connection: c104.Connection, state: c104.ConnectionState) -> None:
    say(say="state", state=str(state).rpartition(".")[2])


def keep_open(connection: c104.Connection) -> None:
    """c104 now and then stays muted after a connect, without a STARTDT: ask for it until it is open."""
    while True:
        time.sleep(0.5)
        if connection.is_connected and connection.is_muted:
            connection.unmute()


def main() -> None:
    port, ca = int(sys.argv[1]), int(sys.argv[2])
    client = c104.Client(tick_rate_ms=50, command_timeout_ms=10_000)
    connection = client.add_connection(ip="127.0.0.1", port=port, init=c104.Init.NONE)
    connection.on_receive_raw(callable=on_raw)
    connection.on_state_change(callable=on_state)
    station = connection.add_station(common_address=ca)
    client.start()
    points: dict[tuple[int, str], c104.Point] = {}
    threading.Thread(target=keep_open, args=(connection,), daemon=True).start()

    def command(ioa: int, kind: str) -> c104.Point:
        type_ = {"setpoint": c104.Type.C_SE_NC_1, "single": c104.Type.C_SC_NA_1}[kind]
        return points.setdefault((ioa, kind), station.get_point(ioa) or station.add_point(io_address=ioa, type=type_))

    for line in sys.stdin:
        words = line.split()
        ok = False
        match words:
            case ["interrogate"]:
                ok = connection.interrogation(common_address=ca, wait_for_response=True)
            case ["clock"]:
                ok = connection.clock_sync(common_address=ca, wait_for_response=True)
            case ["setpoint", ioa, value]:
                point = command(int(ioa), "setpoint")
                point.value = float(value)
                ok = point.transmit(cause=c104.Cot.ACTIVATION)
            case ["single", ioa, value]:
                point = command(int(ioa), "single")
                point.value = value == "1"
                ok = point.transmit(cause=c104.Cot.ACTIVATION)
            case ["quit"]:
                break
        say(say="done", order=line.strip(), ok=bool(ok))
    client.stop()


if __name__ == "__main__":
    main()
