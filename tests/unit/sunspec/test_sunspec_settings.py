"""What a SunSpec map must be, in the words of its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.sunspeckit import compiled

HEAD = "point,kind,model,field,scale,enable,revert_s\n"

WRONG = {
    "p,analog,109,W,,,": ("model", "there is no definition of model 109"),
    "p,analog,103,Watt,,,": ("field", "has no field Watt"),
    "p,analog,103,DCVolt,,,": ("field", "did you mean DCV?"),
    "p,analog,160,module.DCV,,,": ("field", "module repeats; expected module[0]"),
    "p,analog,704,PFWInj[0].PF,,,": ("field", "PFWInj does not repeat"),
    "p,binary,103,Evt1.NOTHING,,,": ("field", "no such bit"),
    "p,binary,103,Evt1.32,,,": ("field", "expected a name or 0 to 31"),
    "p,binary,103,St.RUNNING,,,": ("field", "expected one of OFF, SLEEPING"),
    "p,binary,103,W,,,": ("field", "a whole int16 is no binary"),
    "p,analog,103,Evt1.3,,,": ("field", "a state carries no analog"),
    "p,double,103,St,,,": ("field", "no double points"),
    "p,analog,1,Mn,,,": ("field", "Mn is a text"),
    "p,setpoint,103,W,,,": ("field", "W cannot be written"),
    "p,setpoint,123,Conn.CONNECT,,,": ("field", "a state is written by a control"),
    "p,control,123,OutPFSet,,,": ("field", "int16 takes a setpoint"),
    "p,analog,123,WMaxLimPct,,,60": ("revert_s", "is no command with a reversion time"),
    "p,setpoint,121,WMax,,,60": ("revert_s", "is no command with a reversion time"),
    "p,control,123,WMaxLim_Ena,,true,": ("enable", "is no command with a flag"),
    "p,binary,103,Evt1.1,2,,": ("scale", "a binary has no scale"),
}


@pytest.mark.parametrize("row", WRONG)
def test_a_wrong_row_is_told_with_its_column(row: str) -> None:
    column, words = WRONG[row]
    _, report = compiled(HEAD + row)
    (problem,) = report.errors
    assert str(problem.place) == f"inv.csv, row 2, column {column}"
    assert words in problem.message


def test_a_field_may_begin_with_its_model() -> None:
    plans, report = compiled(HEAD + "v,analog,803,803.string[3].StrSoC,,,")
    assert not report.problems
    assert str(plans[0].units[0].points[0]) == "803 string[3].StrSoC"


def test_two_rows_of_one_field_are_told() -> None:
    _, report = compiled(HEAD + "a,analog,103,W,,,\nb,analog,103,W,,,")
    assert "inv/b and inv/a (inv.csv, row 2) are both 103 W" in report.errors[0].message


def test_reading_and_commanding_one_field_are_two_uses_of_it() -> None:
    _, report = compiled(HEAD + "a,analog,123,WMaxLimPct,,,\nb,setpoint,123,WMaxLimPct,,true,30")
    assert not report.problems


def test_the_shipped_map_is_right() -> None:
    text = (Path(__file__).parents[3] / "pointmaps" / "devices" / "sunspec_inverter.csv").read_text()
    plans, report = compiled("\n".join(row for row in text.splitlines() if not row.startswith("#")))
    assert not report.problems
    assert len(plans[0].rows) == 25
