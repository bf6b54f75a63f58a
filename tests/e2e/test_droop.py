"""Frequency response on the demo plant: a synthetic frequency, the plant's answer, the evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateway import DemoSite, wait_until

DROOP = """
  droop:
    - {unit: bess1, frequency: [poi/frequency], setpoint: bess1/pcs/power_setpoint, rated_kw: 1000,
       ramp_kw_per_s: 500, capacity_kwh: 2000, deadband_hz: [49.5, 50.5], droop_percent: 5}
"""
"""A wide dead band: the simulated grid's own frequency is to leave the unit alone."""

PROFILE = """
title: short
droop: {}
clauses:
  - {clause: "nothing in the band", hz: 49.9, hold_s: 2, at_most_percent: 3}
  - {clause: "8 % at 49.3 Hz", hz: 49.3, hold_s: 4, tolerance_percent: 3, within_s: 2.5}
  - {clause: "back", hz: 50.0, hold_s: 4, at_most_percent: 3, within_s: 2.5}
"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[DemoSite]:
    site = DemoSite(tmp_path, dnp3=False)
    text = site.site.read_text()
    text = re.sub(r"^control:.*?(?=^\S|\Z)", "", text, flags=re.DOTALL | re.MULTILINE)
    site.site.write_text(text + "\ncontrol:" + DROOP)
    (site.site.parent / "short.yaml").write_text(PROFILE)
    with site:
        site.start_simulator()
        site.start()
        yield site


def test_the_plant_answers_a_synthetic_frequency_and_the_evidence_is_kept(demo: DemoSite, tmp_path: Path) -> None:
    wait_until(lambda: demo.point("system/control/bess1/droop_state")["value"] == 1, "the response in its dead band")
    page = tmp_path / "verdicts.html"
    done = demo.cli("droop-test", "--profile", "short.yaml", "--out", str(page))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:4] for line in done.stdout.splitlines()[:3]] == ["pass"] * 3
    assert "SHA-256" in page.read_text()
    assert demo.point("poi/frequency")["quality"] == "good", "masters go on seeing the measured frequency"
    wait_until(lambda: demo.point("system/control/bess1/droop_state")["value"] == 1, "the measured frequency again")

    demo.stop(30)
    listed = demo.cli("droop-report")
    assert listed.returncode == 0, listed.stderr
    assert "-bess1-test" in listed.stdout
    done = demo.cli("droop-report", "last", "--out", str(tmp_path / "reports"))
    report = Path(done.stdout.strip()).read_text()
    assert "TEST: the frequency was a synthetic one" in report
    droop = re.search(r"droop seen</td><td>([\d.]+) %", report)
    assert droop is not None
    assert 4 < float(droop[1]) < 6.5


def test_only_a_person_on_the_gateway_shows_a_synthetic_frequency(demo: DemoSite) -> None:
    """The command point belongs to nobody's map; its right is the file mode of the feed."""
    assert demo.cli("command", "system/control/bess1/test_hz", "10").returncode == 1
    done = demo.cli("command", "system/control/bess1/droop_enable", "0")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: demo.point("system/control/bess1/droop_enabled")["value"] == 0, "the response switched off")
    refused = demo.cli("droop-test", "--profile", "nowhere")
    assert refused.returncode == 1
    assert "there is no profile nowhere" in refused.stderr


def test_settings_are_attested_and_a_change_is_told(demo: DemoSite) -> None:
    attested = json.loads((demo.state_dir / "control" / "settings.json").read_text())
    assert attested["settings"]["droop"]["bess1"]["droop_percent"] == 5
    demo.stop(30)
    demo.log_path.unlink()
    demo.site.write_text(demo.site.read_text().replace("droop_percent: 5", "droop_percent: 3.7"))
    demo.start()
    log = demo.log_path.read_text()
    assert "control settings have changed since the last start" in log
    assert "droop.bess1.droop_percent: 5.0 -> 3.7" in log


def test_the_whole_demo_plant_answers_a_fall_of_the_grid_frequency(tmp_path: Path) -> None:
    """0.5 Hz down, as the PMU sees it: 18.8 % of a megawatt more; then back to where it was."""
    with DemoSite(tmp_path, whole=True) as site:
        site.start_simulator()
        site.order("frequency 50")
        site.start()
        state = "system/control/bess1/droop_state"
        wait_until(lambda: site.point(state)["value"] == 1, "the response in its dead band", 60)
        source = "system/control/bess1/frequency_source"
        wait_until(lambda: site.point(source)["value"] == 1, "the PMU to be believed", 60)
        before = site.point("bess1/pcs/active_power")["value"]
        site.order("frequency 49.5")
        wait_until(lambda: abs(site.point("bess1/pcs/active_power")["value"] - before - 188) < 25, "the response", 60)
        site.order("frequency 50")
        wait_until(lambda: abs(site.point("bess1/pcs/active_power")["value"] - before) < 15, "the return", 60)
        wait_until(lambda: site.point(state)["value"] == 1, "the dead band again")
