"""Debian's tshark reads every object that we code, with its values, and has nothing to complain about."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from gateway.contracts import LinkName
from gateway.tracing.pcap import PcapWriter
from protocols.dnp3 import objects
from protocols.dnp3.application import Fragment, FragmentBuilder, Function, Payload, response_control
from protocols.dnp3.iin import Iin
from protocols.dnp3.objects import OBJECTS, Coding, ObjectKind, ObjectRow
from protocols.dnp3.transport import encode_fragment

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed here")

LINK = LinkName("m", 1, ("127.0.0.1", 20_000), ("127.0.0.1", 50_000))
TIME_MS = 1_700_000_000_123
UNKNOWN = {(31, v) for v in range(1, 7)} | {(33, v) for v in range(1, 5)} | {(43, 1), (43, 3)}
"""Objects that tshark 4.0 calls unknown."""
MISREAD = {(4, 3)}
"""tshark 4.0 miscounts its octets; opendnp3 sends the same ones as we do (see test_yadnp3_bytes)."""
SENT = [
    row
    for row in OBJECTS.values()
    if row.coding not in (Coding.NONE, Coding.RECORD) and row.group != 80 and row.key not in UNKNOWN | MISREAD
]
NUMBERS = [row for row in SENT if row.coding in (Coding.INTEGER, Coding.FLOAT) and row.has_flags]
VALUES = [0.0, 1.0, 2.0, 300.0]
FIELDS = ("ana.int", "ana.float", "ana.double", "anaout.int", "anaout.float", "anaout.double", "cnt")


def payload(row: ObjectRow, count: int = 4) -> list[Payload]:
    """Some objects as a response carries them."""
    values = np.resize(VALUES, count)
    coded = objects.encode(row, values, np.ones(count, np.uint8), np.full(count, TIME_MS), TIME_MS)
    builder = FragmentBuilder()
    if row.kind in (ObjectKind.STATIC, ObjectKind.DEADBAND):
        builder.add_range(row, 250, coded)
    else:
        lead = objects.encode_cto(TIME_MS, synchronised=True) if row.relative_time else b""
        builder.add_indexed(row, np.arange(count) * 7, coded, lead)
    return builder.payloads()


def write(path: Path, answers: list[list[Payload]]) -> None:
    """One response each.

    The segments of each fragment count from 0, as they may: tshark 4.0 puts fragments together wrongly where numbers
    have gone round several times within one stream.
    """
    with path.open("wb") as file:
        writer = PcapWriter(file)
        writer.opened(LINK, 0)
        for number, payloads in enumerate(answers):
            for at, part in enumerate(payloads):
                control = response_control(at, at == len(payloads) - 1, number % 16, part.events > 0)
                octets = Fragment(control, Function.RESPONSE, Iin(0), part.octets).encode()
                frames, _ = encode_fragment(octets, 1, 10, 0)
                writer.data(LINK, number * 10**9, outgoing=True, data=frames)


def tshark(path: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-r", str(path), "-d", "tcp.port==20000,dnp3", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def complaints(path: Path) -> list[str]:
    return tshark(path, "-Y", "_ws.malformed || _ws.expert.severity >= 6291456")


def test_every_object_is_decoded_without_complaint(tmp_path: Path) -> None:
    path = tmp_path / "objects.pcap"
    write(path, [payload(row) for row in SENT])
    assert complaints(path) == []
    lines = tshark(path, "-Y", "dnp3.al.obj", "-T", "fields", "-e", "dnp3.al.obj")
    decoded = [int(cell, 16) for line in lines for cell in line.split(",")]
    assert {(code >> 8, code & 0xFF) for code in decoded} == {row.key for row in SENT} | {(51, 1)}


def test_the_numbers_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "numbers.pcap"
    write(path, [payload(row) for row in NUMBERS])
    columns = [argument for field in FIELDS for argument in ("-e", f"dnp3.al.{field}")]
    lines = tshark(path, "-Y", "dnp3.al.obj", "-T", "fields", *columns)
    found = [[float(cell) for cell in line.replace("\t", ",").split(",") if cell] for line in lines]
    assert found == [VALUES] * len(NUMBERS)


def test_responses_of_many_fragments_and_frames_are_put_together(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    answers = [payload(OBJECTS[key], 3_000) for key in ((1, 1), (2, 3), (30, 5), (32, 8))]
    write(path, answers)
    assert complaints(path) == []
    heard = tshark(path, "-Y", "dnp3.al.func == 129", "-T", "fields", "-e", "dnp3.al.func")
    assert sum(len(line.split(",")) for line in heard) == sum(len(parts) for parts in answers)
