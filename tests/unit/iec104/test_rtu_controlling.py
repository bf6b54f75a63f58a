"""A raw RTU and our controlling side, frame by frame; the clocks are the test's."""

from __future__ import annotations

import struct
from itertools import product

import numpy as np
import pytest

from gateway.points import Quality
from protocols.iec104.connection import CONTROLLING, ApciParameters, Broken, Connection, Input, Role, State
from protocols.iec104.field.controlling import Close
from protocols.iec104.field.decode import Batch, Notice
from tests.kit.rtutalk import NOON, NOON_TAG, RECEIVED, ROW, Talk, started
from tests.peers.raw104 import STARTDT_ACT, STARTDT_CON, STOPDT_ACT, STOPDT_CON, TESTFR_ACT, TESTFR_CON, asdu

# -- the table of the controlling station -----------------------------------------------------------------------


def test_the_table_is_the_controlling_station_of_the_standard() -> None:
    states = (State.STOPPED, State.STARTING, State.STARTED, State.STOPPING)
    always = set(product(states, (Input.TESTFR_ACT, Input.TESTFR_CON, Input.S_FRAME)))
    assert set(CONTROLLING) - always == {
        (State.STARTING, Input.STARTDT_CON),
        (State.STARTED, Input.STARTDT_CON),
        (State.STARTED, Input.I_FRAME),
        (State.STOPPING, Input.I_FRAME),
        (State.STOPPING, Input.STOPDT_CON),
    }


@pytest.mark.parametrize("octets", [STARTDT_ACT, STOPDT_ACT, STOPDT_CON])
def test_what_a_controlled_station_never_says_ends_the_connection(octets: str) -> None:
    talk = started()
    (close,) = talk.octets(octets)
    assert isinstance(close, Close)


def test_a_start_that_is_not_confirmed_ends_after_t1() -> None:
    connection = Connection(ApciParameters(t1_s=15, t3_s=20), 0.0, Role.CONTROLLING)
    connection.start(0.0)
    assert connection.next_deadline() == 15.0
    assert connection.on_time(14.9) == []
    (broken,) = connection.on_time(15.0)
    assert isinstance(broken, Broken) and "STARTDT was not confirmed" in broken.cause


def test_data_before_the_start_is_confirmed_ends_the_connection() -> None:
    talk = Talk()
    talk.session.begin(0.0)
    (close,) = talk.says(asdu(13, 3, 1, 3, "00 00 80 3f 00"))
    assert isinstance(close, Close)


def test_the_end_acknowledges_all_and_still_takes_what_is_under_way() -> None:
    talk = started()
    talk.says(asdu(1, 3, 1, 2, "01"))
    talk.session.data_to_send()
    talk.session.end(1.0)
    assert talk.session.data_to_send().hex() == "680401000600" + STOPDT_ACT
    assert [type(effect) for effect in talk.says(asdu(1, 3, 1, 2, "00"))] == [Batch]
    talk.octets(STOPDT_CON)
    assert talk.session.connection.state is State.STOPPED


def test_a_silent_rtu_is_tested_after_t3_and_given_up_after_t1() -> None:
    talk = started()
    talk.session.data_to_send()
    assert talk.session.on_time(20.0, RECEIVED) == []
    assert TESTFR_ACT in talk.session.data_to_send().hex()
    talk.octets(TESTFR_CON, at=21.0)
    assert talk.session.on_time(36.0, RECEIVED) == []
    assert talk.session.on_time(41.0, RECEIVED) == []
    assert [type(effect) for effect in talk.session.on_time(56.0, RECEIVED)] == [Close]
    assert talk.counters["timeouts"] == 1


# -- values ------------------------------------------------------------------------------------------------------


def test_a_timed_value_keeps_the_rtus_own_time_and_quality() -> None:
    talk = started()
    assert talk.one(asdu(31, 3, 1, 1, "52" + NOON_TAG)) == (
        ROW["breaker"],
        2.0,
        Quality.NOT_TOPICAL | Quality.BLOCKED,
        NOON,
    )
    assert talk.one(asdu(36, 3, 1, 3, "00 00 20 41 21" + NOON_TAG)) == (
        ROW["power"],
        15.0,
        Quality.SUBSTITUTED | Quality.OVER_RANGE,
        NOON,
    )


def test_an_invalid_time_tag_makes_the_time_invalid_and_keeps_it() -> None:
    talk = started()
    assert talk.one(asdu(30, 3, 1, 2, "01 7b 00 8d 16 4e 0b 17")) == (ROW["fault"], 1.0, Quality.TIME_INVALID, NOON)


def test_a_tag_that_is_no_date_takes_the_time_of_receipt_and_is_told_once() -> None:
    talk = started()
    event = asdu(30, 3, 1, 2, "01 00 00 00 00 00 00 00")
    effects = talk.says(event)
    assert [effect.event for effect in effects if isinstance(effect, Notice)] == ["time tags that are no time"]
    assert talk.one(event) == (ROW["fault"], 1.0, Quality.TIME_INVALID, RECEIVED)
    assert talk.counters["bad_time_tags"] == 2


