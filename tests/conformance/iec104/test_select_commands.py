"""Select before execute: what holds a select, what it is good for, and what ends it."""

from __future__ import annotations

import pytest

from gateway.contracts import Action, Outcome, Reason, Stage
from tests.conformance.iec104.conversation import NOON, STOPDT, Conversation, causes
from tests.peers.raw104 import asdu

SELECT, EXECUTE = asdu(50, 6, 1, 7005, "0000c04280"), asdu(50, 6, 1, 7005, "0000c04200")
DESELECT = asdu(50, 8, 1, 7005, "0000c04280")
OTHER_VALUE = asdu(50, 6, 1, 7005, "0000c14200")


def play(*says: bytes) -> tuple[str, Conversation]:
    """Answers to each, joined by commas."""
    talk = Conversation()
    link = talk.started()
    return ", ".join(causes(link.asks(each)) for each in says), talk


@pytest.mark.parametrize(
    ("says", "hears", "reaches"),
    [
        ([SELECT, EXECUTE], "7, 7 10", 1),
        ([EXECUTE], "-7", 0),  # nothing selected
        ([SELECT, EXECUTE, EXECUTE], "7, 7 10, -7", 1),  # good for one
        ([SELECT, SELECT, EXECUTE], "7, 7, 7 10", 1),  # selecting again renews
        ([SELECT, OTHER_VALUE, EXECUTE], "7, -7, -7", 0),  # another value, and the select is gone
        ([SELECT, asdu(50, 6, 1, 7005, "0000c04200", oa=5), EXECUTE], "7, -7, 7 10", 1),  # another's execute
        ([SELECT, DESELECT, EXECUTE], "7, 9, -7", 0),
        ([DESELECT], "-9", 0),
        ([SELECT, asdu(50, 8, 1, 7005, "0000c04280", oa=5), EXECUTE], "7, -9, 7 10", 1),  # another's deselect
        ([SELECT, asdu(50, 0x88, 1, 7005, "0000c04280"), EXECUTE], "7, -9, 7 10", 1),  # a test deselect
        ([SELECT, asdu(50, 0x86, 1, 7005, "0000c04200"), EXECUTE], "7, -7, 7 10", 1),  # a test execute
        ([asdu(50, 0x86, 1, 7005, "0000c04280"), EXECUTE], "-7, -7", 0),  # a test select
        ([asdu(50, 6, 1, 7005, "0000c04280", oa=5), SELECT, EXECUTE], "7, -7, -7", 0),  # held by another originator
        ([asdu(45, 6, 1, 6001, "81"), asdu(45, 6, 1, 6001, "00")], "7, -7", 0),  # off instead of on
        ([asdu(45, 6, 1, 6001, "81"), asdu(45, 6, 1, 6001, "05")], "7, -7", 0),  # another qualifier
        ([asdu(45, 6, 1, 6001, "85"), asdu(45, 6, 1, 6001, "05")], "7, 7 10", 1),
        ([asdu(46, 6, 1, 6002, "82"), asdu(46, 6, 1, 6002, "02")], "7, 7 10", 1),
        ([asdu(47, 6, 1, 6003, "82"), asdu(47, 6, 1, 6003, "02")], "7, 7 10", 1),
        ([asdu(48, 6, 1, 7001, "004080"), asdu(48, 6, 1, 7001, "004000")], "7, 7 10", 1),
        ([asdu(49, 6, 1, 7002, "9cff80"), asdu(49, 6, 1, 7002, "9cff00")], "7, 7 10", 1),
        ([asdu(58, 6, 1, 6001, "81" + NOON), asdu(58, 6, 1, 6001, "01" + NOON)], "7, 7 10", 1),
        ([asdu(45, 6, 1, 6004, "81")], "-7", 0),  # this point is commanded directly only
        ([asdu(50, 6, 1, 7005, "0000c07f80")], "-7", 0),  # a NaN is not selected
        ([asdu(50, 6, 9, 7005, "0000c04280")], "-46", 0),
        ([asdu(50, 6, 1, 7999, "0000c04280")], "-47", 0),
    ],
)
def test_select_and_what_follows(says: list[bytes], hears: str, reaches: int) -> None:
    answers, talk = play(*says)
    assert answers == hears
    assert len(talk.field) == reaches


