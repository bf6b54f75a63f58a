"""Protocol packages are found, not named."""

from __future__ import annotations

import importlib.metadata

import pytest

from gateway import registry
from tests.kit.sitekit import Site


def test_folders_are_found(site: Site) -> None:
    assert "bench" in registry.field_names()
    assert "relay" in registry.grid_names()
    assert registry.load(registry.field("bench").settings).row_model.__name__ == "BenchRow"


def test_an_unknown_name_says_what_is_there(site: Site) -> None:
    with pytest.raises(registry.UnknownProtocol, match=r"no driver bensh .*did you mean bench.*installed: .*bench"):
        registry.field("bensh")
    with pytest.raises(registry.UnknownProtocol, match="no server protocol bench"):
        registry.grid("bench")


def test_a_package_that_does_not_import_keeps_no_other_from_working(site: Site) -> None:
    with pytest.raises(registry.UnknownProtocol, match="driver broken cannot be imported: No module named"):
        registry.field("broken")


def test_entry_points_are_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("outside", "protocols.bench", registry.GROUP)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == registry.GROUP else [])
    registry.forget()
    assert registry.field("outside") == registry.field("bench")


def test_load_tells_a_missing_attribute(site: Site) -> None:
    with pytest.raises(ImportError, match="has no NOTHING"):
        registry.load("protocols.bench.settings:NOTHING")