def test_tags_are_in_the_rtus_zone_with_summer_time() -> None:
    india = started(time_zone="Asia/Kolkata")
    assert india.one(asdu(30, 3, 1, 2, "01" + NOON_TAG))[3] == NOON - 19_800 * 10**9
    berlin = started(time_zone="Europe/Berlin")
    # 02:30 on 29 October 2023 comes twice: with SU it is the first.
    summer, winter = "01 00 00 1e 82 1d 0a 17", "01 00 00 1e 02 1d 0a 17"
    first, second = (berlin.one(asdu(30, 3, 1, 2, tag))[3] for tag in (summer, winter))
    assert second - first == 3_600 * 10**9


def test_a_short_tag_is_of_the_last_hour() -> None:
    talk = started(time_zone="Asia/Kolkata")
    # It is 22:13:20 UTC, 03:43:20 in India; 43:20.000 is now, 50:00.000 was in the hour before.
    assert talk.one(asdu(2, 3, 1, 2, "01 20 4e 2b"))[3] == RECEIVED - 500_000_000
    assert talk.one(asdu(2, 3, 1, 2, "00 00 00 32"))[3] == RECEIVED - 500_000_000 - (53 * 60 + 20) * 10**9
    # Clocks differ a little: 45:00 is ahead, not of an hour ago.
    assert talk.one(asdu(2, 3, 1, 2, "01 00 00 2d"))[3] == RECEIVED - 500_000_000 + 100 * 10**9


def test_an_untimed_value_takes_the_time_of_receipt_and_says_so() -> None:
    talk = started()
    assert talk.one(asdu(13, 3, 1, 3, "00 00 20 41 00")) == (ROW["power"], 15.0, Quality.TIME_INVALID, RECEIVED)
    trusted = started(untimed="trusted")
    assert trusted.one(asdu(13, 3, 1, 3, "00 00 20 41 00")) == (ROW["power"], 15.0, Quality(0), RECEIVED)


def test_an_interrogation_that_repeats_a_timed_value_does_not_spoil_its_time() -> None:
    talk = started()
    talk.one(asdu(30, 3, 1, 2, "01" + NOON_TAG))
    assert talk.one(asdu(1, 20, 1, 2, "01"))[2] == Quality(0)
    assert talk.one(asdu(1, 20, 1, 2, "00"))[2] == Quality.TIME_INVALID
    # The event of the change comes behind: its time is known now.
    assert talk.one(asdu(30, 3, 1, 2, "00" + NOON_TAG))[2:] == (Quality(0), NOON)


def test_normalised_scaled_bits_protection_and_packed_values() -> None:
    talk = started()
    assert talk.one(asdu(9, 3, 1, 4, "00 40 00"))[:2] == (ROW["share"], 75.0)
    assert talk.one(asdu(21, 20, 1, 4, "00 c0"))[:2] == (ROW["share"], 25.0)
    batch = talk.batch(asdu(7, 20, 1, 6, "08 00 00 00 00"))
    assert (batch.rows.tolist(), batch.values.tolist()) == ([ROW["bit3"], ROW["bit4"]], [1.0, 0.0])
    assert talk.one(asdu(38, 3, 1, 7, "4a 05 00" + NOON_TAG)) == (ROW["trip"], 2.0, Quality.NOT_TOPICAL, NOON)
    assert talk.one(asdu(20, 20, 1, 8, "00 80 00 00 00"))[:2] == (ROW["stage"], 1.0)


def test_a_counter_reading_keeps_its_quality() -> None:
    talk = started()
    assert talk.one(asdu(37, 3, 1, 5, "e8 03 00 00 85" + NOON_TAG))[:3] == (ROW["energy"], 1000.0, Quality.INVALID)
    assert talk.one(asdu(37, 37, 1, 5, "e8 03 00 00 65" + NOON_TAG))[2] == Quality.SUBSTITUTED
    assert talk.counters["counter_carries"] == 1


def test_a_number_that_is_none_is_invalid_and_the_old_value() -> None:
    talk = started(untimed="trusted")
    talk.one(asdu(13, 3, 1, 3, "00 00 20 41 00"))
    assert talk.one(asdu(13, 3, 1, 3, "00 00 c0 7f 00"))[1:3] == (15.0, Quality.INVALID)


def test_a_test_value_says_so_and_order_is_kept_within_one_asdu() -> None:
    talk = started(untimed="trusted")
    assert talk.one(asdu(1, 3 | 0x80, 1, 2, "01"))[2] == Quality.TEST
    batch = talk.batch(asdu(1, 3, 1, 2, "00 02 00 00 01 02 00 00 00", vsq=3))
    assert batch.values.tolist() == [0.0, 1.0, 0.0]


