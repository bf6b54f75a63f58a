"""Annotated octets in tests/vectors/dnp3, coded from values and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gateway.points import Quality
from protocols.dnp3 import objects, quality
from protocols.dnp3.crc import block_crcs, crc
from protocols.dnp3.link import LinkFrame, LinkReader
from protocols.dnp3.objects import OBJECTS, ObjectRow

VECTORS = Path(__file__).parents[2] / "vectors" / "dnp3"


def lines(name: str) -> list[list[str]]:
    text = (VECTORS / name).read_text().splitlines()
    return [[cell.strip() for cell in line.split("|")] for line in text if line and not line.startswith("#")]


def row_of(label: str) -> ObjectRow:
    group, _, variation = label[1:].partition("v")
    return OBJECTS[int(group), int(variation)]


def flag_octet(row: ObjectRow, word: str) -> np.ndarray:
    if word.isdigit():
        return np.array([int(word)], np.uint8)
    flag = Quality(0) if word == "-" else Quality[word]
    return quality.flags(row.family or quality.Family.ANALOG, np.array([int(flag)], np.uint32))


@pytest.mark.parametrize("line", lines("objects.txt"), ids=lambda line: f"{line[1]} {line[0]}")
def test_an_object_is_coded_as_the_vector_says(line: list[str]) -> None:
    _, label, value, word, time, octets = line
    row = row_of(label)
    times = None if time == "-" else np.array([int(time)])
    coded = objects.encode(row, np.array([float(value)]), flag_octet(row, word), times)
    assert coded.tobytes().hex() == octets.replace(" ", "")


@pytest.mark.parametrize("line", lines("objects.txt"), ids=lambda line: f"{line[1]} {line[0]}")
def test_the_vector_reads_back(line: list[str]) -> None:
    _, label, value, _word, time, octets = line
    row = row_of(label)
    records = objects.decode(row, bytes.fromhex(octets), 1)
    if row.has_flags and objects.flags(row, records)[0] & quality.ONLINE:
        nearest = np.clip(float(value), row.low, row.high)
        assert objects.values(row, records)[0] == (round(nearest) if row.coding == "integer" else np.float32(nearest))
    read = objects.times_ms(row, records)
    assert (None if read is None else read.tolist()) == (None if time == "-" else [int(time)])


def test_relative_times_lie_behind_a_common_time() -> None:
    """Half a second after the common time: 500 = 0x1f4."""
    row, base = OBJECTS[2, 3], 1_700_000_000_123
    coded = objects.encode(row, np.array([1.0]), np.array([1], np.uint8), np.array([base + 500]), base)
    assert coded.tobytes().hex() == "81f401"
    read = objects.times_ms(row, objects.decode(row, coded.tobytes(), 1), base)
    assert read is not None and read.tolist() == [base + 500]
    assert objects.encode_cto(base, synchronised=True).hex() == "33010701" + "7b68e5cf8b01"
    assert objects.encode_cto(base, synchronised=False).hex() == "33020701" + "7b68e5cf8b01"


def test_packed_states_lie_lowest_index_first() -> None:
    """Nine binaries 1,1,0,0,0,0,0,0,1 fill 03 01; five double bits 1,2,3,0,1 fill 39 01."""
    single, double = OBJECTS[1, 1], OBJECTS[3, 1]
    assert objects.pack(single, np.array([1, 1, 0, 0, 0, 0, 0, 0, 1], np.uint8)).hex() == "0301"
    assert objects.pack(double, np.array([1, 2, 3, 0, 1], np.uint8)).hex() == "3901"
    assert objects.values(double, objects.decode(double, b"\x39\x01", 5)).tolist() == [1, 2, 3, 0, 1]


@pytest.mark.parametrize("line", lines("frames.txt"), ids=lambda line: line[0])
def test_a_frame_is_coded_as_the_vector_says_and_read_back(line: list[str]) -> None:
    _, control, dest, source, data, octets = line
    frame = LinkFrame(int(control, 16), int(dest), int(source), bytes.fromhex(data.strip("-")))
    assert frame.encode().hex() == octets
    assert LinkReader().feed(bytes.fromhex(octets)) == [frame]


def test_the_check_value_of_the_code() -> None:
    """CRC-16/DNP of "123456789" in every catalogue of codes; a shorter block has zeros in front."""
    assert crc(b"123456789") == 0xEA82
    block = np.frombuffer(b"123456789".rjust(16, b"\0"), np.uint8).reshape(1, 16)
    assert block_crcs(block).tolist() == [0xEA82]
