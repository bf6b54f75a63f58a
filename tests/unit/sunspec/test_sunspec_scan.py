"""`gridgate sunspec scan`: what a device is, and a map that the gateway takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from gateway.__main__ import main
from gateway.config import load_site
from protocols.sunspec.simulator import SunSpecSimulator
from tests.kit.background import played
from tests.kit.sunspeckit import full_map, line


@contextmanager
def inverter(*models: int) -> Iterator[SunSpecSimulator]:
    """A device with these models at a port of its own, played in another thread."""
    plan = line(full_map(*models))
    simulator = SunSpecSimulator(plan)
    simulator.set(plan.rows, np.ones(len(plan.rows)))
    with played(simulator):
        yield simulator


def test_a_device_is_told_and_its_map_is_one_that_a_site_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with inverter(103, 123, 802) as simulator:
        simulator.device().unimplemented.add(0)
        url = f"tcp://127.0.0.1:{simulator.url.port}"
        assert main(["sunspec", "scan", url, "--out", str(tmp_path / "inv.csv")]) == 0
    told = capsys.readouterr().out
    assert "manufacturer  GridGate" in told
    assert "  103   40070     50  Inverter (Three Phase)" in told
    with (tmp_path / "inv.csv").open() as file:
        rows = {row["point"]: row for row in csv.DictReader(file)}
    assert rows["m123/WMaxLimPct.set"]["feedback"] == "m123/WMaxLimPct"
    assert rows["m103/Evt1.GROUND_FAULT"]["kind"] == "binary"
    assert "4 MPPT" in rows["m103/St"]["description"]
    (tmp_path / "site.yaml").write_text(
        f"site: s\ndevices:\n  - {{name: i, driver: sunspec, url: '{url}', map: inv.csv, prefix: inv}}\n"
    )
    plan = load_site(tmp_path / "site.yaml")
    assert not plan.warnings
    assert len(plan.device_rows["i"]) == len(rows)


def test_what_is_no_sunspec_device_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with inverter(103) as simulator:
        simulator.device().set_raw(40000, b"\0\0\0\0")
        assert main(["sunspec", "scan", f"tcp://127.0.0.1:{simulator.url.port}"]) == 1
    assert 'no SunSpec marker "SunS"' in capsys.readouterr().err


def test_a_map_without_a_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sunspec", "map", "103", "160", "--repeat", "2"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["field"] for row in rows if row["field"].endswith("DCV")] == ["DCV", "module[0].DCV", "module[1].DCV"]
    assert main(["sunspec", "map", "109"]) == 1
    assert "no definition of model 109" in capsys.readouterr().err


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with inverter(103) as simulator:
        assert main(["sunspec", "scan", f"tcp://127.0.0.1:{simulator.url.port}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [model["id"] for model in told["models"]] == [1, 103]
    assert told["complete"] is True


def test_a_device_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sunspec", "scan", "tcp://127.0.0.1:1", "--timeout", "0.5"]) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err
