"""Send and receive sequence numbers, and the windows k and w."""

from __future__ import annotations

import pytest

from protocols.iec104.connection import ApciParameters
from tests.conformance.iec104.conversation import NOON, STARTDT, STARTDT_CON, Conversation
from tests.peers.raw104 import asdu

TEST = asdu(104, 6, 1, 0, "aa55").hex()


def i_frame(ssn: int, rsn: int = 0, body: str = TEST) -> str:
    return f"68{len(body) // 2 + 4:02x}" + (ssn << 1 | rsn << 17).to_bytes(4, "little").hex() + body


def s_frame(rsn: int) -> str:
    return "68040100" + (rsn << 1).to_bytes(2, "little").hex()


def one_by_one(**keys: int) -> Conversation:
    return Conversation(apci=ApciParameters(**keys), master={"objects_per_asdu": 1})


def test_numbers_begin_at_zero_and_run_on() -> None:
    link = Conversation().started()
    for number in range(5):
        [answer] = link.says(i_frame(number, number))
        assert answer[4:12] == (number << 1 | (number + 1) << 17).to_bytes(4, "little").hex()


@pytest.mark.parametrize("ssn", [1, 2, 32_767])
def test_a_wrong_ns_closes(ssn: int) -> None:
    link = Conversation().started()
    link.says(i_frame(ssn))
    assert link.closed == f"I frame with N(S) {ssn}: 0 expected"


def test_a_repeated_ns_closes() -> None:
    link = Conversation().started()
    link.says(i_frame(0))
    link.says(i_frame(0))
    assert link.closed == "I frame with N(S) 0: 1 expected"


@pytest.mark.parametrize("rsn", [2, 5, 32_767])
def test_an_nr_of_what_was_not_sent_closes(rsn: int) -> None:
    talk = Conversation()
    link = talk.started()
    talk.change((0, 1.0))
    link.hears()
    link.says(s_frame(rsn))
    assert "acknowledges what was not sent" in link.closed


def test_an_nr_in_an_information_frame_is_checked_too() -> None:
    link = Conversation().started()
    link.says(i_frame(0, 1))
    assert "acknowledges what was not sent" in link.closed


def test_an_nr_that_goes_back_closes() -> None:
    talk = one_by_one()
    link = talk.started()
    talk.change((0, 1.0), (0, 0.0))
    link.hears()
    link.says(s_frame(2))
    link.says(s_frame(1))
    assert "acknowledges what was not sent" in link.closed


def test_no_more_than_k_are_unacknowledged() -> None:
    talk = one_by_one(k=12, w=8)
    link = talk.started()
    talk.change(*[(0, float(i % 2)) for i in range(1, 31)])
    assert len(link.hears()) == 12
    assert len(link.says(s_frame(5))) == 5
    assert len(link.says(s_frame(17))) == 12
    assert len(link.says(s_frame(29))) == 1


def test_k_of_one_is_stop_and_wait() -> None:
    talk = one_by_one(k=1, w=1)
    link = talk.started()
    talk.change((0, 1.0), (0, 0.0), (0, 1.0))
    assert [len(link.hears())] + [len(link.says(s_frame(n))) for n in (1, 2, 3)] == [1, 1, 1, 0]


def test_received_information_is_acknowledged_at_w() -> None:
    talk = Conversation(apci=ApciParameters(k=1, w=3))
    link = talk.started()
    link.says(i_frame(0))  # our answer fills the window of one; it acknowledges 1
    assert link.says(i_frame(1)) == []
    assert link.says(i_frame(2)) == []
    assert link.says(i_frame(3)) == [s_frame(4)]


def test_acknowledged_events_are_not_sent_again() -> None:
    talk = one_by_one()
    link = talk.started()
    talk.change((0, 1.0), (0, 0.0))
    link.hears()
    link.says(s_frame(1))
    link.ends()
    # started again, N(S) 0: only the second event, off
    assert talk.link().says(STARTDT) == [STARTDT_CON, "681500000000" + "1e0103000100" + "e90300" + "00" + NOON]


def test_numbers_turn_over_at_32768() -> None:
    link = Conversation().started()
    for number in range(32_768):
        link.says(i_frame(number, number))
    [answer] = link.says(i_frame(0, 0))
    assert answer[4:12] == "00000200"  # N(S) 0, N(R) 1
