"""Direct commands: confirmed, terminated, refused, each with its cause; what reaches the broker and what does not."""

from __future__ import annotations

import pytest

from gateway.contracts import Action, Outcome, Pulse, Reason, Stage
from protocols.iec104.session import Submit
from tests.conformance.iec104.conversation import NOON, Answered, At, Conversation, Kind, causes
from tests.peers.raw104 import asdu

ON = asdu(45, 6, 1, 6001, "01")
ACCEPTED, COMPLETED = (Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)

EVERY_COMMAND = [
    (45, 6001, "01", 1.0),
    (45, 6001, "00", 0.0),
    (46, 6002, "02", 1.0),
    (46, 6002, "01", 0.0),
    (47, 6003, "02", 1.0),
    (47, 6003, "01", 0.0),
    (48, 7001, "004000", 500.0),
    (49, 7002, "9cff00", -100.0),
    (50, 7003, "0000c04200", 96.0),
    (51, 7004, "78563412", 305_419_896.0),
]
TIMED = {45: 58, 46: 59, 47: 60, 48: 61, 49: 62, 50: 63, 51: 64}


@pytest.mark.parametrize(("type_id", "ioa", "element", "value"), EVERY_COMMAND)
def test_every_command_is_confirmed_then_terminated(type_id: int, ioa: int, element: str, value: float) -> None:
    talk = Conversation()
    frames = talk.started().asks(asdu(type_id, 6, 1, ioa, element, oa=4))
    assert causes(frames) == "7 10"
    assert {frame.asdu[3:].hex() for frame in frames} == {f"040100{ioa.to_bytes(3, 'little').hex()}{element}"}
    assert [order.value for order in talk.field] == [value]


@pytest.mark.parametrize(("type_id", "ioa", "element", "value"), EVERY_COMMAND)
def test_every_command_with_a_time_tag(type_id: int, ioa: int, element: str, value: float) -> None:
    talk = Conversation(options={"command_max_age_s": 5.0})
    frames = talk.started().asks(asdu(TIMED[type_id], 6, 1, ioa, element + NOON))
    assert causes(frames) == "7 10"
    assert [order.value for order in talk.field] == [value]


@pytest.mark.parametrize(
    ("story", "answers"),
    [
        ([ACCEPTED, COMPLETED], "7 10"),
        ([ACCEPTED, (Stage.FAILED, Reason.DEVICE_LOST)], "7 -10"),
        ([ACCEPTED, (Stage.FAILED, Reason.FEEDBACK)], "7 -10"),
        ([ACCEPTED, (Stage.FAILED, Reason.TIMEOUT)], "7 -10"),
        ([(Stage.REFUSED, Reason.LOCAL)], "-7"),
        ([(Stage.REFUSED, Reason.BLOCKED)], "-7"),
        ([(Stage.REFUSED, Reason.INTERLOCKED)], "-7"),
        ([(Stage.REFUSED, Reason.OUT_OF_RANGE)], "-7"),
        ([(Stage.REFUSED, Reason.BUSY)], "-7"),
        ([(Stage.FAILED, Reason.CORE_LOST)], "-7"),
        ([ACCEPTED], "7"),
        ([], ""),
    ],
)
def test_the_answer_is_the_brokers_word(story: Answered, answers: str) -> None:
    talk = Conversation()
    talk.broker = lambda order: story
    link = talk.started()
    assert causes(link.asks(ON)) == answers


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.OK])
def test_no_reason_of_the_broker_is_ever_a_positive_answer(reason: Reason) -> None:
    for stage, expected in ((Stage.REFUSED, "-7"), (Stage.FAILED, "-7")):
        talk = Conversation()
        talk.broker = lambda order, stage=stage: [(stage, reason)]
        assert causes(talk.started().asks(ON)) == expected


@pytest.mark.parametrize(
    ("element", "pulse"),
    [("01", Pulse.DEFAULT), ("05", Pulse.SHORT), ("09", Pulse.LONG), ("0d", Pulse.PERSISTENT)],
)
def test_the_qualifier_reaches_the_field(element: str, pulse: Pulse) -> None:
    talk = Conversation()
    talk.started().asks(asdu(45, 6, 1, 6001, element))
    assert [order.pulse for order in talk.field] == [pulse]


def test_the_map_says_what_no_qualifier_stands_for() -> None:
    talk = Conversation()
    link = talk.started()
    link.asks(asdu(45, 6, 1, 6004, "01"))
    link.asks(asdu(45, 6, 1, 6004, "0d"))
    assert [order.pulse for order in talk.field] == [Pulse.SHORT, Pulse.PERSISTENT]


