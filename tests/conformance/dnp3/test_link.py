"""Certification group "link": reset, status, retries, DIR and FCV, wrong start octets, functions, addresses, CRCs."""

from __future__ import annotations

import pytest

from tests.conformance.dnp3.conversation import Conversation
from tests.kit.dnp3kit import master
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0

ACK, LINK_STATUS = 0x00, 0x0B
READ = bytes.fromhex("c0" + "c001" + CLASS_0)


def test_a_reset_is_acknowledged_and_opens_confirmed_data() -> None:
    talk = Conversation()
    assert talk.links_back(raw.CONFIRMED, fcb=1, fcv=1, data=READ) == []  # not before a reset
    assert talk.heard == []
    assert talk.links_back(raw.RESET_LINK) == [ACK]
    assert talk.links_back(raw.CONFIRMED, fcb=1, fcv=1, data=READ) == [ACK]
    assert len(talk.heard) == 1


def test_a_repeated_frame_is_acknowledged_and_not_acted_on() -> None:
    talk = Conversation()
    talk.links_back(raw.RESET_LINK)
    for fcb in (1, 1, 1):
        assert talk.links_back(raw.CONFIRMED, fcb=fcb, fcv=1, data=READ) == [ACK]
    assert len(talk.heard) == 1
    assert talk.links_back(raw.CONFIRMED, fcb=0, fcv=1, data=READ) == [ACK]
    assert len(talk.heard) == 2
    assert talk.links_back(raw.RESET_LINK) == [ACK]  # the next frame count bit is 1 again
    assert talk.links_back(raw.CONFIRMED, fcb=1, fcv=1, data=READ) == [ACK]
    assert len(talk.heard) == 3


def test_the_link_status_is_told_before_and_after_a_reset() -> None:
    talk = Conversation()
    assert talk.links_back(raw.LINK_STATUS) == [LINK_STATUS]
    talk.links_back(raw.RESET_LINK)
    assert talk.links_back(raw.LINK_STATUS) == [LINK_STATUS]
    frame = talk.links[-1]
    assert (frame.dest, frame.source, frame.data) == (1, 10, b"")


def test_the_test_function_is_answered_after_a_reset() -> None:
    talk = Conversation()
    assert talk.links_back(raw.TEST_LINK, fcb=1, fcv=1) == []
    talk.links_back(raw.RESET_LINK)
    assert talk.links_back(raw.TEST_LINK, fcb=1, fcv=1) == [ACK]
    assert talk.links_back(raw.TEST_LINK, fcb=0, fcv=1) == [ACK]


def test_a_silent_master_is_asked_and_asked_again_before_the_link_is_lost() -> None:
    talk = Conversation((master(parameters={"keep_alive_s": 60.0}),))
    talk.waits(59)
    assert talk.links == []
    talk.waits(2)
    assert [frame.control for frame in talk.links] == [raw.PRM | raw.LINK_STATUS]
    talk.says(raw.frame(raw.DIR | LINK_STATUS, 10, 1))  # the master answers: it is there
    talk.waits(61)
    assert len(talk.links) == 2 and not talk.session.lost
    talk.waits(5)
    assert len(talk.links) == 3  # a retry
    talk.waits(5)
    assert talk.session.lost and len(talk.links) == 3


WRONG = {
    "dir 0: from an outstation": {"function": raw.LINK_STATUS, "direction": 0},
    "reset with FCV": {"function": raw.RESET_LINK, "fcv": 1},
    "test without FCV": {"function": raw.TEST_LINK, "fcv": 0},
    "status with FCV": {"function": raw.LINK_STATUS, "fcv": 1},
    **{f"function {code} does not exist": {"function": code} for code in (1, 5, 6, 7, 8, 10, 13, 15)},
    "another outstation's address": {"function": raw.LINK_STATUS, "to": 11},
    "another master's address": {"function": raw.LINK_STATUS, "source": 2},
    "a reserved address": {"function": raw.LINK_STATUS, "to": 0xFFF5},
    "self address, which is not enabled": {"function": raw.LINK_STATUS, "to": 0xFFFC},
    "a broadcast asks for the status": {"function": raw.LINK_STATUS, "to": 0xFFFF},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_frame_is_not_answered_and_changes_nothing(wrong: dict[str, int]) -> None:
    talk = Conversation()
    assert talk.links_back(raw.RESET_LINK) == [ACK]
    wrong = dict(wrong)
    assert talk.links_back(wrong.pop("function"), **wrong) == []
    assert talk.links_back(raw.CONFIRMED, fcb=1, fcv=1, data=READ) == [ACK]
    assert len(talk.heard) == 1


@pytest.mark.parametrize("fcv", [0, 1])
def test_confirmed_data_without_fcv_and_unconfirmed_with_it_are_dropped(fcv: int) -> None:
    talk = Conversation()
    talk.links_back(raw.RESET_LINK)
    function = raw.UNCONFIRMED if fcv else raw.CONFIRMED
    assert talk.links_back(function, fcb=1, fcv=fcv, data=READ) == []
    assert talk.heard == []


def test_the_self_address_is_answered_from_our_own_where_it_is_enabled() -> None:
    talk = Conversation((master(parameters={"self_address": True}),))
    assert talk.links_back(raw.LINK_STATUS, to=0xFFFC) == [LINK_STATUS]
    assert talk.links[-1].source == 10


GOOD = raw.frame(0xC4, 10, 1, READ)
SPOILT = {
    "first start octet": b"\x06" + GOOD[1:],
    "second start octet": GOOD[:1] + b"\x65" + GOOD[2:],
    "length below 5": GOOD[:2] + b"\x04" + GOOD[3:],
    "CRC of the header": GOOD[:8] + bytes([GOOD[8] ^ 1]) + GOOD[9:],
    "CRC of the data": GOOD[:-1] + bytes([GOOD[-1] ^ 0x80]),
    "an octet of the data": GOOD[:12] + bytes([GOOD[12] ^ 4]) + GOOD[13:],
    "cut short": GOOD[:-3],
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_frame_is_skipped_and_the_next_one_found(spoilt: bytes) -> None:
    talk = Conversation()
    assert talk.says(spoilt) == []
    assert len(talk.says(GOOD)) == 1


def test_a_frame_octet_by_octet_is_a_frame() -> None:
    talk = Conversation()
    for octet in GOOD[:-1]:
        assert talk.says(bytes([octet])) == []
    assert len(talk.says(GOOD[-1:])) == 1


def test_our_own_frames_are_unconfirmed_data_from_an_outstation() -> None:
    talk = Conversation()
    talk.ask(raw.READ, CLASS_0)
    assert {(frame.control, frame.dest, frame.source) for frame in talk.frames} == {(0x44, 1, 10)}
