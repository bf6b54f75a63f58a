"""Time tags in the site's zone: summer time, the hour that happens twice, and dates that are none."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from protocols.iec104 import time56
from protocols.iec104.errors import Iec104Error
from protocols.iec104.time56 import Zone

GOOD = np.zeros(1, np.bool_)


def utc_ns(text: str) -> int:
    return round(datetime.datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000


def tag(text: str, zone: str) -> str:
    return time56.encode(np.array([utc_ns(text)], np.int64), GOOD, Zone(zone)).tobytes().hex()


def test_kolkata_is_five_and_a_half_hours_ahead() -> None:
    # 22:13:20.123 UTC on Tuesday is 03:43:20.123 on Wednesday the 15th: minute 2b, hour 03, 15 | 3 << 5 = 6f
    assert tag("2023-11-14T22:13:20.123+00:00", "Asia/Kolkata") == "9b4e2b036f0b17"


def test_summer_time_sets_su() -> None:
    # 10:00 UTC is 12:00 in Berlin in July (SU, 8c) and 11:00 in January (0b)
    assert tag("2024-07-01T10:00:00+00:00", "Europe/Berlin")[6:8] == "8c"
    assert tag("2024-01-01T10:00:00+00:00", "Europe/Berlin")[6:8] == "0b"


def test_irish_summer_is_summer() -> None:
    assert tag("2024-07-01T10:00:00+00:00", "Europe/Dublin")[6:8] == "8b"
    assert tag("2024-01-01T10:00:00+00:00", "Europe/Dublin")[6:8] == "0a"


def test_southern_summer_is_in_january() -> None:
    assert int(tag("2024-01-01T00:00:00+00:00", "Australia/Lord_Howe")[6:8], 16) & 0x80
    assert not int(tag("2024-07-01T00:00:00+00:00", "Australia/Lord_Howe")[6:8], 16) & 0x80


def test_the_hour_that_happens_twice_is_told_apart_by_su() -> None:
    first, second = "2024-10-27T00:30:00+00:00", "2024-10-27T01:30:00+00:00"  # both 02:30 in Berlin
    zone = Zone("Europe/Berlin")
    octets = time56.encode(np.array([utc_ns(first), utc_ns(second)], np.int64), np.zeros(2, np.bool_), zone)
    assert [hex(octet) for octet in octets[:, 3]] == ["0x82", "0x2"]
    times, _ = time56.decode(octets, zone)
    assert times.tolist() == [utc_ns(first), utc_ns(second)]


def test_one_batch_across_a_change_of_time() -> None:
    times = np.arange(utc_ns("2024-03-31T00:00:00+00:00"), utc_ns("2024-03-31T02:00:00+00:00"), 10**9 * 60)
    zone = Zone("Europe/Berlin")
    back, _ = time56.decode(time56.encode(times, np.zeros(len(times), np.bool_), zone), zone)
    assert np.array_equal(back, times)


def test_milliseconds_are_cut_not_rounded() -> None:
    octets = time56.encode(np.array([1_700_000_000_123_999_999], np.int64), GOOD, Zone())
    assert octets[0, :2].tobytes().hex() == "9b4e"


def test_a_time_that_never_was_is_marked_invalid() -> None:
    assert time56.encode(np.array([0], np.int64), GOOD, Zone())[0, 2] & 0x80


def test_an_untrusted_clock_is_marked_invalid() -> None:
    octets = time56.encode(np.array([1_700_000_000_000_000_000], np.int64), np.ones(1, np.bool_), Zone())
    assert octets[0, 2] & 0x80


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("60ea0d164e0b17", "milliseconds 60000"),
        ("9b4e3c164e0b17", "minute 60"),
        ("9b4e0d184e0b17", "hour 24"),
        ("9b4e0d16400b17", "no date"),
        ("9b4e0d164e0017", "no date"),
        ("9b4e0d165e0217", "no date"),
        ("9b4e0d164e0b64", "year 100"),
    ],
)
def test_what_is_no_time_is_refused(octets: str, why: str) -> None:
    with pytest.raises(Iec104Error, match=why):
        time56.decode(np.frombuffer(bytes.fromhex(octets), np.uint8).reshape(1, 7), Zone())


def test_a_zone_survives_the_way_to_the_worker() -> None:
    import pickle

    assert pickle.loads(pickle.dumps(Zone("Asia/Kolkata"))).name == "Asia/Kolkata"
