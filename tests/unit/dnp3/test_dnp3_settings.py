"""What the engineer may write, and what is said about the rest: each mistake at its row and column."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config import load_site
from gateway.contracts.places import Place, Report
from gateway.contracts.settings import MasterRowSource, MasterSource, ServerSource
from gateway.points import Kind, Point, PointCatalogue
from protocols.dnp3 import GRID
from protocols.dnp3.plan import Controls, Mode, SerialPlan, ServerPlan, UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from protocols.dnp3.settings import SETTINGS, Dnp3MasterSettings, Dnp3Row, Dnp3ServerSettings

POINTS = [
    Point(row=0, name="power", kind=Kind.ANALOG, low=-1200, high=1200),
    Point(row=1, name="frequency", kind=Kind.ANALOG),
    Point(row=2, name="fault", kind=Kind.BINARY),
    Point(row=3, name="breaker", kind=Kind.DOUBLE),
    Point(row=4, name="energy", kind=Kind.COUNTER),
    Point(row=5, name="setpoint", kind=Kind.SETPOINT, low=-1000, high=1000),
    Point(row=6, name="run", kind=Kind.CONTROL),
    Point(row=7, name="imported", kind=Kind.COUNTER),
    Point(row=8, name="system/master/rldc/main/online", kind=Kind.BINARY),
    Point(row=9, name="system/master/rldc/main/overflow", kind=Kind.BINARY),
]
CATALOGUE = PointCatalogue.of(POINTS)
SITE = Place("site.yaml", 10)


def master(*rows: str, name: str = "main", **keys: object) -> MasterSource:
    """Rows as `point,type,index,column=value,...`."""
    keys = {"addresses": ["10.0.0.1"], "map": "m.csv", "address": 1, **keys}
    sources = []
    for number, text in enumerate(rows, 2):
        point, type_name, index, *rest = text.split(",")
        cells: dict[str, Any] = dict(cell.split("=") for cell in rest)
        settings = Dnp3Row.model_validate({"point": point, "type": type_name, "index": index, **cells})
        sources.append(MasterRowSource(settings, CATALOGUE.rows[point], Place("m.csv", number, row=True)))
    places = {key: Place("site.yaml", 12 + i) for i, key in enumerate(keys)}
    return MasterSource(Dnp3MasterSettings.model_validate({"name": name, **keys}), sources, SITE, places)


def compile_server(*masters: MasterSource, **keys: object) -> tuple[ServerPlan, Report]:
    keys = {"name": "rldc", "protocol": "dnp3", "listen": "127.0.0.1:20000", "outstation": 10, **keys}
    places = {name: Place("site.yaml", 20 + i) for i, name in enumerate(keys)}
    report = Report()
    settings = Dnp3ServerSettings.model_validate(keys)
    return SETTINGS.compile(ServerSource(settings, list(masters), SITE, places), CATALOGUE, report), report


def problems(report: Report) -> list[str]:
    return [str(problem) for problem in report.problems]


EXAMPLE = [
    "power,AI,0,class=2,static=g30v5,event=g32v7,deadband=5",
    "frequency,AI,1,class=1,static=g30v5,event=g32v7,deadband=0.01",
    "energy,CTR,0,class=3,static=g20v1,event=g22v5",
    "fault,BI,0,class=1,static=g1v2,event=g2v2",
    "breaker,DBI,0,class=1,static=g3v2,event=g4v2",
    "setpoint,AO,0,class=2,static=g40v3,event=g42v7,mode=select",
    "run,BO,0,class=1,static=g10v2,event=g11v2,mode=direct|select",
]


def test_the_example_map_compiles() -> None:
    plan, report = compile_server(master(*EXAMPLE, commands=True, unsolicited={"classes": [1, 2, 3]}))
    assert problems(report) == []
    (made,) = plan.masters
    columns = made.bindings
    assert [T(kind).name for kind in columns.type] == ["BI", "DBI", "BO", "CTR", "AI", "AI", "AO"]
    assert columns.index.tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert columns.event_class.tolist() == [1, 1, 1, 3, 2, 1, 2]
    assert columns.static_var.tolist() == [2, 2, 2, 1, 5, 5, 3]
    assert columns.event_var.tolist() == [2, 2, 2, 5, 7, 7, 7]
    assert columns.mode.tolist() == [0, 0, Mode.DIRECT | Mode.SELECT, 0, 0, 0, Mode.SELECT]
    assert columns.limit[4:6].tolist() == [5.0, 0.01] and math.isnan(columns.limit[0])
    assert (made.address, made.outstation, made.addresses) == (1, 10, ("10.0.0.1",))
    assert made.unsolicited == UnsolicitedPlan(classes=(1, 2, 3))
    assert plan.commands["main"].tolist() == [5, 6]
    assert (plan.listen, plan.system["main"].online, plan.system["main"].overflow) == (("127.0.0.1", 20000), 8, 9)
    assert pickle.loads(pickle.dumps(plan)).masters[0].bindings.index.tolist() == columns.index.tolist()


def test_only_point_type_and_index_are_needed() -> None:
    plan, report = compile_server(master("power,AI,3", "run,BO,1", "energy,FCTR,2"))
    assert problems(report) == []
    columns = plan.masters[0].bindings
    assert columns.event_class.tolist() == [0, 0, 0] and columns.class_0.all()
    assert columns.static_var.tolist() == [2, 5, 5]
    assert columns.mode.tolist() == [Mode.DIRECT, 0, 0]
    assert columns.controls.tolist() == [Controls.LATCH | Controls.PULSE | Controls.TRIP_CLOSE, 0, 0]
    assert columns.scale.tolist() == [1.0] * 3 and not columns.newest_only.any()
    assert plan.commands["main"].tolist() == []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("power,AX,0", "row 2, column type: type 'AX' is none of DNP3: BI, DBI, BO, CTR, FCTR"),
        ("power,AI,65536", "row 2, column index: index is 65536: 0 to 65535 expected"),
        ("power,AI,-1", "row 2, column index: index is -1: 0 to 65535 expected"),
        ("power,BI,0", "row 2, column type: BI carries binary or control; power is analog (for example AI, FAI)"),
        (
            "fault,AI,0",
            "row 2, column type: AI carries analog or counter or setpoint; fault is binary",
        ),
        ("power,AI,0,class=4", "row 2, column class: class is 4: 0 (no events) to 3 expected"),
        ("power,AI,0,static=g30v9", "row 2, column static: static is 'g30v9': AI is carried by g30v1, g30v2, g30v3"),
        ("power,AI,0,class=1,event=g2v1", "row 2, column event: event is 'g2v1': AI is carried by g32v1, g32v2"),
        ("power,AI,0,static=5", "row 2, column static: static is '5': AI is carried by"),
        ("power,AI,0,class=1,deadband=-1", "row 2, column deadband: deadband is -1: 0 or more expected"),
        ("fault,BI,0,class=1,deadband=1", "row 2, column deadband: fault is a binary input: a deadband is for"),
        ("frequency,AI,0,class=1,deadband_percent=1", "row 2, column deadband_percent: percent of what?"),
        ("power,AI,0,class=1,deadband=1,deadband_percent=1", "column deadband_percent: deadband and deadband_percent"),
        ("power,AI,0,scale=0", "row 2, column scale: scale is 0: a number other than 0 expected"),
        ("fault,BI,0,scale=2", "row 2, column scale: fault is binary: scale and offset are for numbers"),
        ("power,AI,0,mode=select", "row 2, column mode: AI is not commanded: mode is for BO and AO"),
        ("run,BO,0,mode=sbo", "row 2, column mode: mode is 'sbo': direct, select or direct|select expected"),
        ("run,BO,0,control=latch|puls", "row 2, column control: control 'puls' is none of latch|pulse|trip_close (did"),
        ("setpoint,AO,0,control=latch", "row 2, column control: AO takes no CROB: control is for BO"),
        ("power,AI,0,class=1,events=newst", "row 2, column events: events is 'newst': sequence or newest expected"),
        (
            "run,BO,0,command_event=g43v1",
            "column command_event: command_event is 'g43v1': BO is carried by g13v1",
        ),
        ("power,AI,0,command_event=g13v1", "row 2, column command_event: AI is not commanded"),
    ],
)
def test_each_mistake_is_told_with_its_place(row: str, problem: str) -> None:
    _, report = compile_server(master(row))
    assert len(report.errors) == 1, problems(report)
    assert problem in problems(report)[0]


def test_events_without_a_class_are_a_warning() -> None:
    _, report = compile_server(master("power,AI,0,deadband=1"))
    assert report.errors == [] and "no class of events" in problems(report)[0]


def test_an_index_stands_once_per_type() -> None:
    _, report = compile_server(master("power,AI,0", "frequency,AI,0", "fault,BI,0"))
    assert problems(report) == ["m.csv, row 3, column index: frequency and power (m.csv, row 2) are both AI 0"]


def test_a_frozen_counter_is_that_of_the_running_one() -> None:
    _, report = compile_server(master("energy,CTR,0", "imported,FCTR,0"))
    assert "FCTR 0 is imported, but CTR 0 is energy" in problems(report)[0]
    _, report = compile_server(master("energy,CTR,0", "energy,FCTR,0", "imported,FCTR,1"))
    assert problems(report) == []


def test_percent_becomes_a_limit_and_cells_columns() -> None:
    plan, report = compile_server(
        master(
            "power,AI,0,class=1,deadband_percent=1,events=newest,scale=0.1,offset=-5,class0=false",
            "run,BO,0,control=latch|trip_close,command_event=g13v2",
        )
    )
    assert problems(report) == []
    columns = plan.masters[0].bindings
    assert (columns.limit[1], columns.newest_only[1], columns.scale[1], columns.offset[1]) == (24.0, True, 0.1, -5.0)
    assert not columns.class_0[1]
    assert (columns.controls[0], columns.command_event_var[0]) == (Controls.LATCH | Controls.TRIP_CLOSE, 2)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"listen": "20000"}, "line 22: listen is '20000': an address and a port expected"),
        ({"listen": "127.0.0.1:0"}, "listen is '127.0.0.1:0'"),
        ({"serial": "ttyS0"}, "serial is 'ttyS0': a device expected"),
        ({"serial": "/dev/ttyS0?baud=9600"}, "serial: baud=9600 is none of baudrate=9600, bytesize=7|8"),
        ({"tls": {"certificate": "a", "key": "b", "ca": "c"}}, "tls certificate: no file"),
    ],
)
def test_wrong_keys_of_a_server(keys: dict[str, object], problem: str) -> None:
    _, report = compile_server(master("power,AI,0"), **keys)
    assert any(problem in text for text in problems(report)), problems(report)


def test_a_serial_line_and_a_dialled_master_need_no_listener() -> None:
    plan, report = compile_server(
        master("power,AI,0", addresses=[]), listen="", serial="serial:///dev/ttyS1?baudrate=19200&parity=E&stopbits=2"
    )
    assert problems(report) == []
    assert plan.serial == SerialPlan(path="/dev/ttyS1", baudrate=19_200, parity="E", stopbits=2)
    assert plan.masters[0].serial and plan.listen is None
    plan, report = compile_server(master("power,AI,0", addresses=[], dial="[::1]:20000"), listen="")
    assert problems(report) == [] and plan.masters[0].dial == ("::1", 20000)


def test_a_master_must_be_reachable_and_told_apart() -> None:
    _, report = compile_server(master("power,AI,0"), listen="")
    assert any("nowhere to meet a master" in text for text in problems(report))
    _, report = compile_server(master("power,AI,0", addresses=[]))
    assert "master main cannot be reached" in problems(report)[0]
    twice = [master("power,AI,0"), master("power,AI,0", name="other", addresses=["10.0.0.0/24"])]
    _, report = compile_server(*twice)
    assert "masters main and other both have link address 1, outstation 10" in problems(report)[0]
    apart = [master("power,AI,0"), master("power,AI,0", name="other", outstation=11)]
    plan, report = compile_server(*apart)
    assert problems(report) == [] and [made.outstation for made in plan.masters] == [10, 11]


def test_keys_become_the_plan() -> None:
    plan, report = compile_server(
        master("power,AI,0", events={"capacity": 100, "class_2": 7}, unsolicited={"classes": [3, 1], "retries": 5}),
        time_sync={"need": True, "every_s": 60},
        restart="session",
        freeze_and_clear="refuse",
        device={"name": "bess-1"},
        octet_strings=["a", "b"],
        max_controls=4,
    )
    assert problems(report) == []
    (made,) = plan.masters
    parameters = made.parameters
    assert made.capacity == (100, 7, 100)
    assert made.unsolicited is not None and (made.unsolicited.classes, made.unsolicited.retries) == ((1, 3), 5)
    assert (parameters.need_time_s, parameters.restart, parameters.clear_counters) == (60.0, True, False)
    assert dict(parameters.attributes) == {247: "bess-1", 250: "GridGate", 252: "GridGate"}
    assert (parameters.octet_strings, parameters.max_controls) == (("a", "b"), 4)


@pytest.mark.parametrize(
    "keys",
    [
        {"outstation": 65_520},
        {"fragment_size": 100},
        {"confirm_timeout_s": 0},
        {"restart": "yes"},
        {"device": {"name": "größer"}},
        {"device": {"nam": "x"}},
        {"octet_strings": ["x" * 201]},
        {"outstations": 1},
    ],
)
def test_what_a_server_model_refuses(keys: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Dnp3ServerSettings.model_validate(
            {"name": "rldc", "protocol": "dnp3", "listen": "127.0.0.1:20000", "outstation": 10, **keys}
        )


def test_what_a_master_model_refuses() -> None:
    keys = {"name": "main", "map": "m.csv", "address": 1}
    for wrong in ({"address": -1}, {"unsolicited": {"classes": [0]}}, {"events": {"capacity": 0}}, {"links": 2}):
        with pytest.raises(ValidationError):
            Dnp3MasterSettings.model_validate({**keys, **wrong})


def test_the_package_names_what_it_offers() -> None:
    assert GRID.settings == "protocols.dnp3.settings:SETTINGS"
    assert GRID.server == "protocols.dnp3.server:Dnp3Server"


def test_servers_that_do_not_listen_are_not_in_each_others_way(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("point,kind,table,address,type\npower,analog,input,0,int16\n")
    (tmp_path / "m.csv").write_text("point,type,index\nbess1/power,AI,0\n")
    server = """
  - {name: %s, protocol: dnp3, outstation: 10, masters: [{name: m, address: 1, dial: "10.0.0.%d:20000", map: m.csv}]}"""
    (tmp_path / "site.yaml").write_text(
        "site: here\ndevices:\n  - {name: pcs, driver: modbus, url: 'tcp://127.0.0.1:502', map: d.csv, prefix: bess1}\n"
        "servers:" + server % ("one", 1) + server % ("two", 2)
    )
    plan = load_site(tmp_path / "site.yaml")
    assert [entry.plan.masters[0].dial for entry in plan.servers] == [("10.0.0.1", 20000), ("10.0.0.2", 20000)]
