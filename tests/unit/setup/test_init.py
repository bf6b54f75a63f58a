"""`gridgate init`: whatever is wished for is a right site; a wrong wish is told; nothing is ever overwritten."""

from __future__ import annotations

import itertools
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.__main__ import main
from gateway.config import load_site
from tests.kit.gateway import ENVIRONMENT

DEVICES = {
    "none": ["--device", "none"],
    "demo": [],
    "every profile twice": [
        word
        for number, profile in enumerate(("pcs", "meter", "pv_inverter", "pmu") * 2)
        for word in ("--device", f"device{number}={profile}@192.168.1.{number + 1}")
    ],
}
IEC104 = {
    "none": ["--iec104", "none"],
    "two": ["--iec104", "main@10.1.2.0/24,10.1.3.4", "--iec104", "other@10.9.0.1"],
}
DNP3 = {"none": ["--dnp3", "none"], "one": ["--dnp3", "rldc=7@10.1.2.9"]}
OPCUA = {"no": ["--opcua", "no"], "here": ["--opcua", "127.0.0.1:4840"]}
HISTORY = {"yes": ["--history"], "no": ["--no-history"]}
HMI = {"no": ["--hmi", "no"], "everywhere": ["--hmi", "0.0.0.0:8443"]}


@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("iec104", IEC104)
@pytest.mark.parametrize("dnp3", DNP3)
def test_every_combination_is_a_right_site(devices: str, iec104: str, dnp3: str, tmp_path: Path):
    given = [*DEVICES[devices], *IEC104[iec104], *DNP3[dnp3]]
    for number, (opcua, history, hmi) in enumerate(itertools.product(OPCUA, HISTORY, HMI)):
        folder = tmp_path / f"site{number}"
        words = [*given, *OPCUA[opcua], *HISTORY[history], *HMI[hmi]]
        assert main(["init", str(folder), "--yes", *words]) == 0
        plan = load_site(folder / "site.yaml")
        assert len(plan.servers) == (iec104 != "none") + (dnp3 != "none") + (opcua != "no")
        assert (plan.history is not None) == (history == "yes")
        assert (plan.screen is not None) == (hmi != "no")
        assert len(plan.device_drivers) == {"none": 0, "demo": 2}.get(devices, 8)


def test_a_master_from_elsewhere_can_reach_us_and_others_cannot(tmp_path: Path):
    main(["init", str(tmp_path / "far"), "--yes", "--iec104", "main@10.1.2.0/24"])
    main(["init", str(tmp_path / "near"), "--yes"])
    far, near = (load_site(tmp_path / name / "site.yaml").servers[0] for name in ("far", "near"))
    assert far.listen == "0.0.0.0:2404" and near.listen == "127.0.0.1:2404"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "pcs1"], "NAME=PROFILE@URL"),
        (["--device", "x=fuel_cell@10.0.0.1"], "no profile fuel_cell"),
        (["--device", "1x=pcs@10.0.0.1"], "is no name"),
        (["--device", "a=pcs@10.0.0.1", "--device", "a=meter@10.0.0.2"], "a is there twice"),
        (["--iec104", "main@10.1.2.0/99"], "no address or network"),
        (["--iec104", "main"], "NAME@ADDRESS"),
        (["--dnp3", "main=70000@10.0.0.1"], "no link address"),
        (["--hmi", "8080"], "HOST:PORT"),
        (["--site", "my site"], "is no name"),
    ],
)
def test_a_wrong_wish_is_told_and_nothing_is_written(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["init", str(tmp_path / "new"), "--yes", *words]) == 1
    said = capsys.readouterr().err
    assert told in said and said.startswith("gridgate: ") and said.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine.txt").write_text("years of work")
    assert main(["init", str(tmp_path), "--yes"]) == 1
    assert "nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_a_terminal_nothing_is_asked(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "init", str(tmp_path / "new")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "[" not in done.stderr
    assert (tmp_path / "new" / "site.yaml").is_file()


def test_on_a_terminal_it_asks_and_takes_the_answers(tmp_path: Path):
    ours, theirs = pty.openpty()
    answers = ["station-7", "pcs1=pcs@10.0.0.5", "main@10.1.2.3", "none", "no", "yes", "no"]
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "init", str(tmp_path / "new")],
        stdin=theirs,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "IEC 104 masters" in done.stderr
    plan = load_site(tmp_path / "new" / "site.yaml")
    assert plan.name == "station-7" and list(plan.device_drivers) == ["pcs1"]
    assert [server.name for server in plan.servers] == ["iec104"]
    assert plan.history is not None and plan.screen is None
