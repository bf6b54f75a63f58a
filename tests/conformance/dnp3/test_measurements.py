"""Certification groups "binary input and change", "double-bit", "counters", "analog and change", "attributes", "time"
and "restart"."""

from __future__ import annotations

import struct

import pytest

from gateway.points import Quality
from tests.conformance.dnp3.conversation import (
    BAD_PARAMETER,
    CLASS_3,
    NEED_TIME,
    NO_FUNCTION,
    NO_OBJECT,
    RESTART,
    RESTART_OFF,
    Conversation,
)
from tests.kit.dnp3kit import NOON, NOON_TAG, master
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, CLASSES

MS = 1_000_000
STATIC = {  # what each variation of each static group shows of the point with index 0
    "0101": "00",  # fault 2: its lowest bit
    "0102": "81",
    "0301": "03",
    "0302": "c1",
    "0a01": "00",
    "0a02": "81",
    "1401": "01" + "04000000",
    "1402": "01" + "0400",
    "1405": "04000000",
    "1406": "0400",
    "1e01": "01" + "00000000",
    "1e02": "01" + "0000",
    "1e03": "00000000",
    "1e04": "0000",
    "1e05": "01" + "00000000",
    "1e06": "01" + "00" * 8,
    "2801": "01" + "05000000",
    "2802": "01" + "0500",
    "2803": "01" + "0000a040",
    "2804": "01" + "0000000000001440",
}
PACKED = {"0101": "01", "0a01": "01"}
"""A state that is on."""
EVENTS = {  # the event of one change by variation, behind its index
    2: ((2, 0.0), {1: "01", 2: "01" + NOON_TAG, 3: "01" + "0000"}),
    4: ((3, 1.0), {1: "41", 2: "41" + NOON_TAG, 3: "41" + "0000"}),
    22: ((4, 300.0), {1: "012c010000", 2: "012c01", 5: "012c010000" + NOON_TAG, 6: "012c01" + NOON_TAG}),
    32: (
        (0, -20.0),
        {
            1: "01ecffffff",
            2: "01ecff",
            3: "01ecffffff" + NOON_TAG,
            4: "01ecff" + NOON_TAG,
            5: "010000a0c1",
            6: "01" + struct.pack("<d", -20.0).hex(),
            7: "010000a0c1" + NOON_TAG,
            8: "01" + struct.pack("<d", -20.0).hex() + NOON_TAG,
        },
    ),
}
CASES = [(group, variation) for group, (_, rows) in EVENTS.items() for variation in rows]
SYNCHRONISED = "33010701" + NOON_TAG


def conversation(**keys: object) -> Conversation:
    return Conversation((master(**keys),)).is_ready()


@pytest.mark.parametrize("key", STATIC)
def test_static_variations(key: str) -> None:
    talk = conversation()
    expected = key + "000000" + PACKED.get(key, STATIC[key])
    assert talk.values(key + "000000") == expected
    assert talk.values(key + "01" + "00000000") == expected
    assert talk.values(key + "1701" + "00") == expected
    assert talk.values(key + "06").startswith(key)


@pytest.mark.parametrize("group", [1, 3, 10, 20, 30, 40])
def test_points_that_do_not_exist_are_told(group: int) -> None:
    talk = conversation()
    answer = talk.ask(raw.READ, f"{group:02x}0000" + "6464")
    assert (answer.iin, answer.objects) == (BAD_PARAMETER, "")
    assert talk.ask(raw.READ, f"{group:02x}0906").iin == NO_OBJECT
    answer = talk.ask(raw.READ, f"{group:02x}0000" + "0064")  # a part of the range is there
    assert answer.iin == BAD_PARAMETER and answer.objects


@pytest.mark.parametrize(("group", "variation"), CASES)
@pytest.mark.parametrize("qualifier", ["06", "0701", "080100"])
def test_event_variations_with_time_flags_and_every_qualifier(group: int, variation: int, qualifier: str) -> None:
    talk = conversation()
    change, rows = EVENTS[group]
    talk.change(change)
    key = f"{group:02x}{variation:02x}"
    lead = SYNCHRONISED if (group, variation) in ((2, 3), (4, 3)) else ""
    assert talk.values(key + qualifier) == lead + key + "1701" + "00" + rows[variation]
    assert talk.values(f"{group:02x}0006") == ""


