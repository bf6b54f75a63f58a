"""Definitions: from the points' rows, from the gateway itself, refined by the alarm map; every error with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.alarms.catalogue import AlarmCatalogue
from tests.kit.sitekit import PCS, SITE, Site, small_site

LOST = "system/device/pcs1/online/alarm"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        yield made


def with_map(site: Site, *rows: str, heading: str = "point,limit,value,priority,on_delay_s,deadband,group") -> Site:
    site.write("site.yaml", SITE + "alarms:\n  map: maps/alarms.csv\n")
    site.write("maps/alarms.csv", "\n".join([heading, *rows]) + "\n")
    return site


def loaded(site: Site) -> AlarmCatalogue:
    alarms = site.load().alarms
    assert alarms is not None
    return alarms


def one(site: Site, name: str) -> dict[str, object]:
    alarms = loaded(site)
    index = alarms.find(name)
    assert index is not None, alarms.names()
    return {
        "limit": float(alarms.limit[index]),
        "priority": alarms.priority_of(index).word,
        "delay": float(alarms.on_delay_s[index]),
        "deadband": float(alarms.deadband[index]),
        "message": alarms.message(index),
        "group": alarms.group_of(index),
    }


def test_limits_of_points_and_conditions_of_the_gateway_are_alarms(site: Site) -> None:
    assert loaded(site).names() == [
        *("bess1/pcs/power/h", LOST, "system/device/meter/online/alarm"),
        *(
            "system/master/sldc/main/online/alarm",
            "system/master/sldc/main/overflow/alarm",
            "system/audit/failing/alarm",
        ),
    ]
    assert one(site, "bess1/pcs/power/h") == {
        **{"limit": 1100.0, "priority": "medium", "delay": 0.0, "deadband": 12.0, "group": ""},
        "message": "Active power high: above 1100 kW",
    }
    assert one(site, LOST)["message"] == "Device pcs1 does not answer"


def test_the_names_find_their_alarms(site: Site) -> None:
    alarms = loaded(site)
    assert [alarms.find(name) for name in alarms.names()] == list(range(len(alarms)))
    assert [alarms.find(name) for name in ("bess1/pcs/power/hh", "no/such/h", "x", "bess1/pcs/power")] == [None] * 4


def test_a_row_of_a_device_map_calls_a_state_an_alarm(site: Site) -> None:
    heading, *rows = PCS.splitlines()
    spoken = [heading + ",alarm,alarm_priority,alarm_message"]
    spoken += [row + (",1,critical,Panel is local" if row.startswith("local") else ",,,") for row in rows]
    site.write("maps/pcs.csv", "\n".join(spoken) + "\n")
    found = one(site, "bess1/pcs/local/alarm")
    assert (found["limit"], found["priority"], found["message"]) == (1.0, "critical", "Panel is local")


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("power,analog,0,1", "row 2, column alarm: only a binary or double has a state that is an alarm"),
        ("local,binary,0,2", "row 2, column alarm: a binary is never 2: expected one of 0, 1"),
        ("local,double,0,4", "row 2, column alarm: a double is never 4: expected one of 0, 1, 2, 3"),
    ],
)
def test_a_state_that_cannot_be_is_told(site: Site, row: str, error: str) -> None:
    site.write("maps/pcs.csv", f"point,kind,address,alarm\n{row}\n")
    assert any(f"maps/pcs.csv, {error}" in told for told in site.errors())


def test_the_map_refines_one_alarm_all_of_a_point_or_a_pattern(site: Site) -> None:
    with_map(
        site,
        "bess1/pcs/power,h,1150,critical,2.5,3,trip",
        "bess1/pcs/power,hh,1180,,,,",
        "bess1/pcs/power,*,,,,,trip",
        "system/device/*,alarm,,low,9,,",
        "system/master/*,,,off,,,",
        "poi/*,quality,,,,,",
        "bess1/pcs/breaker,alarm,0,,,,",
    )
    assert loaded(site).names() == [
        *(
            "bess1/pcs/power/h",
            "bess1/pcs/power/hh",
            "bess1/pcs/breaker/alarm",
            "poi/power/quality",
            "poi/energy/quality",
        ),
        *(LOST, "system/device/meter/online/alarm", "system/audit/failing/alarm"),
    ]
    first = one(site, "bess1/pcs/power/h")
    assert (first["limit"], first["priority"], first["delay"], first["deadband"]) == (1150, "critical", 2.5, 3)
    second = one(site, "bess1/pcs/power/hh")
    assert (second["limit"], second["priority"], second["group"]) == (1180, "high", "trip")
    assert (one(site, LOST)["priority"], one(site, LOST)["delay"]) == ("low", 9)
    assert one(site, "poi/power/quality")["delay"] == 5
    assert one(site, "bess1/pcs/breaker/alarm")["message"] == "AC breaker: intermediate"
    assert "system/alarms/group/trip/first_out" in site.load().catalogue.rows


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("bess1/pcs/powr,h,,,,,", "column point: point bess1/pcs/powr does not exist (did you mean bess1/pcs/power?)"),
        ("bess2/*,h,,,,,", "column point: no point that has an alarm matches bess2/*"),
        ("bess1/pcs/power,ll,,,,,", "column limit: bess1/pcs/power has no limit ll: give one in column value"),
        (
            "bess1/pcs/power,hh,1000,,,,",
            "column value: the limits of bess1/pcs/power are out of order: h 1100, hh 1000",
        ),
        (
            "bess1/pcs/power,alarm,1,,,,",
            "column limit: this point is of kind analog: only a binary or double has a state",
        ),
        ("bess1/pcs/local,h,1,,,,", "column limit: this point is of kind binary: it has states, no limits"),
        ("bess1/pcs/breaker,alarm,7,,,,", "column limit: a double is never 7"),
        ("bess1/pcs/power,,5,,,,", "column value: a value needs its limit"),
        ("bess1/pcs/power,quality,5,,,,", "column limit: a quality alarm has no value"),
        ("bess1/pcs/local,,,high,,,", "column point: bess1/pcs/local has no alarm"),
        ("bess1/pcs/power,hihi,,,,,", "column limit: "),
        ("bess1/pcs/power,h,,urgent,,,", "column priority: "),
        ("bess1/pcs/power,h,,,-1,,", "column on_delay_s: "),
    ],
)
def test_what_is_wrong_in_the_map_is_told_with_its_place(site: Site, row: str, error: str) -> None:
    errors = with_map(site, row).errors()
    assert len(errors) == 1, errors
    assert errors[0].startswith("maps/alarms.csv, row 2, ")
    assert error in errors[0]


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("bess1/pcs/power,poi/powr > 1", "no point is called poi/powr"),
        ("bess1/pcs/power,1 > 0", "no point in it"),
        ("bess1/pcs/power,bess1/pcs/power > 5", "must not suppress its own alarm: it may be the cause"),
    ],
)
def test_an_alarm_is_not_suppressed_by_nothing_or_by_itself(site: Site, row: str, error: str) -> None:
    errors = with_map(site, row, heading="point,suppressed_when").errors()
    assert len(errors) == 1, errors
    assert "row 2, column suppressed_when" in errors[0]
    assert error in errors[0]


def test_a_suppression_is_compiled_once_for_all_that_share_it(site: Site) -> None:
    rows = ("bess1/pcs/power,poi/power < 5", f"{LOST.removesuffix('/alarm')},poi/power < 5")
    alarms = loaded(with_map(site, *rows, heading="point,suppressed_when"))
    assert [len(alarms.suppressions), sorted(set(alarms.suppression.tolist()))] == [1, [-1, 0]]


def test_a_missing_map_and_a_wrong_key_are_told(site: Site) -> None:
    site.write("site.yaml", SITE + "alarms:\n  map: maps/nothing.csv\n  shelve_max_s: 0\n  flod: 3\n")
    errors = site.errors()
    assert any("maps/nothing.csv" in error for error in errors)
    assert any("shelve_max_s" in error for error in errors)
    assert any("flod" in error for error in errors)


def test_dead_bands_by_unit_stay_within_the_gap(site: Site) -> None:
    site.write(
        "maps/pcs.csv",
        "point,kind,address,unit,low,high,alarm_l,alarm_h\n"
        "temp,analog,0,degC,-20,80,,60\npressure,analog,1,bar,0,10,,8\nf,analog,2,Hz,45,55,49.9,50.05\nv,analog,3,V,,,,400\n"
        "g,analog,4,V,0,1000,499,500\nlocal,binary,5,,,,,\nsetpoint,setpoint,6,,,,,\npower,analog,7,,,,,\n",
    )
    found = {name: one(site, f"bess1/pcs/{name}/h")["deadband"] for name in ("temp", "pressure", "f", "v", "g")}
    assert {name: round(float(str(value)), 6) for name, value in found.items()} == {
        **{"temp": 1.0, "pressure": 0.2, "f": 0.01, "v": 2.0},
        "g": 0.25,
    }
