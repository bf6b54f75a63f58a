"""What the configuration of a CAN device may not be, each told with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.kit.cankit import CYCLES, compiled, device, foxbms, own_channel, source, write_dbc
from tests.kit.modbuskit import device_rows

DBC = """
BO_ 256 Pack: 8 BMS
 SG_ Voltage : 0|16@1- (0.1,0) [0|0] "V" GW
 SG_ Sound : 16|1@1+ (1,0) [0|0] "" GW
 SG_ Mode : 20|4@1+ (1,0) [0|0] "" GW
 SG_ Odd : 24|24@1- (1,0) [0|0] "" GW
BO_ 257 Cells: 8 BMS
 SG_ Select M : 0|8@1+ (1,0) [0|0] "" GW
 SG_ A m0 : 8|16@1+ (1,0) [0|0] "" GW
 SG_ B m1 : 8|16@1+ (1,0) [0|0] "" GW
 SG_ BGood m1 : 32|1@1+ (1,0) [0|0] "" GW
BO_ 513 Orders: 8 GW
 SG_ Select M : 0|8@1+ (1,0) [0|0] "" BMS
 SG_ Power m3 : 16|16@1- (0.1,0) [-100|100] "kW" BMS
 SG_ Request : 32|2@1+ (1,0) [0|0] "" BMS
 SG_ Count : 36|4@1+ (1,0) [0|0] "" BMS
 SG_ Check : 60|4@1+ (1,0) [0|0] "" BMS