@pytest.mark.parametrize("group", EVENTS)
def test_variation_0_gives_the_default_and_a_number_gives_so_many(group: int) -> None:
    talk = conversation()
    (row, value), _ = EVENTS[group]
    talk.change((row, value), (row, 2.0 if group == 4 else float(value == 0)), (row, value))
    for qualifier, got in (("0702", 2), ("08ffff", 1), ("06", 0)):
        objects = bytes.fromhex(talk.values(f"{group:02x}00" + qualifier))
        assert (objects[3] if objects else 0) == got
    assert talk.ask(raw.READ, f"{group:02x}0000" + "0000").iin == BAD_PARAMETER
    assert talk.ask(raw.READ, f"{group:02x}0906").iin == NO_OBJECT


def test_a_common_time_begins_anew_when_it_does_not_reach() -> None:
    talk = conversation()
    talk.change((2, 0.0, 0, NOON), (2, 1.0, 0, NOON + 65_535 * MS), (2, 0.0, 0, NOON + 65_536 * MS))
    later = ((NOON + 65_536 * MS) // MS).to_bytes(6, "little").hex()
    first, second = "02031702" + "00010000" + "0081ffff", "02031701" + "00010000"
    assert talk.values("020306") == SYNCHRONISED + first + "33010701" + later + second


def test_a_time_that_is_not_sure_is_told_as_not_synchronised() -> None:
    talk = conversation()
    talk.change((2, 0.0, int(Quality.TIME_INVALID), NOON))
    assert talk.values("020306") == "33020701" + NOON_TAG + "02031701" + "00010000"


@pytest.mark.parametrize(
    ("quality", "flags"),
    [
        (Quality.COMM_LOST, "04"),
        (Quality.NOT_TOPICAL, "04"),
        (Quality.NEVER_REPORTED, "02"),
        (Quality.SUBSTITUTED, "11"),
        (Quality.CHATTER, "21"),
    ],
)
def test_a_change_of_quality_is_a_binary_event_and_shows_in_the_value(quality: Quality, flags: str) -> None:
    talk = conversation()
    talk.change((2, 0.0), (2, 0.0, int(quality)))
    assert talk.values("020106") == "02011702" + "0001" + "00" + flags
    assert talk.values("010106") == "01020000" + "00" + flags  # packed states have no flags: with flags instead


def test_a_double_bit_input_shows_its_four_states() -> None:
    talk = conversation()
    talk.change(*((3, float(state)) for state in (0, 1, 2, 3)))
    assert talk.values("040106") == "04011704" + "0001" + "0041" + "0081" + "00c1"


def test_analog_events_obey_the_deadband_and_a_written_one() -> None:
    talk = conversation()
    talk.change((0, 5.0))
    assert talk.values(CLASSES) == ""
    talk.change((0, 5.5))
    assert talk.values("200506").endswith(struct.pack("<f", 5.5).hex())
    assert talk.ask(raw.WRITE, "22031701" + "00" + struct.pack("<f", 50.0).hex()).iin == 0
    talk.change((0, 55.0))
    assert talk.values(CLASSES) == ""
    assert talk.values("220306")[:18] == "2203000001" + "00004842"
    for bad in ("220317" + "01" + "63" + "00004842", "22031701" + "00" + "0000c07f", "22031701" + "00" + "000048c2"):
        assert talk.ask(raw.WRITE, bad).iin == BAD_PARAMETER


@pytest.mark.parametrize(
    ("value", "wire"),
    [(1e12, "21ffffff7f"), (-1e12, "2100000080"), (float("nan"), "2000000000"), (float("inf"), "21ffffff7f")],
)
def test_what_an_integer_cannot_hold_is_clamped_and_over_range(value: float, wire: str) -> None:
    talk = conversation()
    talk.change((0, value))
    octets = bytes.fromhex(talk.values("1e01" + "000000"))[5:]
    assert octets[0] & 0x20 and octets.hex()[2:] == wire[2:]
    assert bytes.fromhex(talk.values("200106"))[5] & 0x20


# Counters


def test_a_freeze_holds_the_value_until_the_next() -> None:
    talk = conversation()
    talk.change((4, 70.0))
    assert talk.ask(raw.FREEZE, "140006").objects == ""
    talk.change((4, 75.0))
    assert talk.values("150106") == "15010000" + "00" + "01" + "46000000"
    assert talk.request(raw.FREEZE_NO_ACK, "140000" + "0000") == []
    assert talk.values("150106") == "15010000" + "00" + "01" + "4b000000"
    assert talk.ask(raw.DELAY).iin == CLASS_3


def test_freeze_and_clear_begins_to_count_anew() -> None:
    talk = conversation()
    talk.change((4, 70.0))
    talk.ask(raw.FREEZE_CLEAR, "140006")
    assert talk.values("140506") == "14050000" + "00" + "00000000"
    assert talk.values("150506")[10:18] == "01460000"
    talk.change((4, 73.0))
    assert talk.values("140506") == "14050000" + "00" + "03000000"
    assert talk.request(raw.FREEZE_CLEAR_NO_ACK, "140006") == []


@pytest.mark.parametrize(
    ("objects", "iin"),
    [("010006", NO_OBJECT), ("140000" + "0505", BAD_PARAMETER), ("1e0006", 0), ("1f0006", NO_OBJECT)],
)
def test_what_cannot_be_frozen_is_told(objects: str, iin: int) -> None:
    assert conversation().ask(raw.FREEZE, objects).iin == iin


def test_a_freeze_at_a_time_happens_then_and_again() -> None:
    talk = conversation()
    at = (NOON // MS + 10_000).to_bytes(6, "little").hex()
    answer = talk.ask(raw.FREEZE_AT_TIME, "32020701" + at + "10270000" + "140006")  # in 10 s, then every 10 s
    assert (answer.iin, answer.objects) == (0, "")
    for value in (100.0, 200.0):
        talk.change((4, value))
        talk.waits(10.5)
        assert talk.values("150506")[12:16] == struct.pack("<H", int(value)).hex()


# Attributes


def test_attributes_are_read_one_by_one_all_at_once_and_as_a_list() -> None:
    talk = conversation(parameters={"attributes": ((252, "Maker"), (250, "Model"))})
    assert talk.values("00fc000000") == "00fc000000" + "0105" + b"Maker".hex()
    everything, listed = talk.values("00fe06"), talk.values("00ff06")
    assert "00fa000000" + "0105" + b"Model".hex() in everything
    pairs = bytes.fromhex(listed)[7:]
    assert {252, 250, 249, 239, 233} <= set(pairs[::2])
    assert talk.values("00ff000000") == listed


@pytest.mark.parametrize(
    ("objects", "iin"), [("000006", NO_OBJECT), ("00c8000000", NO_OBJECT), ("00fc000101", BAD_PARAMETER)]
)
def test_attributes_that_are_not_there_are_told(objects: str, iin: int) -> None:
    answer = conversation().ask(raw.READ, objects)
    assert (answer.iin, answer.objects) == (iin, "")


def test_attributes_are_not_written() -> None:
    assert conversation().ask(raw.WRITE, "00fc000000" + "010141").iin & (NO_OBJECT | BAD_PARAMETER)


# Time and restart


def test_the_time_is_asked_for_until_it_is_written() -> None:
    talk = conversation(parameters={"need_time_s": 600.0})
    assert talk.ask(raw.DELAY).iin == NEED_TIME
    assert talk.ask(raw.DELAY).objects == "34020701" + "0000"
    for wrong in ("32010701" + NOON_TAG[2:], "320107" + "02" + NOON_TAG * 2, "32030701" + NOON_TAG):
        assert talk.ask(raw.WRITE, wrong).iin == NEED_TIME | BAD_PARAMETER
    assert talk.ask(raw.WRITE, "32010701" + NOON_TAG).iin == 0
    talk.waits(601)
    assert talk.ask(raw.DELAY).iin == NEED_TIME
    talk.ask(raw.RECORD)  # the procedure for a LAN
    assert talk.ask(raw.WRITE, "32030701" + NOON_TAG).iin == 0


@pytest.mark.parametrize("function", [raw.COLD_RESTART, raw.WARM_RESTART])
def test_a_restart_is_answered_with_its_delay_and_told_afterwards(function: int) -> None:
    talk = conversation(parameters={"restart": True, "restart_delay_ms": 5_000})
    assert talk.ask(function).objects == "34020701" + "8813"
    assert talk.ask(raw.READ, CLASS_0).iin == RESTART
    assert talk.ask(raw.WRITE, RESTART_OFF).iin == 0
    assert conversation().ask(function).iin == NO_FUNCTION
