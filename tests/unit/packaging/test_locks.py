"""The locks are of this pyproject.toml: every dependency is pinned as it asks, and hashed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ASKED = {
    "run.txt": [*PROJECT["dependencies"], *EXTRAS["pki"]],
    "test.txt": [*PROJECT["dependencies"], *EXTRAS["test"]],
}
PIN = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^ ;\\]+)[^\n]*\\\n"
    r"(?P<hashes>(?:    --hash=\S+[^\n]*\n)*)",
    re.M,
)


def pins(name: str) -> dict[str, set[str]]:
    """Package -> the versions that are pinned, by Python or platform."""
    out: dict[str, set[str]] = {}
    for pin in PIN.finditer((ROOT / "config" / "locks" / name).read_text() + "\n"):
        assert "--hash=sha256:" in pin["hashes"], f"{name}: {pin['name']} has no hash"
        out.setdefault(canonicalize_name(pin["name"]), set()).add(pin["version"])
    return out


@pytest.mark.parametrize("name", ASKED)
def test_a_lock_satisfies_pyproject(name: str):
    pinned = pins(name)
    for word in ASKED[name]:
        requirement = Requirement(word)
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert versions, f"{requirement.name} is not in config/locks/{name}: make lock"
        for version in versions:
            assert requirement.specifier.contains(Version(version), prereleases=True), (
                f"{word}, not {version}: make lock"
            )


def test_tests_run_on_the_versions_that_are_served():
    run, test = pins("run.txt"), pins("test.txt")
    assert {name: test[name] for name in run if name in test and test[name] != run[name]} == {}
    assert run.keys() <= test.keys()


def test_every_line_is_a_pin_or_a_hash():
    for name in ASKED:
        for line in (ROOT / "config" / "locks" / name).read_text().splitlines():
            assert re.match(r"\S+==\S+.* \\$|    --hash=sha256:[0-9a-f]{64}( \\)?$| *#", line), line