"""
TAIL = (
    'VAL_ 256 Mode 0 "Open" 1 "Closed" ;\nVAL_ 513 Request 1 "Open" 2 "Close" ;\n'
    f"{CYCLES}"
    'BA_ "GenMsgCycleTime" BO_ 256 100;\nSIG_VALTYPE_ 256 Odd : 1;\n'
)
HEAD = "point,kind,message,signal,scale,offset,on,off,valid,invalid\n"
SENDING: dict[str, Any] = {"listen_only": False}


@pytest.fixture
def dbc(tmp_path: Path) -> Path:
    return write_dbc(tmp_path, DBC, TAIL)


def problems(dbc: Path, row: str, **keys: Any) -> list[str]:
    _, report = compiled(source(dbc, device_rows(HEAD + row), **keys))
    return [str(problem) for problem in report.problems]


@pytest.mark.parametrize(
    ("row", "want"),
    [
        ("p,analog,pack,Voltage", "row 2, column message: bms/p: no message is called pack (did you mean Pack?)"),
        ("p,analog,Pack,Voltag", "column signal: bms/p: message Pack has no signal Voltag (did you mean Voltage?)"),
        ("p,analog,Pack,Odd", "column signal: bms/p: Odd is a floating point number of 24 bits"),
        ("p,double,Pack,Mode", "column signal: bms/p: a double is an unsigned signal of 2 bits"),
        (
            "p,binary,Pack,Mode,,,Shut",
            "column on: bms/p: 'Shut' is neither a raw number nor in the value table of Mode",
        ),
        ("p,binary,Pack,Mode,,,16", "column on: bms/p: 16 does not fit into the 4 bits"),
        ("p,binary,Pack,Mode,,,1|2,2", "column off: bms/p: raw value 2 cannot mean both"),
        ("p,binary,Pack,Mode,-1,1,1", "column scale: bms/p: a point read by states has no scale"),
        ("p,analog,Pack,Mode,,,1", "column on: bms/p: only a binary, double or control has states"),
        ("p,binary,Pack,Sound,2", "column scale: bms/p: a binary has no scale"),
        ("p,double,Pack,Mode,2,,", "a double has no scale"),
        ("p,analog,Pack,Voltage,,,,,Gone", "column valid: bms/p: message Pack has no signal Gone"),
        ("p,analog,Cells,A,,,,,BGood", "column valid: bms/p: BGood is not in every frame that carries A"),
        ("p,setpoint,Pack,Voltage", "column kind: bms/p: a setpoint needs a bus that may be written to"),
    ],
)
def test_rows(dbc: Path, row: str, want: str) -> None:
    (found,) = problems(dbc, row)
    assert want in found


@pytest.mark.parametrize(
    ("row", "entry", "want"),
    [
        ("p,setpoint,Orders,Request", None, "Orders is not in transmit of device bms"),
        ("p,setpoint,Orders,Request,,,,,Count", None, "column valid: bms/p: a setpoint is sent, not read"),
        ("p,control,Orders,Request,,,Close", {}, "column off: bms/p: a control is given both states or none"),
        ("p,setpoint,Orders,Power", {}, "Power is multiplexed: values must set Select (to 3)"),
        ("p,setpoint,Orders,Power", {"values": {"Select": 2}}, "Power is multiplexed"),
        ("", {"message": "Order"}, "no message is called Order (did you mean Orders?)"),
        ("", {"counter": "Counter"}, "has no signal Counter (did you mean Count?)"),
        ("p,setpoint,Orders,Count", {"counter": "Count"}, "the counter Count is also a commanded point"),
        ("", {"counter": "Count", "values": {"Count": 1}}, "the counter Count is filled by the gateway"),
        ("", {"checksum": {"signal": "Check", "method": "xor8"}}, "Check is not one whole byte"),
        ("", {"values": {"Request": "Shut"}}, "'Shut' is not in the value table of Request"),
        ("", {"values": {"Request": 4}}, "Request: raw value 4 does not fit into 2 bits"),
        ("", {"stop": {"Power": 1}}, "Power is multiplexed"),
    ],
)
def test_what_is_sent(dbc: Path, row: str, entry: dict[str, Any] | None, want: str) -> None:
    transmit = [] if entry is None else [{"message": "Orders"} | entry]
    found = problems(dbc, row, transmit=transmit, **SENDING)
    assert len(found) == 1
    assert want in found[0]


def test_sending_on_a_bus_that_is_only_listened_to(dbc: Path) -> None:
    (found,) = problems(dbc, "", transmit=[{"message": "Orders"}])
    assert "set listen_only: false" in found


def test_one_message_is_sent_by_one_entry(dbc: Path) -> None:
    (found,) = problems(dbc, "", transmit=[{"message": "Orders"}, {"message": "Orders"}], **SENDING)
    assert "sent on this bus already" in found


@pytest.mark.parametrize(
    ("content", "want"),
    [
        (None, "cannot be read: No such file"),
        (b"point,kind\npower,analog\n", "not readable as DBC"),
        (b"\x00\xff" * 50, "not readable as DBC"),
    ],
)
def test_a_dbc_that_is_none_does_not_start(tmp_path: Path, content: bytes | None, want: str) -> None:
    path = tmp_path / "bad.dbc"
    if content is not None:
        path.write_bytes(content)
    (found,) = problems(path, "p,analog,Pack,Voltage")
    assert found.startswith(f"site.yaml, line 5: {path}: {want}")


def test_a_dbc_with_overlapping_signals_is_used_with_a_warning(tmp_path: Path) -> None:
    text = 'BO_ 1 M: 8 B\n SG_ A : 0|16@1+ (1,0) [0|0] "" G\n SG_ B : 8|16@1+ (1,0) [0|0] "" G\n'
    plans, report = compiled(source(write_dbc(tmp_path, text), device_rows(HEAD + "a,analog,M,A\nb,analog,M,B")))
    (warning,) = report.problems
    assert not warning.fatal
    assert "overlap" in warning.message
    assert len(plans[0].bindings) == 2


@pytest.mark.parametrize(
    ("keys", "want"),
    [
        ({"interface": "socketcam"}, "did you mean socketcan?"),
        ({"transmit": [{"message": "M", "checksum": {"signal": "S", "method": "md5"}}]}, "expected one of xor8"),
        ({"cycle_ms": {"Pack": 0}}, "greater than or equal to 1"),
        ({"filters": "some"}, "'all' or 'mapped'"),
    ],
)
def test_keys(dbc: Path, keys: dict[str, Any], want: str) -> None:
    with pytest.raises(ValidationError, match=want.replace("?", r"\?")):
        source(dbc, [], **keys)


def test_devices_of_one_bus_agree_on_how_it_is_opened(dbc: Path) -> None:
    channel = own_channel()
    _, report = compiled(
        source(dbc, [], name="one", channel=channel, bitrate=250_000),
        source(dbc, [], name="two", channel=channel, bitrate=500_000, options={"bitrate": 1}),
    )
    found = [str(problem) for problem in report.problems]
    assert any("device two and one" in line and "bitrate differs" in line for line in found)
    assert any("bitrate is not an option" in line for line in found)


def test_ages_come_from_the_dbc_the_device_or_the_default(dbc: Path) -> None:
    rows = device_rows(HEAD + "v,analog,Pack,Voltage\na,analog,Cells,A\nr,setpoint,Orders,Request")
    plain = source(dbc, rows)
    assert [row.settings.scan_s(plain.settings) for row in plain.rows] == [0.1, 1.0, None]
    own = source(dbc, rows, cycle_ms={"Pack": 250}, default_cycle_ms=500)
    assert [row.settings.scan_s(own.settings) for row in own.rows] == [0.25, 0.5, None]
    assert (
        source(dbc.parent / "none.dbc", rows).rows[0].settings.scan_s(source(dbc.parent / "none.dbc", rows).settings)
        is None
    )


def test_silence_is_three_cycles_of_the_quickest_message_but_a_second_at_least(dbc: Path) -> None:
    text = HEAD + "v,analog,Pack,Voltage\na,analog,Cells,A"
    assert device(dbc, text).members[0].silent_s == 1.0
    assert device(dbc, text, cycle_ms={"Pack": 500}).members[0].silent_s == 1.5
    assert device(dbc, text, silent_ms=400).members[0].silent_s == 0.4


def test_filters_and_an_offset_of_all_identifiers(dbc: Path) -> None:
    text = HEAD + "v,analog,Pack,Voltage"
    assert device(dbc, text).access.filters == ()
    assert device(dbc, text, filters="mapped", id_offset=16).access.filters == ((0x110, 0x7FF, False),)
    plan = device(dbc, text, filters=[{"id": 0x100, "mask": 0x700}, {"id": 0x18FF0000, "extended": True}])
    assert plan.access.filters == ((0x100, 0x700, False), (0x18FF0000, 0x1FFFFFFF, True))


def test_the_cycle_of_a_message_that_is_not_there(dbc: Path) -> None:
    (found,) = problems(dbc, "", cycle_ms={"Pck": 5})
    assert "no message is called Pck (did you mean Pack?)" in found


def test_foxbms_loads_in_a_moment_and_once() -> None:
    device(foxbms(), "point,kind,message,signal\nsoc,analog,f_PackStateEstimation,MinimumSoc")
