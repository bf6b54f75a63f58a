"""Integrated totals: counter interrogation, general and by group; freeze, freeze with reset, reset; their events."""

from __future__ import annotations

import pytest

from gateway.points import Quality
from tests.conformance.iec104.conversation import Conversation, Link, causes, values
from tests.peers.raw104 import Frame, asdu

READ, FREEZE, FREEZE_AND_RESET, RESET = 0x00, 0x40, 0x80, 0xC0
GENERAL = 5


def ask(link: Link, freeze: int, rqt: int = GENERAL, **keys: int) -> list[Frame]:
    return link.asks(asdu(101, 6, 1, 0, f"{freeze | rqt:02x}", **keys))


def reading(link: Link, ioa: int = 5001) -> str:
    return values(ask(link, READ))[15, 1, ioa]


def counting(value: float) -> tuple[Conversation, Link]:
    talk = Conversation()
    for row in (7, 8, 9):
        talk.show(row, value)
    return talk, talk.started()


def test_general_counter_interrogation() -> None:
    _, link = counting(1234.0)
    frames = ask(link, READ)
    assert causes(frames) == "7 37 10"
    # 1234 = 0x4d2; sequence number 0, valid
    assert values(frames) == {(15, 1, ioa): "d204000000" for ioa in (5001, 5002, 5003)}


@pytest.mark.parametrize(("group", "ioas"), [(1, [5001]), (2, [5002]), (3, []), (4, [])])
def test_a_group_of_counters_has_its_own_cause(group: int, ioas: list[int]) -> None:
    _, link = counting(1.0)
    frames = ask(link, READ, group)
    assert [ioa for _, _, ioa in values(frames)] == ioas
    assert {frame.cause for frame in frames[1:-1]} <= {37 + group}


@pytest.mark.parametrize("qcc", ["00", "06", "3f", "46", "c0"])
def test_a_request_that_is_none_is_confirmed_negative(qcc: str) -> None:
    _, link = counting(1.0)
    assert causes(link.asks(asdu(101, 6, 1, 0, qcc))) == "-7"


def test_freeze_is_confirmed_and_read_later() -> None:
    talk, link = counting(100.0)
    assert causes(ask(link, FREEZE)) == "7 10"
    talk.show(7, 150.0)
    # 100 as frozen, sequence number 1; the meter runs on underneath
    assert reading(link) == "6400000001"


def test_each_freeze_has_the_next_sequence_number() -> None:
    talk, link = counting(0.0)
    for number in range(1, 40):
        talk.show(7, float(number))
        ask(link, FREEZE)
        assert reading(link) == f"{number:02x}000000{number % 32:02x}"


def test_freeze_of_a_group_leaves_the_others() -> None:
    talk, link = counting(10.0)
    ask(link, FREEZE, 1)
    talk.show(7, 20.0)
    talk.show(8, 20.0)
    assert (reading(link, 5001), reading(link, 5002)) == ("0a00000001", "1400000000")


def test_freeze_with_reset_gives_what_came_since() -> None:
    talk, link = counting(100.0)
    ask(link, FREEZE_AND_RESET)
    assert reading(link) == "6400000001"
    talk.show(7, 130.0)
    ask(link, FREEZE_AND_RESET)
    assert reading(link) == "1e00000002"  # 30


def test_reset_counts_from_zero() -> None:
    talk, link = counting(100.0)
    assert causes(ask(link, RESET)) == "7 10"
    assert reading(link) == "0000000000"
    talk.show(7, 107.0)
    assert reading(link) == "0700000000"


def test_a_meter_that_went_back_is_said_to_be_adjusted() -> None:
    talk, link = counting(100.0)
    ask(link, FREEZE)
    talk.show(7, 40.0)
    ask(link, FREEZE)
    assert reading(link) == "2800000042"  # 40, CA, sequence number 2


def test_a_reading_beyond_32_bits_is_invalid_with_carry() -> None:
    talk, link = counting(1.0)
    talk.show(7, 3e9)
    assert reading(link) == "ffffff7fa0"  # held at the largest, IV and CY


def test_a_counter_that_is_not_topical_is_invalid() -> None:
    talk, link = counting(1.0)
    talk.show(7, 5.0, int(Quality.NOT_TOPICAL))
    assert reading(link) == "0500000080"


def test_the_quality_of_the_moment_is_frozen_too() -> None:
    talk, link = counting(5.0)
    talk.show(7, 5.0, int(Quality.COMM_LOST))
    ask(link, FREEZE)
    talk.show(7, 5.0)
    assert reading(link) == "0500000081"


def test_a_counter_event_comes_only_when_its_reading_changes() -> None:
    talk, link = counting(5.0)
    talk.change((7, 5.0))
    assert len(link.told()) == 1
    talk.change((7, 5.2), (7, 5.4))
    assert link.told() == []
    talk.change((7, 6.0))
    [frame] = link.told()
    assert (frame.type_id, frame.cause) == (37, 3)
    assert frame.objects(12)[0][1][:5].hex() == "0600000000"


def test_a_counter_event_counts_from_the_reset_and_tells_the_freeze() -> None:
    talk, link = counting(100.0)
    ask(link, FREEZE_AND_RESET)
    talk.change((7, 103.0))
    [frame] = link.told()
    assert frame.objects(12)[0][1][:5].hex() == "0300000001"


def test_reset_is_no_event_by_itself() -> None:
    talk, link = counting(100.0)
    talk.change((7, 101.0))
    link.told()
    ask(link, RESET)
    talk.change((7, 101.3))
    assert link.told() == []
    assert talk.station.queue.waiting == 0


def test_freeze_concerns_this_master_alone() -> None:
    talk, link = counting(100.0)
    ask(link, RESET)
    assert talk.table.value[7] == 100.0


def test_a_test_freeze_does_nothing() -> None:
    _, link = counting(100.0)
    assert causes(link.asks(asdu(101, 0x86, 1, 0, "45"))) == "-7"
    assert reading(link) == "6400000000"


def test_broadcast_freeze_is_confirmed_by_every_station() -> None:
    _, link = counting(100.0)
    assert [frame.ca for frame in link.asks(asdu(101, 6, 0xFFFF, 0, "45"))] == [1, 1, 2, 2]


def test_the_originator_of_a_counter_interrogation_is_mirrored() -> None:
    _, link = counting(1.0)
    assert {frame.originator for frame in ask(link, READ, oa=5)} == {5}


def test_an_unknown_common_address_and_a_wrong_ioa() -> None:
    _, link = counting(1.0)
    assert causes(link.asks(asdu(101, 6, 9, 0, "05"))) == "-46"
    assert causes(link.asks(asdu(101, 6, 1, 3, "05"))) == "-47"
    assert causes(link.asks(asdu(101, 3, 1, 0, "05"))) == "-45"
