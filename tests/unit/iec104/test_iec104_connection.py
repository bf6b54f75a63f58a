"""A controlling station (CS) and our controlled station, frame by frame; the clock is the test's."""

from __future__ import annotations

import struct
from itertools import product

import pytest

from protocols.iec104.connection import (
    TRANSITIONS,
    Acknowledged,
    ApciParameters,
    Broken,
    Connection,
    Event,
    Input,
    Received,
    Started,
    State,
    Stopped,
    Stopping,
)

STARTDT, STARTDT_CON = "680407000000", "68040b000000"
STOPDT, STOPDT_CON = "680413000000", "680423000000"
TESTFR, TESTFR_CON = "680443000000", "680483000000"
ASDU = bytes.fromhex("64010600010000000014")


def i_frame(ssn: int, rsn: int = 0) -> str:
    return (struct.pack("<BBHH", 0x68, len(ASDU) + 4, ssn << 1, rsn << 1) + ASDU).hex()


def s_frame(rsn: int) -> str:
    return struct.pack("<BBHH", 0x68, 4, 1, rsn << 1).hex()


class Talk:
    """CS says octets; we answer octets and events."""

    def __init__(self, **parameters: float) -> None:
        self.connection = Connection(ApciParameters(**parameters), 0.0)  # type: ignore[arg-type]

    def says(self, *frames: str, at: float = 0.0) -> tuple[list[Event], str]:
        events = self.connection.receive(bytes.fromhex("".join(frames)), at)
        return events, self.connection.data_to_send().hex()

    def waits(self, until: float) -> tuple[list[Event], str]:
        return self.connection.on_time(until), self.connection.data_to_send().hex()

    def sends(self, count: int, at: float = 0.0) -> str:
        for token in range(count):
            self.connection.send(ASDU, token + 1, at)
        return self.connection.data_to_send().hex()


def started(**parameters: float) -> Talk:
    talk = Talk(**parameters)
    assert talk.says(STARTDT) == ([Started()], STARTDT_CON)
    return talk


def test_start_test_and_stop() -> None:
    talk = started()
    assert talk.says(TESTFR) == ([], TESTFR_CON)
    assert talk.says(STOPDT) == ([Stopping(), Stopped()], STOPDT_CON)
    assert talk.connection.window == 0


def test_test_frames_are_answered_while_stopped() -> None:
    assert Talk().says(TESTFR) == ([], TESTFR_CON)


def test_starting_twice_is_confirmed_twice() -> None:
    assert started().says(STARTDT) == ([], STARTDT_CON)


def test_no_information_is_taken_while_stopped() -> None:
    events, _ = Talk().says(i_frame(0))
    assert events == [Broken("I frame while stopped")]


def test_an_s_frame_while_stopped_breaks() -> None:
    events, _ = Talk().says(s_frame(0))
    assert isinstance(events[0], Broken)


def test_no_information_is_sent_while_stopped() -> None:
    with pytest.raises(ValueError, match="stopped"):
        Talk().sends(1)


def test_stopdt_waits_for_outstanding_acknowledgements() -> None:
    talk = started()
    talk.sends(3)
    assert talk.says(STOPDT) == ([Stopping()], "")
    assert talk.connection.window == 0
    assert talk.says(s_frame(2)) == ([Acknowledged([1, 2])], "")
    assert talk.says(s_frame(3)) == ([Acknowledged([3]), Stopped()], STOPDT_CON)


def test_information_behind_stopdt_breaks() -> None:
    talk = started()
    talk.sends(1)
    events, _ = talk.says(STOPDT, i_frame(0))
    assert isinstance(events[-1], Broken)


def test_the_window_closes_at_k_and_opens_with_acknowledgement() -> None:
    talk = started(k=3, w=2)
    talk.sends(3)
    assert talk.connection.window == 0
    with pytest.raises(ValueError, match="3 unacknowledged"):
        talk.sends(1)
    assert talk.says(s_frame(1)) == ([Acknowledged([1])], "")
    assert talk.connection.window == 1


def test_received_information_is_acknowledged_at_w() -> None:
    talk = started(w=3)
    assert talk.says(i_frame(0), i_frame(1)) == ([Received(ASDU)] * 2, "")
    assert talk.says(i_frame(2)) == ([Received(ASDU)], s_frame(3))


