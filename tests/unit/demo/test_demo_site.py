"""The demo site as shipped, and what its newcomer is told."""

from __future__ import annotations

import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from gateway.config import load_site
from gateway.demo.plant import Plant
from gateway.demo.welcome import first_password, welcome
from gateway.paths import shipped
from gateway.points import Kind
from gateway.site.plan import SitePlan
from gateway.users.store import UserStore

SITE = shipped("config/demo/site.yaml")


@pytest.fixture(scope="module")
def plan() -> SitePlan:
    return load_site(SITE)


def test_it_has_nothing_to_complain_about(plan: SitePlan) -> None:
    assert plan.warnings == []
    assert list(plan.device_drivers) == ["pcs1", "meter", "bms1", "pmu1", "pv1"]


def test_plant_knows_every_point_of_every_device_and_no_other(plan: SitePlan) -> None:
    rows = np.concatenate([driver.rows for _, driver in plan.drivers])
    assert {plan.catalogue.names[row] for row in rows} == set(Plant().values())


def test_every_value_is_within_its_engineering_range(plan: SitePlan) -> None:
    plant = Plant(setpoint_kw=-1000.0, solar=True)
    for _ in range(200):
        plant.step(0.1)
        for name, value in plant.values().items():
            point = plan.catalogue.point(plan.catalogue.rows[name])
            assert not value < point.low
            assert not value > point.high


def test_master_sees_every_kind_of_point(plan: SitePlan) -> None:
    bound = shipped("pointmaps/masters/demo_sldc_iec104.csv").read_text().splitlines()
    names = [line.split(",")[0] for line in bound if not line.startswith("#")][1:]
    assert {plan.catalogue.kind(plan.catalogue.rows[name]) for name in names} == set(Kind)


def test_welcome_says_where_to_connect_and_what_to_try(plan: SitePlan) -> None:
    text = welcome(plan)
    for needed in (
        "iec104",
        "127.0.0.1:2404, common address 1, as master sldc-main",
        "4001  M_ME_TF_1  bess1/pcs/active_power [kW]",
        "7001  C_SE_NC_1  bess1/pcs/power_setpoint [kW]",
        "bess1/pcs/power_setpoint 600",
        "Ctrl-C",
    ):
        assert needed in text
    assert max(map(len, text.splitlines())) <= 100 + len(str(SITE)) + len(sys.executable)


def test_program_in_the_welcome_is_a_program(plan: SitePlan) -> None:
    lines = welcome(plan).splitlines()
    first = next(number for number, line in enumerate(lines) if "import c104" in line)
    last = next(number for number, line in enumerate(lines) if "transmit" in line)
    compile(textwrap.dedent("\n".join(lines[first : last + 1])), "welcome", "exec")


def test_commands_in_the_welcome_name_the_state_directory_that_was_chosen(plan: SitePlan, tmp_path: Path) -> None:
    odd = tmp_path / "a state"
    commands = [shlex.split(line) for line in welcome(plan, odd).splitlines() if "--state-dir" in line]
    for word, command in zip(("passwd", "points", "command"), commands, strict=True):
        assert word in command
    for command in commands:
        assert command[command.index("--state-dir") + 1] == str(odd)


def test_the_welcome_tells_the_first_password_once(plan: SitePlan, tmp_path: Path) -> None:
    password = first_password(plan, tmp_path)
    assert f"user admin, password {password} " in welcome(plan, tmp_path, password)
    assert "http://127.0.0.1:8080" in welcome(plan, tmp_path, password)
    assert first_password(plan, tmp_path) == ""
    assert "passwd" in welcome(plan, tmp_path)
    assert UserStore(tmp_path / "users.yaml").refresh()
    assert (tmp_path / "users.yaml").stat().st_mode & 0o077 == 0


def test_commands_in_the_welcome_can_be_typed(plan: SitePlan) -> None:
    line = next(line for line in welcome(plan).splitlines() if " points " in line)
    program = shlex.split(line)[: shlex.split(line).index("points")]
    done = subprocess.run([*program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("gridgate ")
