"""`gridgate probe`: registers in every type and byte order."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from gateway.__main__ import main
from protocols.modbus.plan import Table
from protocols.modbus.simulator import ModbusSimulator
from tests.kit.background import played
from tests.kit.modbuskit import line

_MAP = """
point,kind,table,address,type,order
voltage,analog,holding,10,float32,CDAB
power,analog,holding,12,int16,
energy,counter,holding,13,uint64,
closed,binary,coil,3,bit,
"""


def meter() -> ModbusSimulator:
    plan = line(_MAP)
    simulator = ModbusSimulator(plan)
    simulator.set(plan.rows, np.array([230.5, -1.0, 123_456.0, 1.0]))
    return simulator


def url(simulator: ModbusSimulator) -> str:
    return f"tcp://127.0.0.1:{simulator.url.port}"


def test_each_address_in_all_types_and_orders(capsys: pytest.CaptureFixture[str]) -> None:
    with played(meter()) as simulator:
        assert main(["probe", url(simulator), "--from", "10", "--count", "7", "--json"]) == 0
    found = {each["address"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
    low, high = struct.unpack(">2s2s", struct.pack(">f", 230.5))
    assert found[10]["hex"] == high.hex() and found[11]["hex"] == low.hex()
    assert found[10]["values"]["float32"]["CDAB"] == 230.5
    assert found[10]["values"]["uint32"]["ABCD"] == int.from_bytes(high + low, "big")
    assert found[10]["values"]["uint32"]["BADC"] == int.from_bytes(high[::-1] + low[::-1], "big")
    assert found[10]["values"]["uint32"]["DCBA"] == int.from_bytes(low[::-1] + high[::-1], "big")
    assert found[12]["values"]["int16"] == {"ABCD": -1, "BADC": -1}
    assert found[12]["values"]["uint16"]["ABCD"] == 65535
    assert found[13]["values"]["uint64"]["ABCD"] == 123_456
    assert found[13]["values"]["uint64"]["CDAB"] == 123_456 << 48 & 0xFFFF << 48 | 1 << 32
    assert list(found) == [10, 11, 12, 13, 14, 15, 16]
    assert "int64" not in found[14]["values"], "the device ends before it does"


def test_the_table_is_read_by_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    with played(meter()) as simulator:
        simulator.refuse(Table.HOLDING, 12)
        assert main(["probe", url(simulator), "--from", "0xa", "--count", "3"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["address", "hex", "text", "type", "ABCD", "CDAB", "BADC", "DCBA"]
    assert [line.split()[:2] for line in told if "float32" in line and " 230.5 " in line]
    assert told[-1].strip() == "12  exception 2 (illegal data address)"


def test_bits(capsys: pytest.CaptureFixture[str]) -> None:
    with played(meter()) as simulator:
        assert main(["probe", url(simulator), "--table", "coil", "--from", "3", "--count", "1"]) == 0
        assert simulator.written() == []
    assert capsys.readouterr().out.split() == ["3", "1"]


def test_what_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with played(meter()) as simulator:
        assert main(["probe", url(simulator), "--from", "500", "--count", "2"]) == 1
        assert main(["probe", url(simulator), "--unit", "9", "--timeout", "0.1"]) == 1
    told = capsys.readouterr()
    assert told.out.count("exception 2 (illegal data address)") == 2
    assert "no answer within 0.1 s" in told.err
    assert main(["probe", "tcp://127.0.0.1:1", "--timeout", "0.5"]) == 1
    with pytest.raises(SystemExit):
        main(["probe", "tcp://127.0.0.1:1", "--from", "65535", "--count", "2"])
