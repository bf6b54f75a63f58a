"""Octets that no controlling station should send: the connection closes with words, nothing else happens."""

from __future__ import annotations

import pytest

from tests.conformance.iec104.conversation import STARTDT, Conversation
from tests.peers.raw104 import asdu

BEFORE = [
    ("00", "frame begins with 0x00: 0x68 expected"),
    ("69040700 0000", "frame begins with 0x69"),
    ("6803070000", "frame announces 3 octets: 4 to 253 expected"),
    ("6800", "frame announces 0 octets"),
    ("68fe", "frame announces 254 octets"),
    ("68ff", "frame announces 255 octets"),
    ("680400000000", "I frame without an ASDU"),
    ("68050700000000", "S or U frame of 5 octets: 4 expected"),
    ("68040f000000", "U frame with control octets 0f000000"),  # STARTDT act and con at once
    ("680457000000", "U frame"),  # STOPDT act and TESTFR act at once
    ("680403000000", "U frame"),  # no function
    ("680407000100", "U frame"),  # something behind it
    ("680405000000", "S frame"),
    ("680401000100", "S frame"),
    ("680a00000100670106000100", "I frame with control octets 00000100"),
]


@pytest.mark.parametrize(("octets", "words"), BEFORE, ids=[words for _, words in BEFORE])
@pytest.mark.parametrize("state", ["stopped", "started"])
def test_a_frame_that_is_none_closes(octets: str, words: str, state: str) -> None:
    link = Conversation().link() if state == "stopped" else Conversation().started()
    link.says(octets.replace(" ", ""))
    assert words in link.closed


ASDUS = [
    (asdu(100, 6, 1, 0)[:6], "ASDU of 6 octets"),
    (asdu(100, 6, 1, 0)[:8], "ASDU of 8 octets"),  # a short ioa
    (bytes(1), "ASDU of 1 octets"),
    (asdu(100, 6, 1, 0, "14", vsq=0), "no object"),
    (asdu(100, 6, 1, 0), "C_IC_NA_1 with 1 objects has 3 octets: 4 expected"),
    (asdu(100, 6, 1, 0, "1400"), "has 5 octets: 4 expected"),
    (asdu(100, 6, 1, 0, "14", vsq=127), "C_IC_NA_1 with 127 objects has 4 octets"),  # VSQ larger than the payload
    (asdu(100, 6, 1, 0, "14", vsq=0x81), "SQ=1: one object, SQ=0 expected"),
    (asdu(45, 6, 1, 6001, "01" * 126, vsq=0xFE), "SQ=1"),
    (asdu(45, 6, 1, 0xFFFFFF, "0101", vsq=0x82), "runs beyond 16777215"),
    (asdu(104, 6, 1, 0), "C_TS_NA_1"),  # the null test command
    (asdu(103, 6, 1, 0, "9b4e0d164e0b"), "C_CS_NA_1"),  # a short time
    (asdu(107, 6, 1, 0, "0100"), "C_TS_TA_1"),
    (asdu(58, 6, 1, 6001, "01"), "C_SC_TA_1"),  # a time tag left out
    (asdu(50, 6, 1, 7003, "0000c042"), "C_SE_NC_1"),  # without its qualifier
    (asdu(112, 6, 1, 4001, "0000c842"), "P_ME_NC_1"),
    (asdu(113, 6, 1, 4001), "P_AC_NA_1"),
    (asdu(105, 6, 1, 0), "C_RP_NA_1"),
    (asdu(101, 6, 1, 0), "C_CI_NA_1"),
    (asdu(102, 5, 1, 4001, "00"), "C_RD_NA_1"),
]


@pytest.mark.parametrize(("body", "words"), ASDUS, ids=[words for _, words in ASDUS])
def test_an_asdu_that_cannot_be_read_closes_and_does_nothing(body: bytes, words: str) -> None:
    talk = Conversation()
    link = talk.started()
    assert link.asks(body) == []
    assert words in link.closed
    assert talk.audit == []


@pytest.mark.parametrize("type_id", [120, 121, 122, 123, 124, 125, 126, 127])
def test_file_segments_of_any_length_are_unknown_and_harmless(type_id: int) -> None:
    link = Conversation().started()
    [frame] = link.asks(asdu(type_id, 13, 1, 1, "ff" * 240))
    assert (frame.cause, frame.negative, link.closed) == (44, True, "")


def test_the_longest_apdu_is_read() -> None:
    link = Conversation().started()
    [frame] = link.asks(asdu(126, 6, 1, 0, "00" * 240))
    assert len(frame.raw) == 255


@pytest.mark.parametrize("cut", range(1, 16))
def test_a_frame_may_be_cut_at_any_octet(cut: int) -> None:
    frame = "680e" + "00000000" + asdu(100, 6, 1, 0, "15").hex()
    link = Conversation().started()
    assert link.says(frame[: 2 * cut]) == []
    assert len(link.says(frame[2 * cut :])) > 1


def test_frames_octet_by_octet() -> None:
    stream = STARTDT + "680e" + "00000000" + asdu(100, 6, 1, 0, "15").hex()
    link = Conversation().link()
    said = [apdu for at in range(0, len(stream), 2) for apdu in link.says(stream[at : at + 2])]
    assert len(said) == 1 + 4


def test_nothing_behind_a_wrong_octet_is_looked_at() -> None:
    talk = Conversation()
    link = talk.started()
    link.says("ff" + "680e" + "00000000" + asdu(45, 6, 1, 6001, "01").hex())
    assert talk.audit == []


def test_another_link_goes_on() -> None:
    talk = Conversation(master={"links": 2})
    good, bad = talk.started(), talk.link()
    bad.says("00")
    talk.change((0, 1.0))
    assert (bool(bad.closed), len(good.told())) == (True, 1)
