"""The same values in opendnp3's outstation and through our coders: the same octets, each difference said and why.

opendnp3 (yadnp3) runs in a process of its own; our link, transport and application layers play the master.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from protocols.dnp3 import objects
from protocols.dnp3.application import AppControl, Fragment, FragmentBuilder, Function, parse_fragment
from protocols.dnp3.headers import ObjectHeader, all_head, parse_headers, range_head
from protocols.dnp3.link import LinkReader
from protocols.dnp3.objects import OBJECTS, ObjectRow
from protocols.dnp3.quality import ONLINE
from protocols.dnp3.transport import Reassembler, encode_fragment

pytestmark = pytest.mark.skipif(importlib.util.find_spec("opendnp3") is None, reason="no yadnp3 for this platform")
PEER = Path(__file__).parents[1] / "peers" / "yadnp3_outstation.py"
OUTSTATION, MASTER = 10, 1
MASTER_DATA = 0xC4
TIME_MS = 1_700_000_000_123
"""Of every value of the peer."""
Column = list[tuple[float, int]]

STATES: Column = [(index % 3 == 0, 0x01) for index in range(20)]
VALUES: dict[str, Column] = {
    "binary": [*STATES, (1, 0x02), (0, 0x04), (1, 0x11), (1, 0x21)],
    "double": [(index % 4, 0x01) for index in range(24)],
    "counter": [(index * 2_000, 0x01) for index in range(22)] + [(7, 0x02), (7, 0x04)],
    "analog": [(index * 2.0 - 20, 0x01) for index in range(16)]
    + [(1e5, 0x01), (-1e5, 0x01), (1e12, 0x01), (-1e12, 0x01), (1e39, 0x01), (5, 0x04), (5, 0x21), (5, 0x41)],
    "binary_output": [*STATES, (1, 0x02), (0, 0x04), (1, 0x01), (1, 0x11)],
    "analog_output": [(index * 10.0, 0x01) for index in range(22)] + [(1e12, 0x01), (-1e12, 0x01)],
}
GROUPS = {"binary": (1, 2), "double": (3, 4), "counter": (20, 22), "analog": (30, 32), "binary_output": (10, 11)}
GROUPS["analog_output"] = (40, 42)
STATIC = [(kind, row) for kind, (group, _) in GROUPS.items() for row in OBJECTS.values() if row.group == group]
EVENT = [(kind, row) for kind, (_, group) in GROUPS.items() for row in OBJECTS.values() if row.group == group]


class Master:
    """Asks and hears whole responses; confirms what asks for it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._reader, self._series = LinkReader(), Reassembler()
        self._waiting: list[bytes] = []
        self._transport = 0

    def close(self) -> None:
        self._socket.close()

    def _send(self, fragment: Fragment) -> None:
        octets, self._transport = encode_fragment(fragment.encode(), OUTSTATION, MASTER, self._transport, MASTER_DATA)
        self._socket.sendall(octets)

    def _hear(self) -> Fragment:
        while not self._waiting:
            octets = self._socket.recv(65_536)
            assert octets, "the outstation hung up"
            whole = (self._series.receive(frame.data) for frame in self._reader.feed(octets) if frame.data)
            self._waiting += [fragment for fragment in whole if fragment is not None]
        return parse_fragment(self._waiting.pop(0))

    def read(self, request: bytes, seq: int = 3, confirm: bool = True) -> list[Fragment]:
        """Fragments of the response to a read of these headers."""
        self._send(Fragment(AppControl(seq), Function.READ, None, request))
        heard: list[Fragment] = []
        while not heard or not heard[-1].control.fin:
            heard.append(self._hear())
            if heard[-1].control.con and confirm:
                self._send(Fragment(AppControl(heard[-1].control.seq), Function.CONFIRM))
        return heard


