"""Segments to fragments: what is expected, what is let pass, what ends a series."""

from __future__ import annotations

from protocols.dnp3.link import LinkReader
from protocols.dnp3.transport import Reassembler, encode_fragment

FIN, FIR = 0x80, 0x40


def segment(seq: int, text: str, first: bool = False, last: bool = False) -> bytes:
    return bytes((seq | first * FIR | last * FIN,)) + text.encode()


def test_a_fragment_in_one_segment() -> None:
    assert Reassembler().receive(segment(7, "whole", first=True, last=True)) == b"whole"


def test_a_fragment_in_three_segments_across_the_turn_of_the_sequence() -> None:
    ours = Reassembler()
    assert ours.receive(segment(62, "one ", first=True)) is None
    assert ours.waiting
    assert ours.receive(segment(63, "two ")) is None
    assert ours.receive(segment(0, "three", last=True)) == b"one two three"
    assert not ours.waiting


def test_a_first_segment_begins_anew() -> None:
    ours = Reassembler()
    ours.receive(segment(1, "given up", first=True))
    assert ours.receive(segment(9, "whole", first=True, last=True)) == b"whole"


def test_a_gap_ends_the_series() -> None:
    ours = Reassembler()
    ours.receive(segment(1, "one ", first=True))
    assert ours.receive(segment(3, "three", last=True)) is None
    assert ours.receive(segment(2, "two", last=True)) is None
    assert ours.discarded == 2


def test_a_repeated_segment_is_let_pass_another_with_its_number_is_not() -> None:
    ours = Reassembler()
    ours.receive(segment(1, "one ", first=True))
    ours.receive(segment(2, "two "))
    assert ours.receive(segment(2, "two ")) is None
    assert ours.receive(segment(3, "three", last=True)) == b"one two three"
    ours.receive(segment(4, "one ", first=True))
    ours.receive(segment(5, "two "))
    assert ours.receive(segment(5, "too ")) is None
    assert ours.receive(segment(6, "three", last=True)) is None


def test_nothing_begins_without_a_first_segment() -> None:
    ours = Reassembler()
    assert ours.receive(segment(0, "end", last=True)) is None
    assert ours.receive(b"\xc0") is None
    assert ours.receive(b"") is None
    assert ours.discarded == 3


def test_a_fragment_beyond_the_limit_is_given_up() -> None:
    ours = Reassembler(max_size=10)
    ours.receive(segment(0, "123456", first=True))
    assert ours.receive(segment(1, "78901", last=True)) is None
    assert not ours.waiting
    assert ours.receive(segment(0, "1234567890", first=True, last=True)) == b"1234567890"


def test_a_large_fragment_fills_its_frames() -> None:
    octets, following = encode_fragment(bytes(range(256)) * 8, 1, 10, 60)
    frames = LinkReader().feed(octets)
    assert [len(frame.data) for frame in frames] == [250] * 8 + [57]
    assert [frame.data[0] for frame in frames] == [FIR | 60, 61, 62, 63, 0, 1, 2, 3, FIN | 4]
    assert {(frame.control, frame.dest, frame.source) for frame in frames} == {(0x44, 1, 10)}
    assert following == 5
