"""A flood of alarms in a core is worked off in slices: whole, in order, with the loop turning in between."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gateway.alarms.service
from gateway.core import Core
from tests.kit.feedkit import QuietLog
from tests.kit.sitekit import Site, small_site

POINTS = 50


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        made.write(
            "maps/hot.csv",
            "point,kind,address,unit,alarm_h\n" + "".join(f"t{i},analog,{i},degC,55\n" for i in range(POINTS)),
        )
        made.write(
            "site.yaml",
            "site: hilltop\ndevices:\n  - {name: hot, driver: bench, url: a, map: maps/hot.csv, prefix: hot}\n",
        )
        yield made


@pytest.mark.parametrize("stop_at_once", [False, True])
def test_a_flood_is_told_whole_and_in_order(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at_once: bool
) -> None:
    monkeypatch.setattr(gateway.alarms.service, "_SLICE_NS", 0)  # one change in each turn

    async def scene() -> int:
        plan = site.load()
        plan.state_dir = tmp_path / "state"
        core = Core(plan, QuietLog())
        core.audit.start()
        core.alarms.start()
        rows = np.array([plan.catalogue.rows[f"hot/t{i}"] for i in range(POINTS)], np.uint32)
        first = core.alarms.engine.seq
        for celsius in (60.0, 20.0, 61.0):
            core.publish(rows, np.full(POINTS, celsius), np.zeros(POINTS, np.uint32), time.time_ns())
        assert core.alarms.engine.seq - first <= 2, "the loop is not held"
        turns = 0
        while not stop_at_once and core.alarms.engine.seq < first + 3 * POINTS:
            await asyncio.sleep(0)
            turns += 1
        await core.stop()
        return turns

    turns = asyncio.run(scene())
    assert stop_at_once or turns > POINTS
    folder = tmp_path / "state" / "alarms"
    lines = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    told = [(line["event"], line["alarm"]) for line in lines]
    names = [f"hot/t{i}/h" for i in range(POINTS)]
    assert told == [(event, name) for event in ("raised", "returned", "raised") for name in names]
    assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
