"""`gridgate docs` on the demo site, as its engineer runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openpyxl import load_workbook

from tests.kit.gateway import ENVIRONMENT, REPO

DEMO = REPO / "config" / "demo" / "site.yaml"


def docs(site: Path, *arguments: str, at: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gateway", "docs", str(site), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=at, check=False, timeout=60)


def test_the_demo_site_gets_its_statement_and_signal_lists(tmp_path: Path) -> None:
    done = docs(DEMO, "--out", "papers", at=tmp_path)
    assert done.returncode == 0, done.stderr
    written = [Path(line) for line in done.stdout.splitlines()]
    assert [path.name for path in written] == [
        "interoperability.html",
        "signals-sldc-main.html",
        "signals-sldc-main.xlsx",
        "device-profile-rldc-main.html",
        "device-profile-rldc-main.xml",
        "signals-rldc-main.html",
        "signals-rldc-main.xlsx",
    ]
    folder = tmp_path / "papers" / "sldc"
    assert sorted(path.name for path in folder.iterdir()) == [
        path.name for path in written if path.parent.name == "sldc"
    ]
    names = [row[0] for row in load_workbook(folder / "signals-sldc-main.xlsx")["signals"].iter_rows(values_only=True)]
    assert {"point", "poi/frequency", "bess1/pcs/fault"} <= set(names)
    page = (folder / "interoperability.html").read_text()
    assert "demo-bess" in page and "M_ME_TF_1" in page
    assert "http" not in page, "nothing is fetched from elsewhere"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "papers").write_text("a file")
    done = docs(DEMO, "--out", "papers", at=tmp_path)
    assert done.returncode == 1
    assert "documents of server sldc cannot be written" in done.stderr and "papers" in done.stderr


def test_a_wrong_site_is_told_as_by_check(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "site: x\nservers:\n  - {name: a, protocol: morse, listen: 'h:1', masters: []}\n"
    )
    done = docs(tmp_path / "site.yaml", at=tmp_path)
    assert done.returncode == 1
    assert "site.yaml, line 3" in done.stderr and "morse" in done.stderr


def test_a_site_without_a_server_has_nothing_to_show(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("site: x\n")
    done = docs(tmp_path / "site.yaml", at=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "gridgate: no documents: x has no server that writes any\n"
