"""Parameters of measured values: threshold and limits loaded, in and out of operation; cyclic sending on and off."""

from __future__ import annotations

import struct

import pytest

from tests.conformance.iec104.conversation import At, Conversation, Kind, Link, causes
from tests.peers.raw104 import asdu

THRESHOLD, SMOOTHING, LOW, HIGH = 1, 2, 3, 4
POP = 0x80


def load(link: Link, value: float, qualifier: int, ioa: int = 4001) -> str:
    return causes(link.asks(asdu(112, 6, 1, ioa, struct.pack("<fB", value, qualifier).hex())))


def activate(link: Link, qpa: int, ioa: int, cause: int = 6) -> str:
    return causes(link.asks(asdu(113, cause, 1, ioa, f"{qpa:02x}")))


def told(talk: Conversation, link: Link, *steps: float, row: int = 4) -> list[float]:
    """Which of these values are events."""
    talk.change(*[(row, step) for step in steps])
    return [
        struct.unpack("<f", element[:4])[0]
        for frame in link.told()
        for _, element in frame.objects(5 if frame.type_id == 13 else 12)
    ]


def test_a_threshold_takes_the_place_of_the_deadband() -> None:
    talk = Conversation()
    link = talk.started()
    assert told(talk, link, 4.0, 6.0) == [6.0]  # 5 in the map
    assert load(link, 100.0, THRESHOLD) == "7"
    assert told(talk, link, 50.0, 105.0, 107.0) == [107.0]


def test_a_threshold_of_zero_makes_every_change_an_event() -> None:
    talk = Conversation()
    link = talk.started()
    load(link, 0.0, THRESHOLD)
    assert told(talk, link, 0.5, 1.0) == [0.5, 1.0]


def test_crossing_a_limit_is_an_event_inside_the_deadband() -> None:
    talk = Conversation()
    link = talk.started()
    load(link, 3.0, HIGH)
    load(link, -2.0, LOW)
    assert told(talk, link, 1.0, 2.0, 3.5, 3.75, 2.75, -1.0, -2.5, -1.5) == [3.5, 2.75, -2.5, -1.5]


def test_what_a_limit_reported_counts_for_the_deadband() -> None:
    talk = Conversation()
    link = talk.started()
    load(link, 3.0, HIGH)
    assert told(talk, link, 4.0, 8.5) == [4.0]
    assert told(talk, link, 9.5) == [9.5]


def test_a_normalised_threshold_spans_the_range() -> None:
    talk = Conversation()
    link = talk.started()
    # 0.25 of half of -1000..1000: 250; the smallest step that is told is beyond it
    assert causes(link.asks(asdu(110, 6, 1, 4201, "002001"))) == "7"
    talk.change((6, 240.0), (6, 260.0))
    assert sum(frame.count for frame in link.told()) == 1


def test_a_scaled_threshold_is_the_engineering_value() -> None:
    talk = Conversation()
    link = talk.started()
    assert causes(link.asks(asdu(111, 6, 1, 4101, "0a0001"))) == "7"
    talk.change((5, 9.0), (5, 11.0))
    assert sum(frame.count for frame in link.told()) == 1


def test_not_in_operation_until_it_is_activated() -> None:
    talk = Conversation()
    link = talk.started()
    assert load(link, 100.0, THRESHOLD | POP) == "7"
    assert told(talk, link, 6.0) == [6.0]
    assert activate(link, 2, 4001) == "7"
    assert told(talk, link, 90.0) == []
    assert activate(link, 2, 4001, cause=8) == "9"
    assert told(talk, link, 80.0) == [80.0]


def test_all_that_was_loaded_is_activated_at_once() -> None:
    talk = Conversation()
    link = talk.started()
    assert activate(link, 1, 0) == "-7"
    load(link, 100.0, THRESHOLD | POP)
    assert activate(link, 1, 0) == "7"
    assert told(talk, link, 90.0) == []


def test_a_parameter_outlives_the_link() -> None:
    talk = Conversation()
    first = talk.started()
    load(first, 100.0, THRESHOLD)
    first.ends()
    assert told(talk, talk.started(), 90.0) == []


def test_cyclic_sending_is_stopped_and_begun_again() -> None:
    talk = Conversation(lines=[At(ioa=1, type="M_ME_TF_1", kind=Kind.ANALOG, cyclic_s=5.0)])
    link = talk.started()
    assert activate(link, 3, 1, cause=8) == "9"
    assert link.waits(5.0) == []
    assert activate(link, 3, 1) == "7"
    assert len(link.waits(5.0)) == 1


def test_cyclic_sending_that_the_map_does_not_have_is_not_begun() -> None:
    assert activate(Conversation().started(), 3, 4001) == "-7"


@pytest.mark.parametrize("qualifier", [0, SMOOTHING, 5, 63])
def test_other_kinds_are_confirmed_negative(qualifier: int) -> None:
    assert load(Conversation().started(), 1.0, qualifier) == "-7"


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_threshold_that_is_none_is_confirmed_negative(value: float) -> None:
    assert load(Conversation().started(), value, THRESHOLD) == "-7"


def test_a_signalling_nan_is_no_parameter_either() -> None:
    assert causes(Conversation().started().asks(asdu(112, 6, 1, 4001, "0100a07f01"))) == "-7"


@pytest.mark.parametrize("qpa", [0, 4, 255])
def test_another_qualifier_of_activation_is_confirmed_negative(qpa: int) -> None:
    assert activate(Conversation().started(), qpa, 4001) == "-7"


def test_a_master_without_the_right_loads_nothing() -> None:
    talk = Conversation(master={"parameters": False})
    link = talk.started()
    assert load(link, 100.0, THRESHOLD) == "-7"
    assert activate(link, 3, 4001) == "-7"
    assert told(talk, link, 6.0) == [6.0]


def test_a_test_parameter_loads_nothing() -> None:
    talk = Conversation()
    link = talk.started()
    assert causes(link.asks(asdu(112, 0x86, 1, 4001, "0000c84201"))) == "-7"
    assert told(talk, link, 6.0) == [6.0]


def test_wrong_cause_address_and_ioa() -> None:
    link = Conversation().started()
    body = "0000c84201"
    assert causes(link.asks(asdu(112, 8, 1, 4001, body))) == "-45"
    assert causes(link.asks(asdu(112, 6, 9, 4001, body))) == "-46"
    assert causes(link.asks(asdu(112, 6, 1, 9999, body))) == "-47"
    assert causes(link.asks(asdu(112, 6, 1, 4101, body))) == "-47"  # a scaled value has P_ME_NB_1
    assert causes(link.asks(asdu(112, 6, 1, 6001, body))) == "-47"  # a command
    assert causes(link.asks(asdu(113, 6, 1, 4001, "01"))) == "-47"  # all that was loaded has ioa 0
    assert causes(link.asks(asdu(113, 6, 1, 9999, "02"))) == "-47"
    assert causes(link.asks(asdu(113, 5, 1, 4001, "02"))) == "-45"
