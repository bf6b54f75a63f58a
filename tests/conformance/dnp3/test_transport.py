"""Certification group "transport": segments of a request, their order, and what makes a fragment void."""

from __future__ import annotations

import pytest

from tests.conformance.dnp3.conversation import RESTART_OFF, Conversation
from tests.peers.rawdnp3 import CLASS_0

REQUEST = bytes.fromhex("c001" + CLASS_0)
FIRST, REST = REQUEST[:3], REQUEST[3:]


def test_a_request_in_two_segments_is_one_request() -> None:
    talk = Conversation()
    assert talk.segment(FIRST, final=False, number=63) == []
    assert len(talk.segment(REST, first=False)) == 1  # the number after 63 is 0


def test_a_request_in_many_segments_is_one_request() -> None:
    talk = Conversation()
    # Write the restart bit, again and again, until the request fills three frames.
    octets = bytes.fromhex("c002" + RESTART_OFF * 100)
    [answer] = talk.fragment(octets)
    assert answer.iin == 0 and answer.objects == ""


@pytest.mark.parametrize("number", [0, 2, 40], ids=["repeated", "skipped", "far"])
def test_a_segment_out_of_sequence_voids_the_fragment(number: int) -> None:
    talk = Conversation()
    talk.segment(FIRST, final=False, number=0)
    assert talk.segment(REST, first=False, number=number) == []
    assert len(talk.fragment(REQUEST)) == 1  # a fresh one is heard


def test_a_repeated_segment_is_dropped_and_the_next_one_fits() -> None:
    talk = Conversation()
    talk.segment(FIRST, final=False, number=5)
    talk.segment(REST[:1], first=False, final=False, number=6)
    talk.segment(REST[:1], first=False, final=False, number=6)
    assert len(talk.segment(REST[1:], first=False, number=7)) == 1


def test_a_first_segment_begins_anew() -> None:
    talk = Conversation()
    talk.segment(bytes(200), final=False, number=9)
    talk.segment(FIRST, final=False, number=30)
    assert len(talk.segment(REST, first=False, number=31)) == 1


def test_a_segment_without_a_first_is_dropped() -> None:
    talk = Conversation()
    assert talk.segment(REQUEST, first=False) == []
    assert len(talk.segment(REQUEST)) == 1


def test_a_fragment_larger_than_the_buffer_is_dropped() -> None:
    talk = Conversation()
    assert talk.fragment(bytes.fromhex("c002" + RESTART_OFF * 500)) == []
    assert len(talk.fragment(REQUEST)) == 1


def test_our_segments_count_on_from_answer_to_answer() -> None:
    talk = Conversation()
    for _ in range(70):
        talk.fragment(REQUEST)
    numbers = [frame.data[0] & 0x3F for frame in talk.frames]
    assert numbers == [at % 64 for at in range(len(numbers))]
    assert {frame.data[0] & 0xC0 for frame in talk.frames} == {0xC0}
