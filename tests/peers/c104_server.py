"""An independent IEC 104 controlled station: c104 (lib60870-C) in a process of its own. Never imported by the gateway.

Serves `POINTS` measured values (short floating point) at ioa 1 and up, `STEP` apart, and does as it is told on standard
input, one line an order, one JSON line an answer::

    python c104_server.py PORT POINTS TYPE STEP      # TYPE: timed (M_ME_TF_1) or untimed (M_ME_NC_1)
    > {"ready": 1000}
    < events 4000 4000 1          # 4,000 events at 4,000/s, 1 in an ASDU; event number i is the value i
    > {"sent": 4000, "first_ns": 123, "last_ns": 456}
    < isolated 100 0.02           # 100 single events, 0.02 s apart
    > {"left_ns": [...]}
    < quit

Times are of the machine's monotonic clock.
"""

# No postponed annotations here: c104 compares the signatures of callbacks with types, not with text.
import json
import sys
import time

import c104

TYPES = {"timed": c104.Type.M_ME_TF_1, "untimed": c104.Type.M_ME_NC_1}
TICK_S = 0.002


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def send(points: list[c104.Point], server: c104.Server, first: int, count: int, packed: int) -> int:
    """Events `first` to `first + count`; returns how many the library said it took."""
    taken = 0
    for start in range(first, first + count, packed):
        numbers = range(start, min(start + packed, first + count))
        chosen = [points[number % len(points)] for number in numbers]
        for number, point in zip(numbers, chosen, strict=True):
            point.value = float(number)
        if packed == 1:
            taken += chosen[0].transmit(cause=c104.Cot.SPONTANEOUS)
        else:
            taken += len(chosen) * server.transmit_batch(c104.Batch(cause=c104.Cot.SPONTANEOUS, points=chosen))
    return taken


def events(points: list[c104.Point], server: c104.Server, count: int, rate: float, packed: int) -> None:
    """At an even pace, in steps of `TICK_S`."""
    start_ns = time.monotonic_ns()
    sent = taken = 0
    while sent < count:
        due = min(count, int((time.monotonic_ns() - start_ns) / 1e9 * rate) + 1)
        due = count if due == count else sent + (due - sent) // packed * packed
        taken += send(points, server, sent, due - sent, packed)
        sent = due
        time.sleep(TICK_S)
    say(sent=sent, taken=taken, first_ns=start_ns, last_ns=time.monotonic_ns())


def isolated(points: list[c104.Point], count: int, apart_s: float) -> None:
    left_ns = []
    for number in range(count):
        point = points[number % len(points)]
        left_ns.append(time.monotonic_ns())
        point.value = float(number)
        point.transmit(cause=c104.Cot.SPONTANEOUS)
        time.sleep(apart_s)
    say(left_ns=left_ns)


def main() -> None:
    port, count, kind, step = int(sys.argv[1]), int(sys.argv[2]), TYPES[sys.argv[3]], int(sys.argv[4])
    server = c104.Server(ip="127.0.0.1", port=port, tick_rate_ms=100)
    station = server.add_station(common_address=1)
    points = [station.add_point(io_address=1 + number * step, type=kind) for number in range(count)]
    for number, point in enumerate(points):
        point.value = float(number)
    server.start()
    say(ready=count)
    for line in sys.stdin:
        match line.split():
            case ["events", number, rate, packed]:
                events(points, server, int(number), float(rate), int(packed))
            case ["isolated", number, apart_s]:
                isolated(points, int(number), float(apart_s))
            case ["quit"]:
                break
    server.stop()


if __name__ == "__main__":
    main()
