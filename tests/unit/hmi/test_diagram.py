"""What a site's drawing shows, found from devices, units and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load_site
from gateway.site.plan import SitePlan
from hmi.diagram import Feeder, diagram, frequencies
from hmi.sitedevices import Sort

CONFIG = Path(__file__).resolve().parents[3] / "config"


def named(plan: SitePlan, row: int | None) -> str:
    return "" if row is None else plan.catalogue.names[row]


def columns(plan: SitePlan, feeders: list[Feeder]) -> list[tuple[str, Sort, str, str]]:
    return [(each.name, each.sort, named(plan, each.power), named(plan, each.soc)) for each in feeders]


def test_the_demo_site() -> None:
    plan = load_site(CONFIG / "demo" / "site.yaml")
    found = diagram(plan)
    assert named(plan, found.power) == "poi/power" and named(plan, found.voltage) == "poi/voltage"
    assert [device.name for device in found.connection] == ["meter", "pmu1"]
    assert columns(plan, found.feeders) == [
        ("bess1", Sort.BATTERY, "bess1/pcs/active_power", "bess1/pcs/soc"),
        ("pv1", Sort.SOLAR, "pv1/active_power", ""),
    ]
    battery = found.feeders[0]
    assert [device.name for device in battery.devices] == ["pcs1", "bms1"]
    switches = [plan.catalogue.names[switch.row] for device in battery.devices for switch in device.switches]
    assert switches == ["bess1/pcs/breaker", "bess1/bms/contactor"]
    mode = battery.devices[1].mode
    assert mode is not None and mode.words[5] == "discharge"
    assert named(plan, frequencies(plan, found)[0]) == "poi/pmu/frequency", "what control goes by comes first"


@pytest.mark.parametrize(("name", "unit"), [("plant.yaml", "bess1"), ("aggregator.yaml", "north")])
def test_sites_without_control(name: str, unit: str) -> None:
    plan = load_site(CONFIG / "two-sites" / name)
    found = diagram(plan)
    assert named(plan, found.power).endswith("poi/power")
    assert [(each.name, each.sort) for each in found.feeders] == [(unit, Sort.BATTERY)]


def site(folder: Path, devices: dict[str, str]) -> SitePlan:
    """A site of Modbus devices by prefix, each with these rows of a map."""
    entries = []
    for number, (prefix, rows) in enumerate(devices.items()):
        (folder / f"{number}.csv").write_text("point,kind,table,address,type,unit\n" + rows)
        entries.append(
            f'  - {{name: d{number}, driver: modbus, url: "tcp://127.0.0.1:{5100 + number}", unit: 1, '
            f"map: {number}.csv, prefix: {prefix}, scan_ms: 500}}\n"
        )
    path = folder / "site.yaml"
    path.write_text("site: s\nstate_dir: var\ndevices:\n" + "".join(entries))
    return load_site(path)


def test_twenty_units_two_in_one_place_and_a_load(tmp_path: Path) -> None:
    pcs = "p,analog,input,0,int16,kW\nsetpoint,setpoint,holding,0,int16,kW\nsoc,analog,input,1,int16,%\n"
    devices = {f"site/pcs{number}": pcs for number in range(18)}
    devices |= {"wind/wtg1": "power,analog,input,0,int16,MW\n", "aux": "power,analog,input,0,int16,kW\n"}
    plan = site(tmp_path, devices)
    found = diagram(plan)
    assert found.power is None and not found.connection
    assert len(found.feeders) == 20
    assert found.feeders[3].name == "site/pcs3" and found.feeders[3].sort is Sort.BATTERY
    assert [(each.name, each.sort) for each in found.feeders[18:]] == [("wind", Sort.WIND), ("aux", Sort.LOAD)]


def test_two_plants_with_a_connection_each(tmp_path: Path) -> None:
    pcs = "active_power,analog,input,0,int16,kW\nsoc,analog,input,1,int16,%\n"
    meter = "power,analog,input,0,int16,kW\nfrequency,analog,input,1,int16,Hz\n"
    plan = site(tmp_path, {"north/pcs": pcs, "north/poi": meter, "south/pcs": pcs, "south/poi": meter})
    found = diagram(plan)
    assert found.power is None, "no meter is the site's own: what the units add up to counts"
    assert [(each.name, each.sort) for each in found.feeders] == [
        ("north", Sort.BATTERY),
        ("north/poi", Sort.METER),
        ("south", Sort.BATTERY),
        ("south/poi", Sort.METER),
    ]


def test_a_site_of_nothing_but_strangers(tmp_path: Path) -> None:
    plan = site(tmp_path, {"x": "a,analog,input,0,int16,\nmain_breaker,binary,discrete,0,bit,\n"})
    found = diagram(plan)
    assert (found.connection, found.feeders, found.power) == ([], [], None)
