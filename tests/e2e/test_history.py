"""The demo site with a history: recorded, exported, archived, saved and restored, while it runs and after a kill."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import tarfile
from pathlib import Path

import pyarrow.parquet
import pytest
from openpyxl import load_workbook

from tests.kit.gateway import START_S, DemoSite, wait_until


@pytest.fixture
def demo(tmp_path: Path) -> DemoSite:
    site = DemoSite(tmp_path)
    with site.site.open("a") as file:
        file.write("\nhistory: {store: {commit_ms: 50}}\n")
    return site


def rows(site: DemoSite, *arguments: str) -> list[dict[str, str]]:
    done = site.cli("export", "--from", "1h", *arguments)
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_a_day_in_the_life_of_a_history(demo: DemoSite, tmp_path: Path) -> None:
    with demo as site:
        site.start_simulator()
        site.start()
        wait_until(lambda: site.point("system/history/samples")["value"] > 50, "samples", START_S)
        wait_until(lambda: len(rows(site, "--points", "poi/frequency")) > 5, "samples of the frequency", START_S)
        before = rows(site, "--points", "poi/frequency")
        assert {row["unit"] for row in before} == {"Hz"}
        good = [float(row["value"]) for row in before if row["quality"] == "good"]
        assert len(good) > len(before) / 2 and all(45 < value < 55 for value in good)
        assert [row["time"] for row in before] == sorted(row["time"] for row in before)

        os.kill(site.child("historian"), signal.SIGKILL)
        wait_until(lambda: "process ended: it is started again" in site.log_path.read_text(), "the restart")
        wait_until(
            lambda: len(rows(site, "--points", "poi/frequency")) > len(before) + 5, "more samples after a kill", START_S
        )
        again = rows(site, "--points", "poi/frequency")
        assert again[: len(before)] == before, "what was recorded stays"
        assert len({row["time"] for row in again}) == len(again), "no sample twice"

        buckets = rows(site, "--points", "poi/frequency", "--every", "600")
        assert len(buckets) == 6
        assert float(buckets[-1]["lowest"]) <= float(buckets[-1]["mean"]) <= float(buckets[-1]["highest"])
        for ending in ("xlsx", "parquet"):
            out = tmp_path / f"samples.{ending}"
            done = site.cli("export", "--points", "poi/*", "--from", "1h", "--format", ending, "--out", str(out))
            assert done.returncode == 0, done.stderr
        book = load_workbook(tmp_path / "samples.xlsx", read_only=True)
        assert [cell.value for cell in next(iter(book.worksheets[0].rows))] == list(before[0])
        book.close()
        table = pyarrow.parquet.read_table(tmp_path / "samples.parquet")
        assert table.column_names == ["time", "point", "value", "unit", "quality"]
        assert table.num_rows > 10

        assert site.cli("command", "bess1/pcs/power_setpoint", "100").returncode == 0

        def archived() -> list[dict[str, object]]:
            done = site.cli("archive", "action", "--json", "--from", "1h")
            return [json.loads(line) for line in done.stdout.splitlines()]

        wait_until(lambda: any(line.get("step") == "completed" for line in archived()), "the command in the archive")
        site.order("fault on")
        wait_until(lambda: "bess1/pcs/fault,1.0,good" in site.cli("archive", "soe").stdout, "the fault in the archive")
        assert site.cli("archive", "verify").stdout.splitlines()[0].endswith("unbroken")

        saved = tmp_path / "backup.tar.gz"
        done = site.cli("backup", str(saved), "--history")
        assert done.returncode == 0, done.stderr
        assert saved.stat().st_mode & 0o777 == 0o600
    restore(demo, saved, tmp_path / "again", len(again))


def restore(demo: DemoSite, saved: Path, folder: Path, samples: int) -> None:
    done = demo.run("restore", str(saved), str(folder))
    assert done.returncode == 0, done.stderr
    site_file = next(folder.rglob("site.yaml"))
    state = done.stdout.splitlines()[-1].removeprefix("state in ")
    exported = demo.run("export", str(site_file), "--state-dir", state, "--points", "poi/frequency", "--from", "1h")
    assert exported.returncode == 0, exported.stderr
    assert len(exported.stdout.splitlines()) > samples
    assert demo.run("archive", str(site_file), "--state-dir", state, "verify").returncode == 0
    refused = demo.run("restore", str(saved), str(folder))
    assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)


def test_a_damaged_backup_restores_nothing(demo: DemoSite, tmp_path: Path) -> None:
    saved = tmp_path / "backup.tar.gz"
    demo.state_dir.mkdir()
    (demo.state_dir / "epoch").write_text("7")
    done = demo.cli("backup", str(saved))
    assert done.returncode == 0, done.stderr
    with tarfile.open(saved) as tar:
        parts = [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    edited = tmp_path / "edited.tar.gz"
    with tarfile.open(edited, "w:gz") as tar:
        for member, data in parts:
            content = data.replace(b"scan_ms", b"scan_mz") if member.name.endswith("site.yaml") else data
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    refused = demo.run("restore", str(edited), str(tmp_path / "again"))
    assert refused.returncode == 1
    assert "is damaged: config/" in refused.stderr
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(saved.read_bytes()[:-200])
    refused = demo.run("restore", str(cut), str(tmp_path / "again"))
    assert refused.returncode == 1
    assert "is no whole backup" in refused.stderr
    assert not (tmp_path / "again").exists()
