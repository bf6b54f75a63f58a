"""Station and group interrogation: complete, untimed, with its causes, and what may go wrong."""

from __future__ import annotations

import pytest

from tests.conformance.iec104.conversation import At, Conversation, Kind, causes, values
from tests.peers.raw104 import asdu

FLOATS = [At(ioa=1 + 2 * i, type="M_ME_TF_1", kind=Kind.ANALOG) for i in range(1_000)]


def test_station_interrogation_confirms_sends_everything_and_terminates() -> None:
    talk = Conversation()
    talk.show(0, 1.0)
    talk.show(1, 2.0)
    talk.show(4, -1.5)
    link = talk.started()
    frames = link.asks(asdu(100, 6, 1, 0, "14"))
    assert causes(frames) == "7 20 20 20 20 20 20 20 10"
    assert values(frames) == {
        (1, 1, 1001): "01",
        (3, 1, 2001): "02",
        (5, 1, 3001): "0000",
        (7, 1, 3101): "0000000000",
        (9, 1, 4201): "000000",
        (11, 1, 4101): "000000",
        (13, 1, 4001): "0000c0bf00",
    }
    assert {frame.asdu[6:9].hex() for frame in (frames[0], frames[-1])} == {"000000"}


def test_types_in_an_interrogation_are_without_time() -> None:
    frames = Conversation().started().asks(asdu(100, 6, 1, 0, "14"))
    assert {frame.type_id for frame in frames[1:-1]} <= {1, 3, 5, 7, 9, 11, 13}


@pytest.mark.parametrize(
    ("group", "ioas"), [(1, [4001, 4101]), (2, [1001, 2001]), (16, [4201]), *[(n, []) for n in range(3, 16)]]
)
def test_group_interrogation_has_its_own_cause(group: int, ioas: list[int]) -> None:
    frames = Conversation().started().asks(asdu(100, 6, 1, 0, f"{20 + group:02x}"))
    assert sorted(ioa for _, _, ioa in values(frames)) == ioas
    assert {frame.cause for frame in frames[1:-1]} <= {20 + group}
    assert (frames[0].cause, frames[-1].cause) == (7, 10)


@pytest.mark.parametrize("qoi", ["00", "01", "13", "25", "ff"])
def test_a_qualifier_that_is_none_is_confirmed_negative(qoi: str) -> None:
    assert causes(Conversation().started().asks(asdu(100, 6, 1, 0, qoi))) == "-7"


def test_counters_are_not_in_the_station_interrogation() -> None:
    frames = Conversation().started().asks(asdu(100, 6, 1, 0, "14"))
    assert not {5001, 5002, 5003} & {ioa for _, _, ioa in values(frames)}


def test_the_originator_is_mirrored_in_every_answer() -> None:
    frames = Conversation().started().asks(asdu(100, 6, 1, 0, "14", oa=77))
    assert {frame.originator for frame in frames} == {77}


def test_the_test_bit_is_mirrored_in_every_answer() -> None:
    frames = Conversation().started().asks(asdu(100, 0x86, 1, 0, "14"))
    assert all(frame.test for frame in frames)
    assert len(values(frames)) == 7


def test_broadcast_is_answered_by_every_common_address() -> None:
    frames = Conversation().started().asks(asdu(100, 6, 0xFFFF, 0, "14"))
    assert {frame.ca for frame in frames if frame.cause == 7} == {1, 2}
    assert {frame.ca for frame in frames if frame.cause == 10} == {1, 2}
    assert (11, 2, 1) in values(frames)
    assert 0xFFFF not in {frame.ca for frame in frames}


def test_qualities_travel_in_the_interrogation() -> None:
    talk = Conversation()
    talk.show(4, 7.0, 1 << 1)  # not topical: value and NT
    frames = talk.started().asks(asdu(100, 6, 1, 0, "15"))
    assert values(frames)[13, 1, 4001] == "0000e04040"


def test_running_addresses_are_sent_as_a_sequence() -> None:
    talk = Conversation(lines=[At(ioa=100 + i, type="M_SP_TB_1", kind=Kind.BINARY) for i in range(300)])
    frames = talk.started().asks(asdu(100, 6, 1, 0, "14"))
    assert [(frame.sequence, frame.count) for frame in frames[1:-1]] == [(True, 127), (True, 127), (True, 46)]
    assert len(values(frames)) == 300


def test_scattered_addresses_fill_asdus_singly() -> None:
    talk = Conversation(lines=FLOATS)
    link = talk.started()
    frames = link.asks(asdu(100, 6, 1, 0, "14")) + link.listens()
    assert [(frame.sequence, frame.count) for frame in frames[1:3]] == [(False, 30), (False, 30)]
    assert len(values(frames)) == 1_000
    assert causes(frames[-1:]) == "10"


def test_the_same_interrogation_twice_at_once_is_refused() -> None:
    talk = Conversation(lines=FLOATS)
    link = talk.started()
    link.asks(asdu(100, 6, 1, 0, "14"))
    frames = link.asks(asdu(100, 6, 1, 0, "14"))
    assert causes(frames[:1]) == "-7"


def test_a_running_interrogation_is_ended_by_deactivation() -> None:
    talk = Conversation(lines=FLOATS)
    link = talk.started()
    link.asks(asdu(100, 6, 1, 0, "14"))
    assert causes(link.asks(asdu(100, 8, 1, 0, "14"))) == "9"
    assert link.listens() == []


def test_deactivating_what_does_not_run_is_confirmed_negative() -> None:
    assert causes(Conversation().started().asks(asdu(100, 8, 1, 0, "14"))) == "-9"


def test_station_and_group_interrogation_may_run_together() -> None:
    talk = Conversation(lines=FLOATS)
    link = talk.started()
    frames = link.asks(asdu(100, 6, 1, 0, "14")) + link.asks(asdu(100, 6, 1, 0, "15")) + link.listens()
    assert [frame.cause for frame in frames if frame.type_id == 100] == [7, 7, 10, 10]


def test_values_are_those_of_the_moment_they_are_sent() -> None:
    talk = Conversation(lines=[At(ioa=1 + 2 * i, type="M_ME_TF_1", kind=Kind.ANALOG) for i in range(5_000)])
    link = talk.started()
    first = link.asks(asdu(100, 6, 1, 0, "14"))
    talk.show(4_999, 5.0)
    frames = first + link.listens()
    assert values(frames)[13, 1, 9_999] == "0000a04000"
