"""`gridgate service`: a unit that systemd takes, with this machine's paths, and as little right as it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.cli.service import unit
from gateway.paths import shipped
from gateway.processes.priority import RT_PRIORITY

SHIPPED = shipped("config/systemd/gridgate.service").read_text()


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))


def made(
    site: str = "/etc/gridgate/site.yaml", state: str = "/var/lib/gridgate", exe: str = "/usr/bin/gridgate"
) -> str:
    return unit(Path(site), Path(state), "gridgate", exe)


def test_the_shipped_unit_is_what_is_made_for_the_usual_places():
    usual = made()
    assert settings(usual) == settings(SHIPPED) | {"ExecStart": settings(usual)["ExecStart"]}
    assert settings(usual)["ExecStart"].startswith(settings(SHIPPED)["ExecStart"])


def test_state_elsewhere_may_be_written_and_nothing_else():
    said = settings(made(state="/srv/my site/state"))
    assert said["ReadWritePaths"] == '"/srv/my site/state"'
    assert "StateDirectory" not in said
    assert said["ProtectSystem"] == "strict"


def test_a_site_below_a_home_can_be_read():
    assert settings(made(site="/home/asha/site.yaml"))["ProtectHome"] == "read-only"
    assert settings(made())["ProtectHome"] == "yes"


def test_percent_signs_mean_themselves():
    assert "100%%.yaml" in settings(made(site="/etc/gridgate/100%.yaml"))["ExecStart"]


def test_it_needs_no_capability_and_no_root():
    said = settings(SHIPPED)
    assert said["User"] == "gridgate"
    assert said["CapabilityBoundingSet"] == said["AmbientCapabilities"] == ""
    assert said["NoNewPrivileges"] == "yes"
    assert "AF_CAN" in said["RestrictAddressFamilies"]
    assert int(said["LimitRTPRIO"]) == RT_PRIORITY, "the core goes before other processes without any capability"
    assert said["Type"] == "notify"
    assert int(said["WatchdogSec"]) > 70, "the supervisor's own remedies take up to 10 s + 60 s"


def test_the_command_prints_it_installs_it_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["init", str(tmp_path / "site"), "--yes"])
    site = str(tmp_path / "site" / "site.yaml")
    capsys.readouterr()
    assert main(["service", site]) == 0
    printed = capsys.readouterr().out
    assert site in printed and f"ReadWritePaths={tmp_path}/site/var" in printed
    assert main(["service", site, "--install", str(tmp_path)]) == 0
    assert (tmp_path / "gridgate.service").read_text() == printed
    assert main(["service", site, "--install", str(tmp_path)]) == 0
    (tmp_path / "gridgate.service").write_text("mine")
    assert main(["service", site, "--install", str(tmp_path)]) == 1
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["service", site, "--user", "Bad User"]) == 1


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here (package systemd)")
def test_systemd_takes_it_and_finds_little_exposed(tmp_path: Path):
    text = made(site=str(tmp_path / "site.yaml"), exe=shutil.which("true") or "/bin/true")
    path = tmp_path / "gridgate.service"
    path.write_text(re.sub(r"^(User|Group|SupplementaryGroups)=.*\n", "", text, flags=re.M))  # known to this machine
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in verified.stderr.splitlines() if "gridgate" in line]
    assert verified.returncode == 0 and not ours, verified.stderr
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "offline" in exposed.stderr:
        pytest.skip(f"this systemd-analyze examines no files: {exposed.stderr}")
    assert exposed.returncode == 0, exposed.stdout + exposed.stderr
