"""t1, t2 and t3 to the second. (t0 is the connecting side's: a controlled station has none.)"""

from __future__ import annotations

import pytest

from protocols.iec104.connection import ApciParameters
from tests.conformance.iec104.conversation import STARTDT, STOPDT, STOPDT_CON, TESTFR, TESTFR_CON, Conversation
from tests.peers.raw104 import asdu


def test_t1_closes_when_information_is_not_acknowledged() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0))
    link.hears()
    assert link.waits(14.9) == []
    assert not link.closed
    link.waits(0.1)
    assert link.closed == "t1: an I frame was not acknowledged within 15 s"


def test_t1_counts_from_the_oldest_unacknowledged_information() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0))
    link.hears()
    link.waits(10.0)
    talk.change((0, 0.0))
    link.hears()
    assert link.says("680401000200") == []  # the first is acknowledged
    link.waits(10.0)
    assert not link.closed
    link.waits(5.0)
    assert "t1" in link.closed


def test_t1_closes_when_testfr_is_not_confirmed() -> None:
    link = Conversation().started()
    assert link.waits(20.0) == [TESTFR]
    link.waits(14.9)
    assert not link.closed
    link.waits(0.1)
    assert link.closed == "t1: TESTFR was not answered within 15 s"


def test_testfr_con_ends_the_wait() -> None:
    link = Conversation().started()
    assert link.waits(20.0) == [TESTFR]
    assert link.says(TESTFR_CON) == []
    assert link.waits(19.9) == []
    assert link.waits(0.1) == [TESTFR]


def test_t1_runs_while_the_stop_waits_for_acknowledgements() -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0))
    link.hears()
    assert link.says(STOPDT) == []
    link.waits(15.0)
    assert "t1" in link.closed


def test_t2_has_nothing_to_do_where_an_answer_acknowledged() -> None:
    link = Conversation().started()
    assert len(link.asks(asdu(104, 6, 1, 0, "aa55"))) == 1
    assert link.waits(11.0) == []


@pytest.mark.parametrize(("t2_s", "before", "at"), [(10.0, 9.9, 0.1), (1.0, 0.9, 0.1)])
def test_t2_sends_the_acknowledgement(t2_s: float, before: float, at: float) -> None:
    talk = Conversation(apci=ApciParameters(k=1, t2_s=t2_s))
    link = talk.started()
    link.asks(asdu(104, 6, 1, 0, "aa55"))
    # N(S) 1, N(R) 0: our answer is not acknowledged, the window is full, so nothing can carry our acknowledgement
    apdu = "680f" + "02000000" + asdu(104, 6, 1, 0, "aa55").hex()
    assert link.says(apdu) == []
    assert link.waits(before) == []
    assert link.waits(at) == ["680401000400"]


def test_t3_tests_an_idle_link_started_or_not() -> None:
    for link in (Conversation().link(), Conversation().started()):
        assert link.waits(19.9) == []
        assert link.waits(0.1) == [TESTFR]


def test_t3_counts_from_whatever_was_received() -> None:
    link = Conversation().link()
    link.waits(19.0)
    link.says(STARTDT)
    link.waits(19.0)
    assert link.says(TESTFR) == [TESTFR_CON]
    assert link.waits(19.9) == []
    assert link.waits(0.1) == [TESTFR]


def test_timers_are_those_of_the_configuration() -> None:
    link = Conversation(apci=ApciParameters(t1_s=3.0, t2_s=1.0, t3_s=5.0)).started()
    assert link.waits(5.0) == [TESTFR]
    link.waits(3.0)
    assert link.closed == "t1: TESTFR was not answered within 3 s"


def test_a_stopped_link_stays_as_long_as_it_is_tested() -> None:
    link = Conversation().started()
    assert link.says(STOPDT) == [STOPDT_CON]
    for _ in range(5):
        assert link.waits(20.0) == [TESTFR]
        assert link.says(TESTFR_CON) == []
