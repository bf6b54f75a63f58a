"""Frames as octets: what the gateway says to a PMU, and how it cuts what comes."""

from __future__ import annotations

import pytest

from protocols.c37118.frame import (
    C37Error,
    Command,
    FrameType,
    Head,
    Splitter,
    body_of,
    build,
    check,
    command,
    command_of,
    head_of,
    header_of,
    time_ns,
)

# SYNC AA, type 4 version 1; 18 octets; id 241; SOC 0; quality 0, fraction 0; CMD 2; CHK as binascii's CRC-CCITT has it.
DATA_ON = bytes.fromhex("aa41 0012 00f1 00000000 00000000 0002 a737")
# A header frame of version 2, id 7, at 1,700,000,000.5 s of time base 1,000,000, clock within 1 ms: "Line 3".
HEADER = build(
    Head(type=FrameType.HEADER, version=2, id=7, soc=1_700_000_000, fraction=500_000, time_quality=7), b"Line 3"
)


def test_the_gateway_tells_a_pmu_to_send() -> None:
    assert command(241, Command.DATA_ON) == DATA_ON
    assert command_of(DATA_ON) == (Command.DATA_ON, b"")
    assert command_of(command(1, Command.EXTENDED, extended=b"own words")) == (Command.EXTENDED, b"own words")


def test_a_command_says_when_it_was_given() -> None:
    head = head_of(command(1, Command.DATA_OFF, time_ns=1_700_000_000_250_000_000))
    assert (head.soc, head.fraction) == (1_700_000_000, 250_000)


def test_a_header_frame_is_text_for_a_person() -> None:
    assert header_of(check(HEADER)) == "Line 3"
    head = head_of(HEADER)
    assert (head.type, head.version, head.id, head.time_quality) == (FrameType.HEADER, 2, 7, 7)
    assert time_ns(head.soc, head.fraction, 1_000_000) == 1_700_000_000_500_000_000
    assert build(head, body_of(HEADER)) == HEADER


def test_time_is_rounded_to_the_nearest_ns_of_any_time_base() -> None:
    assert time_ns(5, 0x555555, 0xFFFFFF) == 5_333_333_333
    assert time_ns(5, 2, 3) == 5_666_666_667


@pytest.mark.parametrize("size", [1, 2, 3, 7, 17, 18, 19, 1000])
def test_a_stream_is_cut_wherever_tcp_cuts_it(size: int) -> None:
    stream = DATA_ON + HEADER + DATA_ON
    splitter = Splitter()
    found = [frame for at in range(0, len(stream), size) for frame in splitter.feed(stream[at : at + size])]
    assert found == [DATA_ON, HEADER, DATA_ON]


def test_the_tail_waits_for_its_rest() -> None:
    splitter = Splitter()
    assert splitter.feed(DATA_ON + HEADER[:5]) == [DATA_ON]
    assert splitter.feed(HEADER[5:]) == [HEADER]
    assert splitter.feed(b"") == []


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("ab41 0012", "begins with AA"),
        ("aac1 0012", "begins with AA"),
        ("aa41 000f", "less than head and CHK"),
        (DATA_ON[:-1].hex() + "36", "CHK is a736, calculated a737"),
    ],
)
def test_what_is_no_frame_is_told(octets: str, words: str) -> None:
    with pytest.raises(C37Error, match=words):
        Splitter().feed(bytes.fromhex(octets))


def test_a_datagram_holds_one_whole_frame() -> None:
    for wrong in (DATA_ON + b"\0", DATA_ON[:-1], b"\xaa", b""):
        with pytest.raises(C37Error, match="FRAMESIZE"):
            check(wrong)


def test_a_frame_is_never_longer_than_its_size_can_say() -> None:
    with pytest.raises(ValueError, match="65535"):
        build(Head(type=FrameType.HEADER, id=1), bytes(65_520))


def test_a_command_frame_without_a_command_is_told() -> None:
    with pytest.raises(C37Error, match="without CMD"):
        command_of(build(Head(type=FrameType.COMMAND, id=1), b"\0"))