@pytest.mark.parametrize(
    ("request_asdu", "reason"),
    [
        (asdu(45, 0x86, 1, 6001, "01"), Reason.TEST),
        (asdu(50, 0x86, 1, 7003, "0000c04200"), Reason.TEST),
        (asdu(45, 6, 1, 6001, "11"), Reason.OUT_OF_RANGE),  # qualifier 4
        (asdu(45, 6, 1, 6001, "7d"), Reason.OUT_OF_RANGE),  # qualifier 31
        (asdu(46, 6, 1, 6002, "00"), Reason.OUT_OF_RANGE),  # state 0
        (asdu(46, 6, 1, 6002, "03"), Reason.OUT_OF_RANGE),  # state 3
        (asdu(47, 6, 1, 6003, "00"), Reason.OUT_OF_RANGE),
        (asdu(50, 6, 1, 7003, "0000c07f00"), Reason.OUT_OF_RANGE),  # NaN
        (asdu(50, 6, 1, 7003, "0100a07f00"), Reason.OUT_OF_RANGE),  # a signalling NaN
        (asdu(50, 6, 1, 7003, "0000807f00"), Reason.OUT_OF_RANGE),  # infinity
        (asdu(50, 6, 1, 7003, "0000c04201"), Reason.OUT_OF_RANGE),  # QL 1
        (asdu(50, 6, 1, 7005, "0000c04200"), Reason.NOT_SELECTED),  # this point wants a select
        (asdu(58, 6, 1, 6001, "01" + "9b4e8d164e0b17"), Reason.EXPIRED),  # its time is marked invalid
        (asdu(58, 6, 1, 6001, "01" + "9b4e0d164e0017"), Reason.EXPIRED),  # its time is none
    ],
)
def test_what_may_not_be_is_refused_with_its_reason_in_the_audit(request_asdu: bytes, reason: Reason) -> None:
    talk = Conversation()
    link = talk.started()
    frames = link.asks(request_asdu)
    assert causes(frames) == "-7"
    assert talk.field == []
    [order] = talk.audit
    assert order.refusal is reason
    assert order.text
    assert frames[0].test == bool(request_asdu[2] & 0x80)


@pytest.mark.parametrize(
    ("age_s", "answers"), [(0.0, "7 10"), (9.0, "7 10"), (11.0, "-7"), (-9.0, "7 10"), (-11.0, "-7")]
)
def test_a_command_older_or_younger_than_allowed_is_refused(age_s: float, answers: str) -> None:
    talk = Conversation(options={"command_max_age_s": 10.0})
    link = talk.started()
    talk.wall_ns += round(age_s * 1e9)
    assert causes(link.asks(asdu(58, 6, 1, 6001, "01" + NOON))) == answers


def test_a_late_command_says_how_late_it_was() -> None:
    talk = Conversation(options={"command_max_age_s": 10.0})
    link = talk.started()
    talk.wall_ns += 60_000_000_000
    link.asks(asdu(58, 6, 1, 6001, "01" + NOON))
    assert "60.000 s old" in talk.audit[0].text


def test_a_master_without_the_right_is_refused_with_a_record() -> None:
    talk = Conversation(master={"commands": False})
    assert causes(talk.started().asks(ON)) == "-7"
    assert [(order.action, order.refusal) for order in talk.audit] == [(Action.EXECUTE, Reason.NOT_AUTHORISED)]


@pytest.mark.parametrize(
    ("request_asdu", "cause"),
    [
        (asdu(45, 5, 1, 6001, "01"), "-45"),
        (asdu(45, 10, 1, 6001, "01"), "-45"),
        (asdu(45, 6, 9, 6001, "01"), "-46"),
        (asdu(45, 6, 0xFFFF, 6001, "01"), "-46"),  # commands take no broadcast
        (asdu(45, 6, 2, 6001, "01"), "-47"),  # at another station
        (asdu(45, 6, 1, 6999, "01"), "-47"),
        (asdu(45, 6, 1, 1001, "01"), "-47"),  # monitored
        (asdu(46, 6, 1, 6001, "01"), "-47"),  # another type
        (asdu(50, 6, 1, 7001, "0000c04200"), "-47"),
    ],
)
def test_unknown_cause_address_and_ioa(request_asdu: bytes, cause: str) -> None:
    talk = Conversation()
    frames = talk.started().asks(request_asdu)
    assert causes(frames) == cause
    assert frames[0].asdu[3:] == request_asdu[3:]
    assert talk.audit == []


def test_two_commands_in_one_asdu_close() -> None:
    link = Conversation().started()
    link.asks(asdu(45, 6, 1, 6001, "01711700" + "01", vsq=2))
    assert "one object, SQ=0 expected" in link.closed


def test_answers_come_as_the_field_answers_and_only_to_the_asker() -> None:
    talk = Conversation(master={"links": 2})
    talk.broker = lambda order: []
    first = talk.started()
    first.asks(ON)
    second = talk.started()
    ticket = talk.audit[0].ticket
    for stage in (Stage.ACCEPTED, Stage.COMPLETED):
        first.session.outcome(ticket, Outcome(id=1, stage=stage))
    assert (first.hears(), second.hears()) == ([], [])


def test_several_commands_are_under_way_and_end_in_another_order() -> None:
    talk = Conversation()
    talk.broker = lambda order: [ACCEPTED]
    link = talk.started()
    link.asks(ON)
    link.asks(asdu(46, 6, 1, 6002, "02"))
    first, second = (order.ticket for order in talk.field)
    for ticket in (second, first):
        link.session.outcome(ticket, Outcome(id=1, stage=Stage.COMPLETED))
    assert [(frame.type_id, frame.cause) for frame in link.told()] == [(46, 10), (45, 10)]


def test_too_many_commands_under_way_are_refused() -> None:
    talk = Conversation()
    talk.broker = lambda order: []
    link = talk.started()
    answers = [causes(link.asks(ON)) for _ in range(300)]
    assert answers[255:258] == ["", "-7", "-7"]
    assert len(talk.audit) == 256


def refuses_off(order: Submit) -> Answered:
    return [(Stage.REFUSED, Reason.LOCAL)] if order.value == 0.0 else [ACCEPTED, COMPLETED]


def test_one_refusal_says_nothing_of_the_next_command() -> None:
    talk = Conversation(lines=[At(ioa=6001, type="C_SC_NA_1", kind=Kind.CONTROL, mode=1)])
    talk.broker = refuses_off
    link = talk.started()
    assert [causes(link.asks(asdu(45, 6, 1, 6001, element))) for element in ("00", "01", "00")] == ["-7", "7 10", "-7"]
