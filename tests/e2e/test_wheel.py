"""What is handed out: a source archive from which the wheel is built, and the wheel, installed and run elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.kit.gateway import REPO

PACKED = ("gateway", "protocols", "hmi", "config", "pointmaps", "pyproject.toml", "README.md", "LICENSE")
DATA = {"gateway/shipped/config": "config", "gateway/shipped/pointmaps": "pointmaps", "hmi/static": "hmi/static"}
"""Folder in the wheel -> folder of the checkout whose files are all in it."""
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


def build(what: str, source: Path, out: Path) -> Path:
    """As `pip wheel` or `python -m build` do it, with the setuptools of the tests."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, what, str(out)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return out / done.stdout.splitlines()[-1]


def is_data(path: Path) -> bool:
    return path.is_file() and path.suffix != ".pyc" and "__pycache__" not in path.parts


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that was built from the source archive, which was built from a copy of the checkout."""
    root = tmp_path_factory.mktemp("wheel")
    copy = root / "checkout"
    copy.mkdir()
    for name in PACKED:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPO / name, copy / name)
    archive = build("sdist", copy, root / "dist")
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "data_filter"):  # Debian 12's Python is a little older than it
            tar.extraction_filter = tarfile.data_filter
        tar.extractall(root / "unpacked")
    (source,) = (root / "unpacked").iterdir()
    return build("wheel", source, root / "dist")


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; what it depends on is lent by the tests' own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], timeout=60, check=True)
    python = folder / "venv" / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*command, str(wheel)], timeout=110, check=True)
    packages = next((folder / "venv" / "lib").glob("python3*/site-packages"))
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def gridgate(folder: Path, *words: str) -> str:
    """Run the installed command outside the checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(folder / "venv" / "bin" / "gridgate"), *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_data_file_is_inside(wheel: Path):
    inside = set(zipfile.ZipFile(wheel).namelist())
    for folder, source in DATA.items():
        files = {f"{folder}/{path.relative_to(REPO / source)}" for path in (REPO / source).rglob("*") if is_data(path)}
        assert files, source
        assert files - inside == set()
    assert not [name for name in inside if name.startswith(("tests/", "bench/"))]
    assert any(name.endswith("licenses/LICENSE") for name in inside)


def test_it_checks_the_shipped_site_and_a_new_one_outside_the_checkout(elsewhere: Path):
    where = gridgate(elsewhere, "service", str(shipped(elsewhere)))
    assert str(elsewhere) in where
    said = gridgate(elsewhere, "check", str(shipped(elsewhere)))
    assert "site demo-bess" in said and "server sldc: iec104" in said
    gridgate(elsewhere, "init", "mine", "--yes")
    assert "hmi: http://127.0.0.1:8080" in gridgate(elsewhere, "check", "mine/site.yaml")


def shipped(folder: Path) -> Path:
    """The demo site inside the installed package."""
    (site,) = (folder / "venv").glob("lib/python3*/site-packages/gateway/shipped/config/demo/site.yaml")
    return site


def test_it_runs_from_there(elsewhere: Path):
    version = gridgate(elsewhere, "--version")
    assert version.startswith("gridgate ")
    assert "SUNSPEC" in gridgate(elsewhere, "man").upper(), "protocols are found in the wheel too"
