"""Every real capture is read to the last object, and what is known is coded again to the same octets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from protocols.dnp3 import headers, objects
from protocols.dnp3.application import Fragment, Function, parse_fragment
from protocols.dnp3.headers import ObjectHeader, read_headers
from protocols.dnp3.link import LinkLayer, LinkParameters, LinkReader
from protocols.dnp3.objects import Coding, ObjectRow
from protocols.dnp3.outputs import decode_output
from protocols.dnp3.transport import encode_fragment
from tests.kit.dnp3captures import CAPTURES, DATA, captures, fragments, frames, payloads

MALFORMED = {
    # an announced control block is missing
    (
        "direct_operate_crob_malform_but_good_crc.pcap",
        Function.DIRECT_OPERATE,
        "2 objects of g12v1: 26 octets expected",
    ),
    # garbage behind the headers
    ("dnp3_test_data_part1.pcap", Function.DISABLE_UNSOLICITED, "qualifier 0xed of g60v4 is not supported"),
    ("dnp3_test_data_part1.pcap", Function.STOP_APPLICATION, "qualifier 0xed of g60v4 is not supported"),
}
NAMES = [path.relative_to(DATA).as_posix() for path in CAPTURES] or ["none"]


def spoken(name: str) -> list[tuple[Fragment, list[ObjectHeader]]]:
    """Fragments of one capture with their object headers; the malformed ones must be those that are known."""
    captures()
    found = []
    for said in fragments(DATA / name):
        fragment = parse_fragment(said.octets)
        assert fragment.encode() == said.octets
        read, _, error = read_headers(fragment.payload, fragment.function)
        if error is not None:
            assert any((name, fragment.function) == m[:2] and str(error).startswith(m[2]) for m in MALFORMED)
        found.append((fragment, read))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_fragment_is_read_and_coded_again(name: str) -> None:
    for fragment, read in spoken(name):
        for header in read:
            if header.count and header.data:
                assert coded(header) == header.data
            assert head(header) == header.raw[: len(head(header))]
            if fragment.response and header.variation:
                assert header.row is not None


def head(header: ObjectHeader) -> bytes:
    """The header as we write it, with the qualifier that the other side chose."""
    group, variation = header.group, header.variation
    if header.ranged and header.qualifier == 0x01:
        return headers.range_head(group, variation, header.start, max(header.stop, 256))[:5]
    if header.ranged:
        return headers.range_head(group, variation, header.start, header.stop)
    if header.indexed:
        return headers.prefix_head(group, variation, header.count, header.qualifier == headers.PREFIX_2)
    if header.counted and header.qualifier == 0x07:
        return headers.count_head(group, variation, header.count)
    return headers.all_head(group, variation) if header.all else header.raw


def coded(header: ObjectHeader) -> bytes:
    """The objects read and written again."""
    row = header.row
    assert row is not None
    if row.group in (12, 41):
        blocks = (decode_output(row.group, row.variation, octets.tobytes()) for octets in header.objects())
        return b"".join(block.encode() for block in blocks)
    records = objects.decode(row, header.data, header.count)
    return records.tobytes() if row.coding is Coding.RECORD else values_again(row, records)


def values_again(row: ObjectRow, records: objects.Records) -> bytes:
    base = 1_700_000_000_000
    again = objects.encode(
        row, objects.values(row, records), objects.flags(row, records), objects.times_ms(row, records, base), base
    )
    return objects.pack(row, again) if row.bits else again.tobytes()


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_built_again_octet_by_octet(name: str) -> None:
    captures()
    for frame in frames(DATA / name):
        [again] = LinkReader().feed(frame.encode())
        assert again == frame
    for said in fragments(DATA / name):
        octets, _ = encode_fragment(said.octets, said.dest, said.source, 0)
        assert b"".join(frame.data[1:] for frame in LinkReader().feed(octets)) == said.octets


def test_the_captures_hold_what_they_are_said_to_hold() -> None:
    captures()
    functions = Counter(fragment.function for name in NAMES for fragment, _ in spoken(name))
    assert sum(functions.values()) == 580
    assert {1, 2, 3, 4, 5, 6, 7, 8, 13, 20, 21, 22, 23, 24, 129, 130} <= set(functions)


@pytest.mark.parametrize("name", ["6.1.2", "6.5.2", "6.6.2.2", "6.6.2.4", "7.2"])
def test_the_link_layer_answers_as_in_the_conformance_runs(name: str) -> None:
    """Link control octets of the recorded outstation; fragments that our layer let through where it answered one."""
    captures()
    path = DATA / "conformance" / f"{name}.pcap"
    ours, recorded = conversation(path)
    assert ours == recorded


def conversation(path: Path) -> tuple[list[object], list[object]]:
    """What our link layer replies to the master's octets, beside what the recorded outstation replied.

    Each is a list of link control octets; "data" stands for an answer of the application.
    """
    layer = LinkLayer(LinkParameters(local=1024, remote=1), 0.0)
    reader, recorder = LinkReader(), LinkReader()
    ours: list[object] = []
    recorded: list[object] = []
    for outgoing, octets in payloads(path):
        if outgoing:
            answered = [frame for frame in recorder.feed(octets) if not frame.data or frame.data[0] & 0x40]
            recorded += ["data" if frame.data else frame.control for frame in answered]
            continue
        for frame in reader.feed(octets):
            received = layer.receive(frame, 0.0)
            ours += [reply.control for reply in LinkReader().feed(received.reply)]
            # Of a repeated confirmation of nothing there is no answer; every other fragment here is a read.
            ours += ["data"] if received.segment else []
    return ours, recorded


def test_what_follows_the_last_frame_is_not_lost() -> None:
    """The longest stream of each direction, octet by octet, gives the same frames as in one piece."""
    longest = max(captures(), key=lambda path: path.stat().st_size)
    for outgoing in (False, True):
        stream = b"".join(octets for direction, octets in payloads(longest) if direction is outgoing)
        byte_wise = LinkReader()
        found = [frame for octet in stream for frame in byte_wise.feed(bytes((octet,)))]
        assert found == LinkReader().feed(stream)