def test_received_information_is_acknowledged_at_t2_at_the_latest() -> None:
    talk = started(t2_s=10)
    talk.says(i_frame(0), at=1.0)
    talk.says(i_frame(1), at=5.0)
    assert talk.connection.next_deadline() == 11.0
    assert talk.waits(10.9) == ([], "")
    assert talk.waits(11.0) == ([], s_frame(2))


def test_an_answer_acknowledges_too() -> None:
    talk = started()
    talk.says(i_frame(0))
    assert talk.sends(1) == i_frame(0, rsn=1)
    assert talk.waits(12.0) == ([], "")


def test_t1_breaks_when_information_is_not_acknowledged() -> None:
    talk = started(t1_s=15)
    talk.sends(1, at=2.0)
    talk.says(TESTFR, at=16.0)
    assert talk.connection.next_deadline() == 17.0
    [event], _ = talk.waits(17.0)
    assert isinstance(event, Broken)
    assert "t1" in event.cause
    assert talk.connection.next_deadline() is None


def test_t3_sends_a_test_frame_and_t1_waits_for_its_answer() -> None:
    talk = started(t1_s=15, t3_s=20)
    assert talk.connection.next_deadline() == 20.0
    assert talk.waits(20.0) == ([], TESTFR)
    assert talk.connection.next_deadline() == 35.0
    assert talk.says(TESTFR_CON, at=30.0) == ([], "")
    assert talk.connection.next_deadline() == 50.0
    assert talk.waits(50.0) == ([], TESTFR)
    [event], _ = talk.waits(65.0)
    assert isinstance(event, Broken)


def test_t3_is_counted_from_whatever_was_received() -> None:
    talk = Talk(t3_s=20)
    talk.says(TESTFR, at=15.0)
    assert talk.connection.next_deadline() == 35.0


@pytest.mark.parametrize("ssn", [1, 5, 32767])
def test_a_wrong_send_number_breaks(ssn: int) -> None:
    events, _ = started().says(i_frame(ssn))
    assert events == [Broken(f"I frame with N(S) {ssn}: 0 expected")]


@pytest.mark.parametrize("rsn", [3, 32767])
def test_acknowledging_what_was_not_sent_breaks(rsn: int) -> None:
    talk = started()
    talk.sends(2)
    events, _ = talk.says(s_frame(rsn))
    assert isinstance(events[0], Broken)
    assert "not sent" in events[0].cause


def test_sequence_numbers_run_on_beyond_32767() -> None:
    talk = started()
    for number in range(32_770):
        talk.sends(1)
        assert talk.says(s_frame((number + 1) % 32_768)) == ([Acknowledged([1])], "")
        talk.says(i_frame(number % 32_768, (number + 1) % 32_768))
    assert talk.sends(1) == i_frame(2, rsn=2)


def test_nothing_is_heard_after_the_end() -> None:
    talk = started()
    talk.says("00")
    assert talk.says(STARTDT) == ([], "")
    assert talk.waits(100.0) == ([], "")


def test_frames_before_the_broken_one_still_count() -> None:
    events, answer = Talk().says(STARTDT, i_frame(0), "00")
    assert events[:2] == [Started(), Received(ASDU)]
    assert isinstance(events[2], Broken)
    assert answer == STARTDT_CON


def test_a_displaced_link_may_still_acknowledge_but_nobody_counts_it() -> None:
    talk = started()
    talk.sends(2)
    talk.connection.displace()
    assert talk.connection.window == 0
    assert talk.says(s_frame(2)) == ([Acknowledged([0, 0])], "")


def test_every_transition_of_the_diagram_is_listed() -> None:
    listed = set(TRANSITIONS)
    states = (State.STOPPED, State.STARTED, State.STOPPING)
    anywhere = {Input.TESTFR_ACT, Input.TESTFR_CON, Input.S_FRAME}
    assert set(product(states, anywhere)) <= listed
    assert listed - set(product(states, anywhere)) == {
        (State.STOPPED, Input.STARTDT_ACT),
        (State.STOPPED, Input.STOPDT_ACT),
        (State.STARTED, Input.STARTDT_ACT),
        (State.STARTED, Input.STOPDT_ACT),
        (State.STARTED, Input.I_FRAME),
        (State.STOPPING, Input.STOPDT_ACT),
    }
