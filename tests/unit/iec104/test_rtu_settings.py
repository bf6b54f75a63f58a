"""What an engineer gets wrong in an RTU's map or keys is said at its place, and nothing starts."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from protocols.iec104.field.settings import SETTINGS
from tests.kit.rtukit import compiled, rtu, source

HEAD = "point,kind,ca,ioa,type,bit,scale,low,high,mode,pulse,end\n"

WRONG = [
    ("p,analog,1,1,M_ME_XX_1,,,,,,,", "type", "is no type identification of a point"),
    ("p,analog,0,1,M_ME_NC_1,,,,,,,", "ca", "1 to 65534 expected"),
    ("p,analog,1,16777216,M_ME_NC_1,,,,,,,", "ioa", "1 to 16777215 expected"),
    ("p,analog,1,1,M_SP_TB_1,,,,,,,", "type", "carries binary"),
    ("p,binary,1,1,M_ME_NC_1,,,,,,,", "type", "carries analog or counter"),
    ("p,setpoint,1,1,C_SC_NA_1,,,,,,,", "type", "carries control"),
    ("p,binary,1,1,M_BO_NA_1,32,,,,,,", "bit", "0 to 31 expected"),
    ("p,binary,1,1,M_SP_NA_1,0,,,,,,", "bit", "no bits"),
    ("p,analog,1,1,M_BO_NA_1,1,,,,,,", "kind", "is a binary"),
    ("p,analog,1,1,M_ME_NA_1,,,,,,,", "low", "low and high are needed"),
    ("p,analog,1,1,M_ME_NA_1,,2,0,1,,,", "scale", "spans low to high"),
    ("p,analog,1,1,M_ME_NC_1,,0,,,,,", "scale", "scale is 0"),
    ("p,binary,1,1,M_SP_NA_1,,2,,,,,", "scale", "has no scale"),
    ("p,analog,1,1,M_ME_NC_1,,,,,direct,,", "mode", "is for commands"),
    ("p,control,1,1,C_SC_NA_1,,,,,both,,", "mode", "direct or select expected"),
    ("p,control,1,1,C_SC_NA_1,,,,,,longer,", "pulse", "short or long or persistent expected"),
    ("p,setpoint,1,1,C_SE_NC_1,,,,,,long,", "pulse", "has no pulses"),
    ("p,setpoint,1,1,C_BO_NA_1,,,,,select,,", "mode", "cannot be selected"),
    ("p,setpoint,1,1,C_SE_NC_1,,,,,,,soon", "end", "confirmation or termination expected"),
]


@pytest.mark.parametrize(("row", "column", "words"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_row_is_named_with_its_column(row: str, column: str, words: str) -> None:
    _, report = compiled(source(HEAD + row))
    problems = [str(problem) for problem in report.errors]
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"rtu.csv, row 2, column {column}: rtu1/p: ") and words in problems[0]


def test_one_address_is_one_point_but_bits_share_it() -> None:
    rows = "a,binary,1,1,M_BO_NA_1,0,,,,,,\nb,binary,1,1,M_BO_NA_1,1,,,,,,\nc,binary,1,1,M_BO_NA_1,1,,,,,,"
    _, report = compiled(source(HEAD + rows))
    (problem,) = report.errors
    assert "is rtu1/b already" in str(problem)


def test_a_command_may_have_the_address_of_its_measured_twin() -> None:
    rtu(HEAD + "a,binary,1,1,M_SP_TB_1,,,,,,,\nb,control,1,1,C_SC_NA_1,,,,,,,")


@pytest.mark.parametrize("url", ["127.0.0.1:2404", "tcp://", "udp://127.0.0.1", "tcp://127.0.0.1:x", "tcp://h/path"])
def test_a_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"tcp://host|not a number"):
        source(HEAD, url=url)


def test_keys_that_contradict_are_told() -> None:
    one, two = source(HEAD, time_zone="Asia/Kolkatta", apci={"t1_s": 5, "t2_s": 6, "k": 6}), source(HEAD, name="rtu2")
    _, report = compiled(one, two)
    words = " | ".join(str(problem) for problem in report.problems)
    assert "did you mean Asia/Kolkata" in words
    assert "t2_s is 6" in words and "at most two thirds of k" in words
    assert "used by another device too" in words


def test_the_default_port_and_one_url_or_several() -> None:
    assert rtu(HEAD, url="tcp://rtu").addresses == (("rtu", 2404),)
    assert rtu(HEAD, url=["tcp://a:1", "tcp://[::1]"]).addresses == (("a", 1), ("::1", 2404))


def test_ages_follow_what_is_asked_for() -> None:
    device = source(HEAD, interrogation_s=60, counter_s=30).settings
    row = SETTINGS.row_model
    kinds = {"M_ME_TF_1": 60.0, "M_IT_TB_1": 30.0, "M_EP_TD_1": None}
    for type_, expected in kinds.items():
        assert row(point="p", kind="analog", ca=1, ioa=1, type=type_).scan_s(device) == expected
    quiet = source(HEAD, interrogation_s=0, counters="none").settings
    assert row(point="p", kind="analog", ca=1, ioa=1, type="M_ME_TF_1").scan_s(quiet) is None
    assert row(point="p", kind="counter", ca=1, ioa=1, type="M_IT_TB_1").scan_s(quiet) is None


def test_a_plan_survives_the_way_to_the_core() -> None:
    plan = rtu(HEAD + "a,analog,1,1,M_ME_TF_1,,,,,,,\nb,control,1,1,C_SC_NA_1,,,,,,,")
    again = pickle.loads(pickle.dumps(plan))
    assert [order.name for order in again.orders] == ["rtu1/b"] and again.points.names == plan.points.names