@contextmanager
def outstation(values: dict[str, Column], events: bool = False) -> Iterator[Master]:
    """opendnp3 with these values, and a master connected to it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, str(PEER), str(port), str(OUTSTATION), str(MASTER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({**values, "events": events}) + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            master = connect(port)
            try:
                yield master
            finally:
                master.close()
        finally:
            process.kill()


def connect(port: int) -> Master:
    deadline = time.monotonic() + 20
    while True:
        try:
            return Master(port)
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "the outstation does not listen"
            time.sleep(0.05)


def columns(column: Column) -> tuple[np.ndarray, np.ndarray]:
    values, flags = zip(*column, strict=True)
    return np.array(values, float), np.array(flags, np.uint8)


def ours(row: ObjectRow, column: Column) -> objects.Octets:
    values, flags = columns(column)
    return objects.encode(row, values, flags, np.full(len(column), TIME_MS), TIME_MS)


def headers_of(fragments: list[Fragment]) -> list[ObjectHeader]:
    return [header for fragment in fragments for header in parse_headers(fragment.payload, Function.RESPONSE)]


def static_data(row: ObjectRow, column: Column) -> list[tuple[str, list[int], bytes]]:
    """Label, indices and objects of each header of our answer to a read of one variation.

    Points that are not plainly online come with flags, whatever was asked for, each run in a header of its own.
    """
    values, flags = columns(column)
    twin = OBJECTS.get((row.group, row.flagged), row)
    doubtful = objects.wire_flags(row, values, flags) != ONLINE
    edges = [0, *(np.flatnonzero(np.diff(doubtful)) + 1).tolist(), len(column)]
    out = []
    for begin, end in pairwise(edges if row.flagged else [0, len(column)]):
        form = twin if doubtful[begin] else row
        coded = ours(form, column[begin:end])
        data = objects.pack(form, coded) if form.bits else coded.tobytes()
        out.append((form.label, list(range(begin, end)), data))
    return out


def test_static_objects_are_the_same_octets() -> None:
    within = {kind: [(v, f) for v, f in column if abs(v) < 2**15] for kind, column in VALUES.items()}
    for sent, rows in ((VALUES, [pair for pair in STATIC if pair[1].has_flags]), (within, STATIC)):
        with outstation(sent) as master:
            for kind, row in rows:
                # opendnp3 always writes two-octet ranges; we write one-octet ranges where they do.
                found = headers_of(master.read(range_head(*row.key, 0, len(sent[kind]) - 1)))
                assert [(h.label, h.indices.tolist(), h.data) for h in found] == static_data(row, sent[kind])


def test_events_are_the_same_octets() -> None:
    with outstation(VALUES, events=True) as master:
        for kind, row in EVENT:
            found = headers_of(master.read(all_head(*row.key), confirm=False))
            if row.relative_time:
                common = found.pop(0)
                assert common.raw == objects.encode_cto(TIME_MS, synchronised=True)
            [header] = found
            builder = FragmentBuilder()
            builder.add_indexed(row, np.arange(len(VALUES[kind])) + 256, ours(row, VALUES[kind]))
            [mine] = parse_headers(builder.payloads()[0].octets, Function.RESPONSE)
            # opendnp3 always writes two-octet indices; ours are of one octet where they fit.
            assert (header.label, header.indices.tolist()) == (row.label, list(range(len(VALUES[kind]))))
            assert header.data == mine.data, row.label


def test_ten_thousand_analogs_are_cut_into_fragments_alike() -> None:
    column: Column = [(float(index), 0x01) for index in range(10_000)]
    row = OBJECTS[30, 5]
    with outstation({"analog": column}) as master:
        theirs = master.read(all_head(30, 5))
    builder = FragmentBuilder()
    builder.add_range(row, 0, ours(row, column))
    payloads = builder.payloads()
    assert len(payloads) == len(theirs)
    assert b"".join(h.data for h in headers_of(theirs)) == ours(row, column).tobytes()
    # The first range ends above 255 in both, so both write it alike: the same octets to the last.
    assert [payload.octets for payload in payloads] == [fragment.payload for fragment in theirs]


DIFFERENCES: list[tuple[str, str, float, int, str, str]] = [
    # opendnp3 casts NaN to an integer and calls it good; we say that there is no number
    ("NaN as an integer", "g30v1", float("nan"), 0x01, "0100000080", "2000000000"),
    # it sends NaN as a float and calls it good; a master would compute with it
    ("NaN as a float", "g30v5", float("nan"), 0x01, "010100807f", "2000000000"),
    # it cuts towards zero, we round to the nearest
    ("a fraction", "g30v1", -5.6, 0x01, "01fbffffff", "01faffffff"),
    # without flags nobody would see that a number is not the value: we send the twin with flags (g30v1, OVER_RANGE)
    ("too large for a variation without flags", "g30v3", 1e12, 0x01, "ffffff7f", "21ffffff7f"),
]


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference[0])
def test_a_difference_is_this_and_no_other(difference: tuple[str, str, float, int, str, str]) -> None:
    _, label, value, flags, theirs, mine = difference
    row = next(row for row in OBJECTS.values() if row.label == label)
    column: Column = [(value, flags)]
    with outstation({"analog": column}) as master:
        [header] = headers_of(master.read(all_head(*row.key)))
    assert header.data.hex() == theirs
    [(_, _, data)] = static_data(row, column)
    assert data.hex() == mine
