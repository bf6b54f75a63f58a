"""What a right site compiles to."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

from gateway.config import summary
from gateway.points import NO_ROW, Kind
from tests.kit.sitekit import Site


def test_rows_run_through_devices_then_calculated_then_system_points(site: Site) -> None:
    plan = site.load()
    names = plan.catalogue.names
    assert all(name.startswith(("system/audit/", "system/alarms/", "system/server/")) for name in names[16:])
    assert names[:16] == [
        *("bess1/pcs/power", "bess1/pcs/local", "bess1/pcs/breaker", "bess1/pcs/setpoint", "bess1/pcs/run"),
        *("poi/power", "poi/energy", "bess1/losses"),
        *("system/device/pcs1/online", "system/device/pcs1/errors"),
        *("system/device/meter/online", "system/device/meter/errors"),
        *("system/master/sldc/main/online", "system/master/sldc/main/events_waiting"),
        *("system/master/sldc/main/events_lost", "system/master/sldc/main/overflow"),
    ]
    assert plan.device_rows["meter"].tolist() == [5, 6]
    assert plan.device_system["pcs1"].errors == 9
    assert plan.master_system["sldc", "main"].events_lost == 14
    assert [plan.catalogue.point(row).device for row in (0, 5, 7, 8)] == ["pcs1", "meter", "", ""]
    assert plan.catalogue.kind(8) is Kind.BINARY
    assert math.isnan(plan.catalogue.max_age_s[8])


def test_ages_follow_the_scan(site: Site) -> None:
    ages = site.load().catalogue.max_age_s
    assert ages[0] == 0.6000000000000001
    assert ages[1] == 3.0  # the row has its own scan of 1000 ms
    assert ages[5] == 3.0  # the device's default scan
    assert math.isnan(ages[7])


def test_a_very_quick_scan_still_leaves_a_tenth_of_a_second(site: Site) -> None:
    site.change("site.yaml", "scan_ms: 200", "scan_ms: 10")
    assert site.load().catalogue.max_age_s[0] == 0.1


def test_feedback_is_found_below_the_prefix_and_gets_its_defaults(site: Site) -> None:
    catalogue = site.load().catalogue
    setpoint, run = catalogue.point(3), catalogue.point(4)
    assert (setpoint.feedback, setpoint.feedback_tolerance, setpoint.feedback_s) == (0, 40.0, 10.0)
    assert (run.feedback, run.feedback_tolerance) == (1, 0.5)
    assert catalogue.point(0).feedback == NO_ROW


def test_feedback_may_be_a_full_name_of_another_device(site: Site) -> None:
    site.change("maps/pcs.csv", ",power,,Active power set-point", ",poi/power,,Active power set-point")
    assert site.load().catalogue.feedback[3] == 5


def test_drivers_servers_and_rights(site: Site) -> None:
    plan = site.load()
    assert [(name, driver.devices, driver.rows.tolist()) for name, driver in plan.drivers] == [
        ("bench", ["pcs1"], [0, 1, 2, 3, 4]),
        ("bench", ["meter"], [5, 6]),
    ]
    server = plan.server("sldc")
    assert (server.protocol, server.masters, server.bindings) == ("relay", ["main"], {"main": 4})
    assert server.plan.bound == {"main": [0, 5, 3, 7]}
    assert server.plan.keys["apci.k"].endswith("site.yaml, line 23")
    assert plan.rights["sldc", "main"].tolist() == [3]
    assert plan.local_remote == (1, 0.0)
    assert plan.state_dir == site.folder / "var"


def test_calculated_points_come_in_the_order_in_which_they_need_each_other(site: Site) -> None:
    site.change(
        "site.yaml",
        "calculated:\n",
        'calculated:\n  - {point: bess1/losses_percent, unit: "%", expr: "bess1/losses / 10", low: 0, high: 100}\n',
    )
    plan = site.load()
    assert [point.row for point in plan.calculated] == [8, 7]
    assert plan.catalogue.high[7] == 100
    assert plan.calculated[0].expression.evaluate(np.array([5.0, 3.0])) == 2.0


def test_a_calculated_point_may_read_a_system_point(site: Site) -> None:
    site.change("site.yaml", "bess1/pcs/power - poi/power", "poi/power if system/device/meter/online else 0")
    assert site.load().calculated[0].expression.points == ("poi/power", "system/device/meter/online")


def test_the_plan_survives_pickling(site: Site) -> None:
    plan = site.load()
    again = pickle.loads(pickle.dumps(plan))
    assert again.catalogue.names == plan.catalogue.names
    assert again.calculated[0].expression.evaluate(np.array([5.0, 3.0])) == 2.0
    assert again.rights["sldc", "main"].tolist() == [3]


def test_a_process_that_only_runs_a_plan_imports_neither_pydantic_nor_yaml() -> None:
    code = (
        "import sys, gateway.site.plan, gateway.log, gateway.registry, gateway.points.deadband;"
        "print([name for name in ('pydantic', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_variables_come_from_the_environment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METER_PORT", "6021")
    site.change("site.yaml", "tcp://127.0.0.1:5021", "tcp://${METER_HOST:-127.0.0.1}:${METER_PORT}")
    assert site.load().name == "hilltop"


def test_an_hmi_gives_rights_to_roles(site: Site) -> None:
    """The broker knows the people of the HMI by their role: a viewer has no right at all, an engineer may force."""
    site.change("site.yaml", "control:\n", "hmi: {listen: 127.0.0.1:8080}\ncontrol:\n")
    plan = site.load()
    assert plan.screen.where == "http://127.0.0.1:8080"
    assert ("_hmi", "viewer") not in plan.rights
    commanded = {plan.catalogue.names[row] for row in plan.rights["_hmi", "operator"].tolist()}
    assert commanded >= {"bess1/pcs/setpoint", "bess1/pcs/run"}
    assert plan.holders == {("_hmi", "engineer"), ("_hmi", "administrator")}


def test_excel_is_welcome(site: Site) -> None:
    """Byte-order mark, semicolons, decimal commas, CRLF, comments, empty rows, trailing separators."""
    rows = [
        "sep=;",
        "# Meter at the gate;;;;",
        '"# with, a ""quote""";;;;',
        "Point;Kind;Address;Scale;Description;;",
        ";;;;",
        'power;analog;0;0,5;"Active; ""net"" power";;',
        "",
        "energy;counter;2;;1,5 and more",
    ]
    site.write("maps/meter.csv", b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    catalogue = site.load().catalogue
    assert catalogue.names[5:7] == ["poi/power", "poi/energy"]
    assert catalogue.descriptions[5:7] == ['Active; "net" power', "1,5 and more"]


def test_one_map_serves_many_devices(site: Site) -> None:
    more = "".join(
        f"  - {{name: m{i}, driver: bench, url: x, map: maps/meter.csv, prefix: feeder{i}}}\n" for i in range(50)
    )
    site.change("site.yaml", "calculated:\n", f"{more}calculated:\n")
    plan = site.load()
    assert len(plan.device_rows) == 52
    assert plan.catalogue.names[plan.device_rows["m49"][1]] == "feeder49/energy"


def test_the_summary_says_what_the_site_is(site: Site) -> None:
    lines = summary(site.load()).splitlines()
    assert lines[0] == "site hilltop: 33 points (17 analog, 7 binary, 1 double, 5 counter, 1 setpoint, 2 control)"
    assert "device pcs1: bench, 5 points" in lines
    assert "alarms: 6 (4 high, 1 medium, 1 low)" in lines
    assert "server sldc: relay on 127.0.0.1:2404" in lines
    assert "  master main: 4 bindings, may command 1" in lines
