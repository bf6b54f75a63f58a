"""The configuration of Modbus devices: what is accepted, and what is said about the rest."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError

from protocols.modbus.url import parse_url
from tests.kit.modbuskit import compiled, device_rows, line, lines, source

HEAD = "point,kind,table,address,type,order,bit,scale,offset,pulse_ms\n"


def problems(rows: str, **keys: object) -> list[str]:
    _, report = compiled(source(device_rows(HEAD + rows), **keys))
    return [str(problem) for problem in report.problems]


@pytest.mark.parametrize(
    ("row", "place", "words"),
    [
        ("x,analog,input,0,int16,,,0", "column scale", "a scale of 0"),
        ("x,analog,input,0", "column type", "expected a type"),
        ("x,analog,discrete,0", "column table", "analog cannot be carried by the discrete table"),
        ("x,counter,coil,0,bit", "column table", "counter cannot be carried by the coil table"),
        ("x,analog,input,0,bit,,3", "column type", "type bit cannot carry kind analog"),
        ("x,analog,input,0,uint16,,3", "column bit", "one bit cannot carry kind analog"),
        ("x,binary,input,0,float32", "column type", "float32 cannot carry kind binary"),
        ("x,binary,input,0,uint32,,3", "column type", "uint32 cannot carry kind binary"),
        ("x,binary,coil,0,int16", "column type", "the coil table holds bits, not int16"),
        ("x,binary,coil,0,bit,,3", "column bit", "addressed by bit already"),
        ("x,binary,input,0,bit", "column bit", "needs to say which bit"),
        ("x,double,input,0,uint16", "column bit", "expected 0 to 14"),
        ("x,double,input,0,uint16,,15", "column bit", "expected 0 to 14, found 15"),
        ("x,double,input,0,uint16,,0,2", "column scale", "a double has no scale"),
        ("x,binary,input,0,uint16,,0,0.1", "column scale", "a binary has no scale"),
        ("x,setpoint,input,0,int16", "column table", "a setpoint cannot be written to the input table"),
        ("x,control,discrete,0", "column table", "a control cannot be written to the discrete table"),
        ("x,setpoint,coil,0", "column table", "setpoint cannot be carried by the coil table"),
        ("x,analog,input,65535,float32", "column address", "beyond the last address, 65535"),
        ("x,double,discrete,65535", "column address", "beyond the last address, 65535"),
    ],
)
def test_a_row_that_cannot_be_is_told_with_its_cell(row: str, place: str, words: str) -> None:
    (problem,) = problems(row)
    assert problem.startswith(f"dev.csv, row 2, {place}: dev/x: "), problem
    assert words in problem


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("x,analog,input,0,int16,CDAB", "warning: dev/x: a single register has no word order"),
        ("x,binary,coil,0,bit,DCBA", "warning: dev/x: the coil table has no byte order"),
        ("x,counter,input,0,float32", "warning: dev/x: a counter in float32"),
        ("x,setpoint,holding,0,int16,,,,,100", "warning: dev/x: a setpoint is not pulsed"),
    ],
)
def test_what_the_engineer_should_know_is_a_warning(row: str, words: str) -> None:
    (problem,) = problems(row)
    assert words in problem


def test_two_points_at_one_address_are_both_named() -> None:
    (problem,) = problems("a,analog,input,0x10,int16\nb,analog,input,16,int16")
    assert problem == (
        "dev.csv, row 3, column address: dev/b and dev/a (dev.csv, row 2) are both at input 16; "
        "expected different addresses"
    )


def test_several_uses_of_one_register_are_no_duplicate() -> None:
    rows = """a,binary,holding,1,uint16,,0
              b,binary,holding,1,uint16,,1
              c,double,holding,1,uint16,,0
              d,control,holding,1,uint16,,0
              e,analog,holding,1,uint16
              f,setpoint,holding,1,uint16"""
    assert problems(rows) == []


def test_all_problems_at_once() -> None:
    assert len(problems("a,analog,input,0,int16,,,0\nb,setpoint,input,1,int16\nc,double,input,2,uint16,,15")) == 3


def test_a_value_wider_than_a_read() -> None:
    (problem,) = problems("x,analog,input,0,float64", max_read_registers=2)
    assert "float64 is wider than max_read_registers (2) of dev" in problem


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"address": "40x"}, "expected an address"),
        ({"address": "65536"}, "less than or equal to 65535"),
        ({"bit": "16"}, "less than or equal to 15"),
        ({"scan_ms": "1"}, "greater than or equal to 10"),
        ({"typ": "int16"}, "Extra inputs"),
    ],
)
def test_a_cell_that_cannot_be_read(cells: dict[str, str], words: str) -> None:
    row = {"point": "x", "kind": "analog", "table": "input", "address": "0", "type": "int16"} | cells
    with pytest.raises(ValidationError, match=words):
        source([row])


def test_cells_may_be_blank_and_of_either_case() -> None:
    text = HEAD + "x,analog,Input,0X1f,INT16,cdab,,,,"
    row = source(device_rows(text)).rows[0].settings
    assert (row.table, row.address, row.type, row.order, row.bit) == ("input", 31, "int16", "CDAB", None)


def test_the_scan_of_a_row_sets_its_age() -> None:
    device = source(
        device_rows("point,kind,table,address,type,scan_ms\na,analog,input,0,int16,\nb,analog,input,1,int16,50")
    )
    assert [row.settings.scan_s(device.settings) for row in device.rows] == [1.0, 0.05]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://10.0.0.5", "tcp://10.0.0.5:502"),
        ("tcp://[fe80::1]:1502", "tcp://[fe80::1]:1502"),
        ("rtuovertcp://moxa:4001", "rtuovertcp://moxa:4001"),
        ("rtu:///dev/ttyUSB0?baudrate=9600&parity=n&stopbits=2", "rtu:///dev/ttyUSB0"),
    ],
)
def test_urls(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("udp://10.0.0.5", "expected tcp://host:port"),
        ("tcp://", "expected tcp://host:port"),
        ("tcp://h:99999", "not a number from 0 to 65535"),
        ("rtu://dev/ttyS0", "three slashes"),
        ("rtu:///dev/ttyS0?baud=9600", "unknown setting 'baud' of a serial line \\(did you mean baudrate\\?\\)"),
        ("rtu:///dev/ttyS0?baudrate=fast", "baudrate is 'fast', expected bits per second"),
        ("rtu:///dev/ttyS0?parity=Q", "parity is 'Q', expected N, E or O"),
    ],
)
def test_a_url_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_url(text)


ONE = "point,kind,table,address,type\nx,analog,input,0,int16"


def test_units_behind_one_gateway_share_a_plan() -> None:
    plan = lines(
        source(device_rows(ONE), name="a", url="tcp://gw:502", unit=1),
        source(device_rows(ONE), first_row=1, name="b", url="tcp://GW", unit=2),
    )
    assert plan.devices == ["a", "b"]
    assert plan.rows.tolist() == [0, 1]
    assert pickle.loads(pickle.dumps(plan)).url == plan.url


def test_two_devices_of_one_unit_are_told() -> None:
    _, report = compiled(
        source(device_rows(ONE), name="a", url="tcp://gw:502", unit=1),
        source(device_rows(ONE), first_row=1, name="b", url="tcp://gw", unit=1),
    )
    assert ["unit 1 of tcp://gw:502 is already taken" in str(problem) for problem in report.errors] == [True]


def test_a_line_with_two_minds_and_a_broadcast_unit_are_told() -> None:
    _, report = compiled(
        source(device_rows(ONE), name="a", url="rtu:///dev/ttyS0?baudrate=9600", unit=0),
        source(device_rows(ONE), first_row=1, name="b", url="rtu:///dev/ttyS0?baudrate=19200", unit=2),
    )
    told = "\n".join(str(problem) for problem in report.errors)
    assert "unit 0 cannot be asked on a serial line; expected 1 to 247" in told
    assert "share the line /dev/ttyS0 but give it different settings" in told


def test_a_device_without_rows_is_a_plan_without_reads() -> None:
    assert len(line("point,kind,table,address,type").rows) == 0