def test_strangers_are_counted_and_told_once() -> None:
    talk = started()
    effects = talk.says(asdu(1, 3, 1, 99, "01"), asdu(1, 3, 1, 99, "01"), asdu(1, 3, 9, 2, "01"))
    assert [
        (effect.event, effect.facts["ca"], effect.facts["ioa"]) for effect in effects if isinstance(effect, Notice)
    ] == [
        ("point in no map", 1, 99),
        ("point in no map", 9, 2),
    ]
    assert talk.counters["unknown_points"] == 3
    (notice,) = talk.says(asdu(11, 3, 1, 3, "01 00 00"))
    assert isinstance(notice, Notice) and notice.facts["point"] == "rtu1/power"
    assert "M_ME_NB_1" in str(notice.facts["sent"]) and talk.counters["wrong_type"] == 1
    (notice,) = talk.says(asdu(120, 13, 1, 1, "00"))
    assert isinstance(notice, Notice) and talk.counters["unknown_types"] == 1


def test_an_asdu_of_a_wrong_length_ends_the_connection() -> None:
    talk = started()
    (close,) = talk.says(asdu(13, 3, 1, 3, "00 00 20 41"))
    assert isinstance(close, Close) and talk.counters["malformed"] == 1


# -- what is asked ----------------------------------------------------------------------------------------------


def test_points_that_no_interrogation_gave_are_told_once() -> None:
    talk = Talk()
    talk.session.begin(0.0)
    talk.octets(STARTDT_CON)
    talk.sent()
    effects = talk.says(asdu(100, 7, 1, 0, "14"), asdu(1, 20, 1, 2, "01"), asdu(100, 10, 1, 0, "14"))
    (notice,) = [effect for effect in effects if isinstance(effect, Notice)]
    assert notice.event == "points missing"
    assert notice.facts["points"] == "rtu1/breaker, rtu1/power, rtu1/share, rtu1/bit3, rtu1/bit4, rtu1/stage"
    assert talk.counters["points_missing"] == 6


def test_interrogations_are_repeated_and_one_that_does_not_end_is_told() -> None:
    talk = started(interrogation_s=100, interrogation_timeout_s=5)
    talk.octets(TESTFR_ACT, at=99.0)
    talk.session.on_time(100.0, RECEIVED)
    assert talk.sent() == [asdu(100, 6, 1, 0, "14")]
    talk.octets(TESTFR_ACT, at=104.0)
    (notice,) = talk.session.on_time(105.0, RECEIVED)
    assert isinstance(notice, Notice) and "no end of the interrogation within 5 s" in str(notice.facts["why"])


def test_a_restarted_rtu_is_interrogated() -> None:
    talk = started()
    (notice,) = talk.says(asdu(70, 4, 1, 0, "02"))
    assert notice == Notice("RTU initialised", {"ca": 1, "cause": 2})
    assert talk.sent() == [asdu(100, 6, 1, 0, "14")]


@pytest.mark.parametrize(
    ("mode", "qualifiers"),
    [("none", []), ("read", ["05"]), ("freeze_read", ["45", "05"]), ("freeze_reset", ["85"])],
)
def test_counters_are_asked_for_as_configured(mode: str, qualifiers: list[str]) -> None:
    talk = started(counters=mode)
    asked = talk.sent()
    for qualifier in qualifiers:
        assert asked == [asdu(101, 6, 1, 0, qualifier)]
        talk.says(asdu(101, 7, 1, 0, qualifier), asdu(101, 10, 1, 0, qualifier))
        asked = talk.sent()
    assert asked == []


def test_the_clock_is_set_first_when_wanted() -> None:
    talk = Talk(clock_sync_s=3600)
    talk.session.begin(0.0)
    talk.octets(STARTDT_CON)
    (clock,) = talk.sent()
    assert clock == asdu(103, 6, 1, 0, "14 50 0d 16 4e 0b 17")
    talk.says(clock[:2] + b"\x47" + clock[3:])
    assert talk.counters["unanswered"] == 1, "the RTU said no"
    assert talk.sent() == [asdu(100, 6, 1, 0, "14")]


def test_whole_and_octet_by_octet_are_the_same() -> None:
    events = [asdu(30, 3, 1, 2, "01" + NOON_TAG), asdu(36, 3, 1, 3, "00 00 20 41 00" + NOON_TAG)]
    whole, parts = started(), started()
    one = whole.batch(*events[:1]), whole.batch(*events[1:])
    frames = b"".join(
        struct.pack("<BBHH", 0x68, len(each) + 4, number << 1, 1 << 1) + each for number, each in enumerate(events, 2)
    )
    two = [
        effect
        for at in range(len(frames))
        for effect in parts.session.receive(frames[at : at + 1], 0.0, RECEIVED)
        if isinstance(effect, Batch)
    ]
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left.values, right.values)
        np.testing.assert_array_equal(left.times_ns, right.times_ns)
