"""STARTDT, STOPDT, TESTFR: what the controlled station says to each, in which state."""

from __future__ import annotations

import pytest

from protocols.iec104.connection import ApciParameters
from tests.conformance.iec104.conversation import (
    STARTDT,
    STARTDT_CON,
    STOPDT,
    STOPDT_CON,
    TESTFR,
    TESTFR_CON,
    Conversation,
)
from tests.peers.raw104 import asdu

INTERROGATION = "680e0000000064010600010000000014"


def test_startdt_act_is_confirmed() -> None:
    assert Conversation().link().says(STARTDT) == [STARTDT_CON]


def test_startdt_act_while_started_is_confirmed_again() -> None:
    assert Conversation().started().says(STARTDT) == [STARTDT_CON]


def test_stopdt_act_is_confirmed_and_stops_information() -> None:
    talk = Conversation()
    link = talk.started()
    assert link.says(STOPDT) == [STOPDT_CON]
    talk.change((0, 1.0))
    assert link.hears() == []


def test_stopdt_act_before_startdt_is_confirmed() -> None:
    assert Conversation().link().says(STOPDT) == [STOPDT_CON]


def test_stopdt_act_with_unacknowledged_information_waits_for_its_acknowledgement() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0))
    assert len(link.hears()) == 1
    assert link.says(STOPDT) == []
    assert link.says("680401000200") == [STOPDT_CON]


def test_stopdt_act_acknowledges_what_we_have_received_first() -> None:
    talk = Conversation(apci=ApciParameters(k=1))
    link = talk.started()
    link.asks(asdu(104, 6, 1, 0, "aa55"))
    # N(S) 1, N(R) 0: the window is full, so its answer waits and nothing has acknowledged it yet
    assert link.says("680f" + "02000000" + asdu(104, 6, 1, 0, "aa55").hex()) == []
    assert link.says(STOPDT) == ["680401000400"]
    assert link.says("680401000200") == [STOPDT_CON]


def test_information_before_startdt_closes() -> None:
    link = Conversation().link()
    assert link.says(INTERROGATION) == []
    assert link.closed == "I frame while stopped"


def test_information_behind_stopdt_closes() -> None:
    link = Conversation().started()
    link.says(STOPDT)
    link.says(INTERROGATION)
    assert "I frame while stopped" in link.closed


def test_a_supervision_before_startdt_closes() -> None:
    link = Conversation().link()
    link.says("680401000000")
    assert "S frame while stopped" in link.closed


@pytest.mark.parametrize("octets", ["68040b000000", "680423000000"])
def test_a_confirmation_of_what_we_never_asked_closes(octets: str) -> None:
    link = Conversation().link()
    link.says(octets)
    assert link.closed


def test_testfr_act_is_confirmed_in_every_state() -> None:
    talk = Conversation()
    link = talk.link()
    assert link.says(TESTFR) == [TESTFR_CON]
    assert link.says(STARTDT, TESTFR)[-1] == TESTFR_CON
    talk.change((0, 1.0))
    link.hears()
    assert link.says(STOPDT, TESTFR) == [TESTFR_CON]


def test_events_wait_for_startdt_and_come_with_it() -> None:
    talk = Conversation()
    talk.change((0, 1.0))
    link = talk.link()
    assert link.says(TESTFR) == [TESTFR_CON]
    first, second = link.says(STARTDT)
    assert first == STARTDT_CON
    # I, N(S) 0: M_SP_TB_1, one object, spontaneous, ca 1, ioa 1001, on
    assert second == "6815" + "00000000" + "1e0103000100" + "e90300" + "01" + "9b4e0d164e0b17"


def test_restart_after_stop_goes_on_with_the_numbers() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0))
    link.hears()
    assert link.says("680401000200", STOPDT) == [STOPDT_CON]
    talk.change((0, 0.0))
    confirmation, event = link.says(STARTDT)
    assert confirmation == STARTDT_CON
    assert event[4:8] == "0200"  # N(S) 1