def test_a_select_is_confirmed_without_a_termination_and_moves_nothing() -> None:
    answers, talk = play(SELECT)
    assert answers == "7"
    assert [order.action for order in talk.audit] == [Action.SELECT]


def test_selects_and_cancels_are_in_the_audit() -> None:
    _, talk = play(SELECT, DESELECT, DESELECT, EXECUTE)
    assert [(order.action, order.refusal) for order in talk.audit] == [
        (Action.SELECT, Reason.OK),
        (Action.CANCEL, Reason.OK),
        (Action.CANCEL, Reason.NOT_SELECTED),
        (Action.EXECUTE, Reason.NOT_SELECTED),
    ]


@pytest.mark.parametrize("reason", [Reason.LOCAL, Reason.BLOCKED, Reason.INTERLOCKED, Reason.OUT_OF_RANGE])
def test_a_select_that_the_broker_refuses_holds_nothing(reason: Reason) -> None:
    talk = Conversation()
    link = talk.started()
    talk.broker = lambda order: [(Stage.REFUSED, reason)]
    assert causes(link.asks(SELECT)) == "-7"
    talk.broker = lambda order: [(Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)]
    assert causes(link.asks(EXECUTE)) == "-7"
    assert talk.field == []


def test_nothing_is_executed_on_a_select_that_is_not_confirmed_yet() -> None:
    talk = Conversation()
    link = talk.started()
    talk.broker = lambda order: []
    assert causes(link.asks(SELECT)) == ""
    assert causes(link.asks(EXECUTE)) == "-7"
    assert [order.refusal for order in talk.audit] == [Reason.OK, Reason.NOT_SELECTED]
    # the broker's word on the select comes too late: the execute has ended it
    for stage in (Stage.ACCEPTED, Stage.COMPLETED):
        link.session.outcome(talk.audit[0].ticket, Outcome(id=1, stage=stage))
    assert causes(link.told()) == "-7"


def test_a_select_expires() -> None:
    talk = Conversation(options={"select_timeout_s": 10.0})
    link = talk.started()
    assert causes(link.asks(SELECT)) == "7"
    link.waits(9.9)
    assert causes(link.asks(EXECUTE)) == "7 10"
    link.asks(SELECT)
    link.waits(10.0)
    assert causes(link.asks(EXECUTE)) == "-7"


def test_an_expired_select_is_free_for_another() -> None:
    talk = Conversation(options={"select_timeout_s": 10.0})
    link = talk.started()
    link.asks(SELECT)
    link.waits(10.0)
    assert causes(link.asks(asdu(50, 6, 1, 7005, "0000c04280", oa=5))) == "7"


def test_a_select_dies_with_its_link() -> None:
    talk = Conversation()
    first = talk.started()
    first.asks(SELECT)
    first.ends()
    assert causes(talk.started().asks(EXECUTE)) == "-7"


def test_a_select_does_not_move_to_another_link_of_the_group() -> None:
    talk = Conversation(master={"links": 2})
    talk.started().asks(SELECT)
    assert causes(talk.started().asks(EXECUTE)) == "-7"


def test_a_select_dies_with_stopdt() -> None:
    talk = Conversation()
    link = talk.started()
    link.asks(SELECT)
    link.acknowledges()
    link.says(STOPDT, "680407000000")
    assert causes(link.asks(EXECUTE)) == "-7"


def test_a_bit_string_has_no_select() -> None:
    answers, talk = play(asdu(51, 6, 1, 7004, "01000080"))
    assert answers == "7 10"
    assert [order.value for order in talk.field] == [float(0x80000001)]


def test_a_master_without_the_right_selects_nothing() -> None:
    talk = Conversation(master={"commands": False})
    assert causes(talk.started().asks(SELECT)) == "-7"
    assert talk.audit[0].refusal is Reason.NOT_AUTHORISED
