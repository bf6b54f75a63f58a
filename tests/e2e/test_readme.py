"""The README tells the truth: its first device is checked as written, its commands exist, its links lead somewhere."""

import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from gateway.__main__ import command_line, main
from gateway.cli.tree import whole
from tests.kit.gateway import ENVIRONMENT, REPO

README = (REPO / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```", README, re.S | re.M)
    return [textwrap.dedent(block) for block in found]


def test_the_first_device_of_the_readme_is_a_right_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    device, master = blocks("csv")
    (site,) = blocks("yaml")
    for path, text in (
        ("pointmaps/devices/first.csv", device),
        ("pointmaps/masters/first_master.csv", master),
        ("my-site.yaml", site),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert main(["check", str(tmp_path / "my-site.yaml")]) == 0
    said = capsys.readouterr()
    assert "3 points" in said.out
    assert said.err == ""


def test_every_command_that_the_readme_names_exists():
    names = set(re.findall(r"gridgate ([a-z]+(?:-[a-z]+)*)", README)) - {"core", "iec", "supervisor"}
    assert {"check", "run", "demo", "points", "command", "force"} <= names
    for name in names:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", name, "--help"], capture_output=True, env=ENVIRONMENT, check=False
        )
        assert done.returncode == 0, name


def test_the_readme_names_every_command():
    for branch in whole(command_line()):
        if branch.words:
            assert re.search(rf"`gridgate [^`|]*\b{branch.words[0]}\b", README), branch.name


def test_every_dependency_has_its_reason():
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    reasons = README[README.index("## Why each dependency") : README.index("## The house")].lower()
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    names = {re.match(r"[A-Za-z0-9-]+", each)[0].lower() for each in wanted}
    parts_of = {"pytest-timeout": "with timeout", "pytest-xdist": "and xdist"}
    assert {name for name in names if parts_of.get(name, name) not in reasons} == set()


def test_the_links_of_the_readme_lead_to_files():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (REPO / target).exists(), target
