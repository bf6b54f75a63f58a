"""What an engineer gets wrong in the section of an OPC UA server, and what the sound one becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import load_site
from gateway.contracts import ConfigError
from gateway.site.plan import SitePlan

DEVICE = """site: s
devices:
  - {name: d, driver: modbus, url: "tcp://127.0.0.1:5020", map: d.csv, prefix: d, scan_ms: 500}
servers:
"""
MAP = """point,kind,table,address,type
power,analog,input,1,int16
limit,setpoint,holding,2,int16
run,control,coil,1,bit
"""


def site(folder: Path, *lines: str, **files: str) -> Path:
    (folder / "d.csv").write_text(MAP)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    path = folder / "site.yaml"
    path.write_text(DEVICE + "  - name: ua\n    protocol: opcua\n" + "".join(f"    {line}\n" for line in lines))
    return path


def errors(path: Path) -> str:
    with pytest.raises(ConfigError) as told:
        load_site(path)
    return "\n".join(map(str, told.value.report.errors))


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = errors(
        site(
            tmp_path,
            "listen: 192.168.1.5:4840",
            "security: [Basic256, Basic256Sha256]",
            "modes: [None]",
            "masters: [{name: m}]",
            "pki: {certificate: mine.der}",
            "limits: {connections: 0}",
        )
    )
    for line, words in ((8, "security"), (9, "modes"), (12, "connections"), (10, "rights go with the role")):
        assert f"line {line}" in text and words in text, text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["listen: 127.0.0.1:4840", "users: u.yaml"], "opc.tcp://host:port/path expected"),
        (["listen: opc.tcp://127.0.0.1", "users: u.yaml"], "opc.tcp://host:port/path expected"),
        (["listen: opc.tcp://0.0.0.0:4840", "users: u.yaml", "allow_none: true"], "for a loopback address only"),
        (["listen: opc.tcp://127.0.0.1:4840"], "users is missing"),
        (["listen: opc.tcp://127.0.0.1:4840", "users: u.yaml", "pki: {certificate: c.der}"], "come together"),
        (["listen: opc.tcp://127.0.0.1:4840", "users: u.yaml", "map: nowhere.csv"], "nowhere.csv"),
    ],
)
def test_single_mistakes(tmp_path: Path, lines: list[str], words: str) -> None:
    assert words in errors(site(tmp_path, *lines))


def test_a_role_and_a_point_of_the_map_that_are_none(tmp_path: Path) -> None:
    lines = ["listen: opc.tcp://127.0.0.1:4840", "users: u.yaml", "map: ua.csv"]
    text = errors(site(tmp_path, *lines, ua_csv="point,access,roles\nd/limit,write,king\nd/nothing,read,\n"))
    assert "ua.csv, row 2, column roles: no role king" in text
    assert "ua.csv, row 3, column point" in text


def plan_of(plan: SitePlan) -> dict[str, list[str]]:
    return {
        role: [name for row in plan.rights["ua", role] if (name := plan.catalogue.names[row]).startswith("d/")]
        for role in ("operator", "engineer", "administrator")
    }


def test_rights_go_with_the_role(tmp_path: Path) -> None:
    plan = load_site(site(tmp_path, "listen: opc.tcp://127.0.0.1:4840", "users: u.yaml"))
    assert plan_of(plan) == {key: ["d/limit", "d/run"] for key in ("operator", "engineer", "administrator")}
    assert ("ua", "viewer") not in plan.rights
    assert "nobody can log in until gridgate user add makes it" in str(plan.warnings[0])


def test_a_map_narrows_what_is_served_and_to_whom(tmp_path: Path) -> None:
    rows = "point,access,roles\nd/power,,\nd/limit,write,engineer\nd/run,read,\n"
    lines = ["listen: opc.tcp://127.0.0.1:4840/gateway", "users: u.yaml", "map: ua.csv"]
    plan = load_site(site(tmp_path, *lines, ua_csv=rows))
    assert plan_of(plan) == {"operator": [], "engineer": ["d/limit"], "administrator": ["d/limit"]}
    (server,) = plan.servers
    assert [plan.catalogue.names[row] for row in server.plan.rows] == ["d/power", "d/limit", "d/run"]
    assert (server.plan.host, server.plan.port, server.plan.path) == ("127.0.0.1", 4840, "/gateway")
