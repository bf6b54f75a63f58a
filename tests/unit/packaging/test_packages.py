"""What `pip install` packs is what stands in the checkout."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from gateway.paths import shipped

ROOT = Path(__file__).resolve().parents[3]


def setuptools_table() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    return table


def test_every_package_on_disk_is_listed_and_every_listed_one_is_on_disk() -> None:
    table = setuptools_table()
    mapped = set(table["package-dir"])
    on_disk = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for top in ("gateway", "protocols", "hmi")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert set(table["packages"]) - mapped == on_disk


def test_mapped_data_folders_exist() -> None:
    for folder in setuptools_table()["package-dir"].values():
        assert (ROOT / folder).is_dir()


def test_shipped_data_is_found_in_a_checkout() -> None:
    assert shipped("config/demo/site.yaml").is_file()
    assert (shipped("config/demo") / "../../pointmaps/devices/pcs.csv").resolve().is_file()


def test_missing_data_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"config/nowhere\.yaml"):
        shipped("config/nowhere.yaml")
