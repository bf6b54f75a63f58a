"""Clock synchronisation and time tags: zone, summer time, day of week, and time that is not trusted."""

from __future__ import annotations

import pytest

from gateway.points import Quality
from protocols.iec104.clock import ClockSync, EventClock
from protocols.iec104.time56 import Zone
from tests.conformance.iec104.conversation import NOON, NOON_NS, STARTDT, Conversation, Link, causes
from tests.peers.raw104 import Frame, asdu

LATER = "9b4e0e164e0b17"
"""A minute after NOON."""


def synchronise(link: Link, tag: str = LATER, **keys: int) -> list[Frame]:
    return link.asks(asdu(103, 6, 1, 0, tag, **keys))


def tag(talk: Conversation, link: Link) -> str:
    """The time tag of an event that happens now."""
    before = talk.table.value[0]
    talk.change((0, 1.0 - before))
    [frame] = link.told()
    return frame.objects(8)[0][1][1:].hex()


def moved(sync: ClockSync, right: bool = True) -> Conversation:
    return Conversation(options={"clock_sync": sync, "clock": EventClock()}, master={"clock": right})


def test_confirmed_only_the_clock_stays() -> None:
    talk = moved(ClockSync.CONFIRM, right=False)
    link = talk.started()
    [frame] = synchronise(link, oa=3)
    assert (causes([frame]), frame.originator, frame.asdu[9:].hex()) == ("7", 3, LATER)
    assert tag(talk, link) == NOON


def test_refused_where_configured() -> None:
    assert causes(synchronise(moved(ClockSync.REFUSE).started())) == "-7"


def test_offset_moves_the_time_tags_of_this_server() -> None:
    talk = moved(ClockSync.OFFSET)
    link = talk.started()
    assert causes(synchronise(link)) == "7"
    assert tag(talk, link) == LATER
    assert talk.clocks == []


def test_events_before_the_move_keep_their_time() -> None:
    talk = moved(ClockSync.OFFSET)
    talk.change((0, 1.0))
    talk.station.clock.offset_ns = 60_000_000_000
    talk.change((0, 0.0))
    _, events = talk.link().says(STARTDT)
    assert (NOON in events, events.endswith(LATER)) == (True, True)


@pytest.mark.parametrize("sync", [ClockSync.OFFSET, ClockSync.SYSTEM])
def test_without_the_right_no_clock_moves(sync: ClockSync) -> None:
    talk = moved(sync, right=False)
    link = talk.started()
    assert causes(synchronise(link)) == "-7"
    assert (tag(talk, link), talk.clocks) == (NOON, [])


def test_the_systems_clock_is_set_and_then_confirmed() -> None:
    talk = moved(ClockSync.SYSTEM)
    assert causes(synchronise(talk.started())) == "7"
    assert talk.clocks == [NOON_NS + 60_000_000_000]


def test_a_clock_that_could_not_be_set_is_confirmed_negative() -> None:
    talk = moved(ClockSync.SYSTEM)
    talk.can_set_clock = False
    assert causes(synchronise(talk.started())) == "-7"


@pytest.mark.parametrize("sync", [ClockSync.OFFSET, ClockSync.SYSTEM])
def test_the_test_bit_moves_no_clock(sync: ClockSync) -> None:
    talk = moved(sync)
    link = talk.started()
    [frame] = link.asks(asdu(103, 0x86, 1, 0, LATER))
    assert (causes([frame]), frame.test) == ("7", True)
    assert (tag(talk, link), talk.clocks) == (NOON, [])


@pytest.mark.parametrize(
    "time",
    ["60ea0e164e0b17", "9b4e3c164e0b17", "9b4e0e184e0b17", "9b4e0e16400b17", "9b4e0e164e0d17", "9b4e8e164e0b17"],
    ids=["ms 60000", "minute 60", "hour 24", "day 0", "month 13", "marked invalid"],
)
def test_a_time_that_is_none_is_confirmed_negative(time: str) -> None:
    talk = moved(ClockSync.OFFSET)
    link = talk.started()
    assert causes(synchronise(link, time)) == "-7"
    assert tag(talk, link) == NOON


def test_broadcast_is_confirmed_by_every_station() -> None:
    talk = moved(ClockSync.OFFSET)
    frames = talk.started().asks(asdu(103, 6, 0xFFFF, 0, LATER))
    assert [(frame.ca, frame.negative) for frame in frames] == [(1, False), (2, False)]


def test_wrong_cause_address_and_ioa() -> None:
    link = Conversation().started()
    assert causes(link.asks(asdu(103, 3, 1, 0, NOON))) == "-45"
    assert causes(link.asks(asdu(103, 6, 9, 0, NOON))) == "-46"
    assert causes(link.asks(asdu(103, 6, 1, 1, NOON))) == "-47"


def test_a_short_time_closes() -> None:
    link = Conversation().started()
    link.says("680a00000000670106000100")
    assert link.closed == "ASDU of 6 octets: at least 9 expected"


def test_tags_are_in_the_zone_with_summer_time() -> None:
    talk = Conversation(zone=Zone("Europe/Berlin"))
    talk.wall_ns = 1_720_000_000_000_000_000  # 2024-07-03 09:46:40 UTC, a Wednesday
    link = talk.started()
    # 40,000 ms, minute 46, hour 11 with SU, day 3 of a week that began on Monday, July 2024
    assert tag(talk, link) == "409c2e8b630718"


def test_the_day_of_week_may_be_left_out() -> None:
    talk = Conversation(zone=Zone(day_of_week=False))
    assert tag(talk, talk.started()) == "9b4e0d160e0b17"


def test_tags_are_invalid_while_the_clock_is_not_trusted() -> None:
    clock = EventClock(trusted=False)
    talk = Conversation(options={"clock": clock})
    link = talk.started()
    assert tag(talk, link) == "9b4e8d164e0b17"
    clock.trusted = True
    assert tag(talk, link) == NOON


def test_a_source_time_that_is_not_trusted_is_marked() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0, int(Quality.TIME_INVALID)))
    [frame] = link.told()
    assert frame.objects(8)[0][1].hex() == "01" + "9b4e8d164e0b17"
