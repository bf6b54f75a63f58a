"""Commands of our controlling side to a raw RTU, frame by frame; the clocks are the test's."""

from __future__ import annotations

import pytest

from gateway.contracts import Pulse
from protocols.iec104.field.orders import Done, Verdict
from tests.kit.rtutalk import RECEIVED, Talk, started
from tests.peers.raw104 import asdu

# -- commands ---------------------------------------------------------------------------------------------------


def test_a_direct_command_is_done_when_it_is_terminated() -> None:
    talk = started()
    assert talk.command("run", 1.0) == []
    (sent,) = talk.sent()
    assert sent == asdu(45, 6, 1, 11, "05"), "on, short pulse as the map has it"
    assert talk.says(asdu(45, 7, 1, 11, "05")) == []
    assert talk.says(asdu(45, 10, 1, 11, "05")) == [Done(1, Verdict.DONE)]


def test_a_select_is_confirmed_before_it_is_executed() -> None:
    talk = started()
    talk.command("close", 1.0, Pulse.LONG)
    assert talk.sent() == [asdu(46, 6, 1, 12, "8a")]
    assert talk.says(asdu(46, 7, 1, 12, "8a")) == []
    assert talk.sent() == [asdu(46, 6, 1, 12, "0a")]
    assert talk.says(asdu(46, 7, 1, 12, "0a")) == [Done(1, Verdict.DONE)]
    assert talk.says(asdu(46, 10, 1, 12, "0a")) == [], "nobody asked for the end"


@pytest.mark.parametrize("cause", [44, 45, 46, 47, 7 | 0x40])
def test_a_refused_select_says_why_and_executes_nothing(cause: int) -> None:
    talk = started()
    talk.command("close", 1.0)
    talk.sent()
    (done,) = talk.says(asdu(46, cause, 1, 12, "82"))
    assert isinstance(done, Done) and done.verdict is Verdict.REFUSED and done.text
    assert talk.sent() == []


def test_silence_after_a_select_is_lost_and_deactivates_it() -> None:
    talk = started(command_timeout_s=2)
    talk.command("close", 1.0)
    talk.sent()
    (done,) = talk.session.on_time(2.0, RECEIVED)
    assert isinstance(done, Done) and done.verdict is Verdict.LOST and "confirmation of the select" in done.text
    assert talk.sent() == [asdu(46, 8, 1, 12, "82")]
    assert talk.says(asdu(46, 9, 1, 12, "82")) == []


def test_a_select_nobody_waits_for_any_more_is_deactivated_and_a_command_is_not() -> None:
    talk = started()
    talk.command("close", 1.0)
    talk.sent()
    talk.session.cancel(1, 0.0, RECEIVED)
    assert talk.sent() == [asdu(46, 8, 1, 12, "82")]
    talk.command("run", 1.0, ticket=2)
    talk.sent()
    talk.session.cancel(2, 0.0, RECEIVED)
    assert talk.sent() == []
    assert talk.says(asdu(45, 7, 1, 11, "05")) == [] and talk.counters["stray_answers"] == 1


def test_a_set_point_is_scaled_and_another_confirmed_value_is_no_yes() -> None:
    talk = started()
    talk.command("limit", 10.0)
    (sent,) = talk.sent()
    assert sent == asdu(50, 6, 1, 13, "00 00 a0 41 00")
    (done,) = talk.says(asdu(50, 7, 1, 13, "00 00 80 3f 00"))
    assert isinstance(done, Done) and done.verdict is Verdict.REFUSED and "confirmed 1 where 20" in done.text


def test_a_negative_end_is_refused() -> None:
    talk = started()
    talk.command("run", 0.0)
    talk.sent()
    talk.says(asdu(45, 7, 1, 11, "04"))
    (done,) = talk.says(asdu(45, 10 | 0x40, 1, 11, "04"))
    assert isinstance(done, Done) and done.verdict is Verdict.REFUSED


def test_a_broken_link_loses_what_is_under_way() -> None:
    talk = started()
    talk.command("run", 1.0)
    assert talk.session.lose("cut") == [Done(1, Verdict.LOST, "cut")]


TYPED = "point,kind,ca,ioa,type,low,high\np,{kind},1,1,{type},-100,100\n"


@pytest.mark.parametrize(
    ("kind", "type_", "value", "octets"),
    [
        ("control", "C_SC_TA_1", 1.0, "01"),
        ("control", "C_DC_TA_1", 0.0, "01"),
        ("control", "C_RC_NA_1", 1.0, "02"),
        ("setpoint", "C_SE_NA_1", 50.0, "00 40 00"),
        ("setpoint", "C_SE_TB_1", -7.0, "f9 ff 00"),
        ("setpoint", "C_SE_TC_1", 1.5, "00 00 c0 3f 00"),
        ("setpoint", "C_BO_TA_1", 66.0, "42 00 00 00"),
    ],
)
def test_every_command_type_with_and_without_time(kind: str, type_: str, value: float, octets: str) -> None:
    talk = Talk(TYPED.format(kind=kind, type=type_))
    talk.start()
    talk.session.command(1, talk.plan.orders[0], value, Pulse.DEFAULT, 0.0, RECEIVED)
    (sent,) = talk.sent()
    tag = "14 50 0d 16 4e 0b 17" if "TA" in type_ or "TB" in type_ or "TC" in type_ else ""
    assert sent[9:] == bytes.fromhex(octets + tag)
    talk.says(sent[:2] + b"\x07" + sent[3:])
    assert talk.says(sent[:2] + b"\x0a" + sent[3:]) == [Done(1, Verdict.DONE)]


@pytest.mark.parametrize(("type_", "value"), [("C_SE_NA_1", 101.0), ("C_SE_NB_1", 4e4), ("C_SE_NC_1", 1e39)])
def test_what_a_set_point_cannot_say_is_refused_before_it_is_sent(type_: str, value: float) -> None:
    talk = Talk(TYPED.format(kind="setpoint", type=type_))
    talk.start()
    (done,) = talk.session.command(1, talk.plan.orders[0], value, Pulse.DEFAULT, 0.0, RECEIVED)
    assert isinstance(done, Done) and done.verdict is Verdict.REFUSED
    assert talk.sent() == []
