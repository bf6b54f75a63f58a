"""What the engineer may write, and what is said about the rest: each mistake at its row and column."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import MasterRowSource, MasterSource, ServerSource
from gateway.points import Kind, Point, PointCatalogue
from protocols.iec104 import GRID
from protocols.iec104.plan import Mode, ServerPlan
from protocols.iec104.settings import SETTINGS, Iec104MasterSettings, Iec104Row, Iec104ServerSettings

POINTS = [
    Point(row=0, name="power", kind=Kind.ANALOG, low=-1200, high=1200),
    Point(row=1, name="frequency", kind=Kind.ANALOG),
    Point(row=2, name="fault", kind=Kind.BINARY),
    Point(row=3, name="breaker", kind=Kind.DOUBLE),
    Point(row=4, name="energy", kind=Kind.COUNTER),
    Point(row=5, name="setpoint", kind=Kind.SETPOINT, low=-1000, high=1000),
    Point(row=6, name="run", kind=Kind.CONTROL),
    Point(row=7, name="system/master/sldc/main/online", kind=Kind.BINARY),
    Point(row=8, name="system/master/sldc/main/events_lost", kind=Kind.COUNTER),
]
CATALOGUE = PointCatalogue.of(POINTS)
SITE = Place("site.yaml", 10)


def master(*rows: str, name: str = "main", **keys: object) -> MasterSource:
    """Rows as `point,ca,ioa,type,column=value,...`."""
    keys = {"addresses": ["10.0.0.1"], "map": "m.csv", **keys}
    sources = []
    for number, text in enumerate(rows, 2):
        point, ca, ioa, type_name, *rest = text.split(",")
        cells = dict(cell.split("=") for cell in rest)
        settings = Iec104Row.model_validate({"point": point, "ca": ca, "ioa": ioa, "type": type_name, **cells})
        sources.append(MasterRowSource(settings, CATALOGUE.rows[point], Place("m.csv", number, row=True)))
    places = {"addresses": Place("site.yaml", 12), "map": Place("site.yaml", 13)}
    return MasterSource(Iec104MasterSettings.model_validate({"name": name, **keys}), sources, SITE, places)


def compile_server(*masters: MasterSource, **keys: object) -> tuple[ServerPlan, Report]:
    keys = {"name": "sldc", "protocol": "iec104", "listen": "127.0.0.1:2404", **keys}
    places = {name: Place("site.yaml", 20 + i) for i, name in enumerate(keys)}
    report = Report()
    settings = Iec104ServerSettings.model_validate(keys)
    return SETTINGS.compile(ServerSource(settings, list(masters), SITE, places), CATALOGUE, report), report


def problems(report: Report) -> list[str]:
    return [str(problem) for problem in report.problems]


def test_the_example_map_compiles() -> None:
    plan, report = compile_server(
        master(
            "power,1,4001,M_ME_TF_1,group=1,deadband=5",
            "frequency,1,4003,M_ME_TF,deadband=0.01,cyclic=10s",
            "energy,1,5001,M_IT_TB_1",
            "fault,1,1001,M_SP_TB_1,group=2",
            "breaker,1,2001,M_DP_TB_1,group=2",
            "setpoint,1,7001,C_SE_NC_1,mode=select",
            "run,1,6001,C_SC_NA_1,mode=direct|select",
            commands=True,
            links=2,
        ),
        apci={"k": 12, "w": 8, "t1_s": 15, "t2_s": 10, "t3_s": 20},
        time_zone="Asia/Kolkata",
    )
    assert problems(report) == []
    bindings = plan.masters[0].bindings
    assert bindings.ioa.tolist() == [1001, 2001, 4001, 4003, 5001, 6001, 7001]
    assert bindings.event_type.tolist() == [30, 31, 36, 36, 37, 45, 50]
    assert bindings.static_type.tolist() == [1, 3, 13, 13, 15, 45, 50]
    assert bindings.mode.tolist() == [0, 0, 0, 0, 0, Mode.DIRECT | Mode.SELECT, Mode.SELECT]
    assert bindings.cyclic_s[3] == 10
    assert bindings.limit[2] == 5
    assert math.isnan(bindings.limit[0])
    assert plan.commands["main"].tolist() == [5, 6]
    assert (plan.host, plan.port, plan.time_zone) == ("127.0.0.1", 2404, "Asia/Kolkata")
    assert (plan.system["main"].online, plan.system["main"].events_waiting, plan.system["main"].events_lost) == (
        7,
        -1,
        8,
    )
    assert pickle.loads(pickle.dumps(plan)).masters[0].name == "main"


def test_a_percent_deadband_is_of_the_range() -> None:
    plan, report = compile_server(master("power,1,1,M_ME_TF_1,deadband_percent=1"))
    assert problems(report) == []
    assert plan.masters[0].bindings.limit.tolist() == [24.0]


def test_a_master_without_the_right_commands_nothing() -> None:
    plan, _ = compile_server(master("run,1,1,C_SC_NA_1"))
    assert plan.commands["main"].tolist() == []


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        ("fault,1,1,M_ME_TF_1", "type", "M_ME_TF_1 carries analog or counter; fault is binary"),
        ("power,1,1,C_SE_NC_1", "type", "C_SE_NC_1 carries setpoint; power is analog"),
        ("run,1,1,M_SP_TB_1", "type", "M_SP_TB_1 carries binary; run is control"),
        ("power,1,1,M_ME_TG_1", "type", "did you mean M_ME_T"),
        ("power,1,1,C_IC_NA_1", "type", "no type identification of a point"),
        ("power,0,1,M_ME_TF_1", "ca", "ca is 0: 1 to 65534"),
        ("power,65535,1,M_ME_TF_1", "ca", "ca is 65535"),
        ("power,1,0,M_ME_TF_1", "ioa", "ioa is 0: 1 to 16777215"),
        ("power,1,16777216,M_ME_TF_1", "ioa", "ioa is 16777216"),
        ("power,1,1,M_ME_TF_1,group=17", "group", "1 to 16"),
        ("energy,1,1,M_IT_TB_1,group=5", "group", "1 to 4"),
        ("run,1,1,C_SC_NA_1,group=1", "group", "is a command"),
        ("power,1,1,M_ME_TF_1,deadband=-1", "deadband", "0 or more"),
        ("fault,1,1,M_SP_TB_1,deadband=1", "deadband", "fault is binary"),
        ("power,1,1,M_ME_TF_1,deadband=1,deadband_percent=1", "deadband_percent", "both given"),
        ("frequency,1,1,M_ME_TF_1,deadband_percent=1", "deadband_percent", "needs low and high"),
        ("frequency,1,1,M_ME_TD_1", "type", "needs low and high"),
        ("power,1,1,M_ME_TF_1,cyclic=often", "cyclic", "such as 10s"),
        ("power,1,1,M_ME_TF_1,cyclic=1ms", "cyclic", "100ms or more"),
        ("power,1,1,M_ME_TF_1,mode=direct", "mode", "mode is for commands"),
        ("run,1,1,C_SC_NA_1,mode=selct", "mode", "did you mean select"),
        ("setpoint,1,1,C_BO_NA_1,mode=select", "mode", "cannot be selected"),
        ("power,1,1,M_ME_TF_1,background=now", "background", "such as 10s"),
        ("run,1,1,C_SC_NA_1,background=10s", "background", "is a command"),
        ("run,1,1,C_SC_NA_1,pulse=shrt", "pulse", "did you mean short"),
        ("setpoint,1,1,C_SE_NC_1,pulse=short", "pulse", "has no pulse"),
        ("power,1,1,M_ME_TF_1,pulse=short", "pulse", "has no pulse"),
    ],
)
def test_a_mistake_is_told_at_its_row_and_column(row: str, column: str, words: str) -> None:
    _, report = compile_server(master("breaker,1,99,M_DP_TB_1", row))
    [problem] = report.errors
    assert str(problem.place) == f"m.csv, row 3, column {column}"
    assert words in problem.message


def test_two_points_on_one_address_are_both_named() -> None:
    _, report = compile_server(master("power,1,7,M_ME_TF_1", "fault,1,7,M_SP_TB_1"))
    assert problems(report) == ["m.csv, row 3, column ioa: fault and power (m.csv, row 2) are both at ca 1, ioa 7"]


def test_one_ioa_at_two_common_addresses_is_fine() -> None:
    assert compile_server(master("power,1,7,M_ME_TF_1", "fault,2,7,M_SP_TB_1"))[1].problems == []


def test_masters_that_cannot_be_told_apart() -> None:
    one = master("power,1,1,M_ME_TF_1", addresses=["10.0.0.0/24"])
    two = master("power,1,1,M_ME_TF_1", name="other", addresses=["::1", "10.0.0.7"])
    [problem] = compile_server(one, two)[1].errors
    assert "10.0.0.7/32 overlaps 10.0.0.0/24 of master main" in problem.message


@pytest.mark.parametrize("listen", ["2404", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", ":2404", "::1:2404"])
def test_a_listen_address_that_is_none(listen: str) -> None:
    [problem] = compile_server(master("power,1,1,M_ME_TF_1"), listen=listen)[1].errors
    assert "127.0.0.1:2404" in problem.message


def test_ipv6_is_written_in_brackets() -> None:
    plan, report = compile_server(master("power,1,1,M_ME_TF_1"), listen="[::1]:2404")
    assert (plan.host, plan.port, problems(report)) == ("::1", 2404, [])


def test_a_time_zone_that_is_none() -> None:
    [problem] = compile_server(master("power,1,1,M_ME_TF_1"), time_zone="Asia/Kolkatta")[1].errors
    assert "did you mean Asia/Kolkata" in problem.message


def test_windows_and_timers_that_do_not_fit_together() -> None:
    _, report = compile_server(master("power,1,1,M_ME_TF_1"), apci={"k": 12, "w": 9, "t1_s": 10, "t2_s": 10})
    assert [problem.message for problem in report.errors] == ["t2_s is 10: less than t1_s, which is 10, expected"]
    assert [problem.message for problem in report.warnings] == [
        "w is 9: at most two thirds of k, which is 12, recommended"
    ]


@pytest.mark.parametrize("apci", [{"k": 0}, {"w": 32768}, {"t1_s": 0}, {"t3_s": 200000}, {"t4_s": 1}])
def test_windows_and_timers_outside_the_standard(apci: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        compile_server(apci=apci)


def test_what_is_honest_but_doubtful_is_warned_of() -> None:
    _, report = compile_server(master("power,1,1,M_ME_ND_1", "fault,1,2,M_SP_TA_1"))
    assert report.errors == []
    assert len(report.warnings) == 2


def test_an_empty_map_is_warned_of() -> None:
    _, report = compile_server(master())
    assert "will see nothing" in report.warnings[0].message


def test_tls_files_must_exist(tmp_path: Path) -> None:
    (tmp_path / "gw.pem").write_text("")
    settings = Iec104ServerSettings.model_validate(
        {
            "name": "sldc",
            "protocol": "iec104",
            "listen": "127.0.0.1:2404",
            "tls": {"certificate": "gw.pem", "key": "gw.key", "ca": "ca.pem"},
        }
    )
    report = Report()
    source = ServerSource(settings, [master("power,1,1,M_ME_TF_1")], Place(str(tmp_path / "site.yaml"), 1))
    SETTINGS.compile(source, CATALOGUE, report)
    assert [problem.message.split(":")[0] for problem in report.errors] == ["tls key", "tls ca"]


def test_a_hundred_thousand_bindings_stay_small() -> None:
    row = Iec104Row.model_validate({"point": "power", "ca": 1, "ioa": 1, "type": "M_ME_TF_1"})
    place = Place("m.csv", 2, row=True)
    rows = [MasterRowSource(row.model_copy(update={"ioa": ioa}), 0, place) for ioa in np.arange(1, 100_001).tolist()]
    settings = Iec104MasterSettings.model_validate({"name": "main", "addresses": ["10.0.0.1"], "map": "m.csv"})
    plan, report = compile_server(MasterSource(settings, rows, SITE))
    assert report.problems == []
    assert len(pickle.dumps(plan)) < 4_000_000


def test_the_package_names_its_parts() -> None:
    assert GRID.settings == "protocols.iec104.settings:SETTINGS"


def test_background_and_pulse_are_compiled() -> None:
    plan, report = compile_server(
        master("fault,1,1,M_SP_TB_1,background=5min", "run,1,2,C_SC_NA_1,pulse=long"), end_of_initialisation=False
    )
    assert problems(report) == []
    columns = plan.masters[0].bindings
    assert columns.background_s.tolist() == [300.0, 0.0]
    assert columns.pulse.tolist() == [0, 2]
    assert plan.end_of_initialisation is False


@pytest.mark.parametrize(
    "row", ["fault,1,1,M_SP_TB_1,cyclic=10s", "energy,1,1,M_IT_TB_1,cyclic=10s", "energy,1,1,M_IT_TB_1,background=10s"]
)
def test_a_cause_that_the_type_does_not_have_is_warned_of(row: str) -> None:
    _, report = compile_server(master(row))
    assert report.errors == []
    [warning] = report.warnings
    assert "is not a type for cause" in warning.message


@pytest.mark.parametrize(
    ("sync", "right", "words"),
    [
        ("confirm", False, None),
        ("offset", True, None),
        ("system", True, None),
        ("offset", False, "no master has clock: true"),
        ("confirm", True, "has no effect while clock_sync is confirm"),
    ],
)
def test_a_clock_and_the_right_to_move_it_go_together(sync: str, right: bool, words: str | None) -> None:
    plan, report = compile_server(master("power,1,1,M_ME_TF_1", clock=right), clock_sync=sync)
    assert report.errors == []
    assert [(words or "") in warning.message for warning in report.warnings] == [True] * (words is not None)
    assert (plan.clock_sync, plan.masters[0].clock) == (sync, right)


@pytest.mark.parametrize(
    "keys", [{"clock_sync": "offsett"}, {"clock_trusted": "ntp"}, {"reset_process": "yes"}, {"day_of_week": "monday"}]
)
def test_words_that_are_none(keys: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        compile_server(**keys)


def test_what_the_server_does_by_default() -> None:
    plan, _ = compile_server(master("power,1,1,M_ME_TF_1"))
    assert (plan.clock_sync, plan.clock_trusted, plan.reset_process) == ("confirm", "always", "refuse")
    assert (plan.day_of_week, plan.end_of_initialisation) == (True, True)
    assert (plan.masters[0].clock, plan.masters[0].parameters) == (False, True)
