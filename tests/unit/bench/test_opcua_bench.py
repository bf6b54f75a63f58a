"""The measuring of OPC UA: a start of each kind is measured, and counts say when something was lost."""

from __future__ import annotations

import asyncio
import json

import pytest

from bench import opcua_changes, opcua_rig, opcua_starting
from tests.kit.nodepoints import needs_node


def test_a_start_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(opcua_starting.ours(200))
    told = json.loads(capsys.readouterr().out)
    assert 0 < told["seconds"] < 60 and told["mb"] > 10


@needs_node
def test_changes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opcua_changes, "SECONDS", 0.3)
    ((rate, seen),) = asyncio.run(opcua_changes._ours(200, (1_000.0,)))
    assert rate == 1_000.0 and seen.cpu >= 0
    assert opcua_changes._best([(rate, seen)]) in (0.0, 1_000.0)


def test_names_fill_folders_of_a_hundred() -> None:
    names = opcua_rig.names(250)
    assert len(set(names)) == 250
    assert {name.rpartition("/")[0] for name in names} == {"site/rack1", "site/rack2", "site/rack3"}
