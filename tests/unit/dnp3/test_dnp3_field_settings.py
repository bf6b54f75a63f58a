"""What an engineer gets wrong in an outstation's map or keys is said at its place, and nothing starts."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from gateway.contracts import Pulse
from protocols.dnp3.field.orders import Verdict, objects_of, verdict_of
from protocols.dnp3.iin import NO_IIN, Iin
from tests.kit.dnp3fieldkit import compiled, line, source

HEAD = "point,kind,type,index,scale,mode,control,on_ms,command\n"
WRONG = [
    ("p,analog,XX,1,,,,,", "type", "BI, DBI"),
    ("p,analog,AI,65536,,,,,", "index", "0 to 65535 expected"),
    ("p,analog,BI,1,,,,,", "type", "carries binary"),
    ("p,setpoint,AI,1,,,,,", "type", "carries analog or counter"),
    ("p,analog,AI,1,0,,,,", "scale", "scale is 0"),
    ("p,binary,BI,1,2,,,,", "scale", "has no scale"),
    ("p,analog,AI,1,,direct,,,", "mode", "does not go with"),
    ("p,control,BO,1,,both,,,", "mode", "direct or select expected"),
    ("p,control,BO,1,,,push,,", "control", "latch or pulse or trip_close expected"),
    ("p,control,BO,1,,,latch,50,", "on_ms", "pulse"),
    ("p,setpoint,AO,1,,,,,g41v9", "command", "g41v1"),
    ("p,analog,AI,1,,,,,\nq,analog,AI,1,,,,,", "index", "is rtu1/p already"),
]


@pytest.mark.parametrize(("rows", "column", "words"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_row_is_named_with_its_column(rows: str, column: str, words: str) -> None:
    _, report = compiled(source(HEAD + rows))
    (problem,) = report.errors
    assert problem.place.column == column and words in problem.message


@pytest.mark.parametrize("url", ["rtu", "udp://a:1", "tcp://", "tcp://a:99999", "tcp://a/b"])
def test_a_wrong_url_is_told(url: str) -> None:
    with pytest.raises(ValidationError):
        source(HEAD + "p,analog,AI,1,,,,,", url=url)


def test_devices_at_one_url_share_a_connection_and_no_address() -> None:
    text = HEAD + "p,analog,AI,1,,,,,"
    plans, report = compiled(
        source(text), source(text, 1, name="b", outstation=11), source(text, 2, name="c", url="tcp://10.0.0.1")
    )
    assert [plan.devices for plan in plans] == [["rtu1", "b"], ["c"]] and not report.errors
    assert plans[1].address == ("10.0.0.1", 20_000)
    assert pickle.loads(pickle.dumps(plans[0])).devices == ["rtu1", "b"]
    _, report = compiled(source(text), source(text, 1, name="b"))
    assert "outstation 10 at tcp://127.0.0.1:0 is rtu1 already" in report.errors[0].message


def test_nothing_that_tells_changes_is_warned_of() -> None:
    _, report = compiled(source(HEAD + "p,analog,AI,1,,,,,", event_poll_s=0))
    assert "changes wait for integrity_s" in report.warnings[0].message


def test_what_a_command_says_octet_by_octet() -> None:
    rows = "a,control,BO,5,,,,,\nb,control,BO,300,,,trip_close,250,\nc,setpoint,AO,1,0.5,,,,g41v2\nd,setpoint,AO,2,,,,,"
    (station,) = line(source(HEAD + rows)).stations
    latch, breaker, small, float_ = station.orders
    assert objects_of(latch, 1.0, Pulse.DEFAULT).hex() == "0c011701" + "05" + "0301" + "00000000" * 2 + "00"
    assert objects_of(breaker, 0.0, Pulse.DEFAULT).hex() == (
        "0c01280100" + "2c01" + "8101" + "fa000000" + "fa000000" + "00"
    )
    assert objects_of(small, 150.0, Pulse.DEFAULT).hex() == "29021701" + "01" + "2c01" + "00"
    assert objects_of(float_, 1.5, Pulse.DEFAULT).hex() == "29031701" + "02" + "0000c03f" + "00"
    with pytest.raises(ValueError, match="does not fit"):
        objects_of(small, 1e6, Pulse.DEFAULT)


def test_what_an_answer_means() -> None:
    asked = bytes.fromhex("29021701" + "01" + "2c01" + "00")
    assert verdict_of(1, asked, asked, NO_IIN).verdict is Verdict.DONE
    refused = verdict_of(1, asked, asked[:-1] + b"\x07", NO_IIN)
    assert (refused.verdict, refused.text) == (Verdict.REFUSED, "the outstation answers local (7)")
    assert verdict_of(1, asked, asked[:-1] + b"\x12", NO_IIN).verdict is Verdict.LOST
    assert verdict_of(1, asked, b"", Iin.NO_FUNC_CODE_SUPPORT).verdict is Verdict.REFUSED
    assert verdict_of(1, asked, b"", NO_IIN).verdict is Verdict.LOST
    assert verdict_of(1, asked, asked[:4] + b"\x02" + asked[5:], NO_IIN).verdict is Verdict.LOST
