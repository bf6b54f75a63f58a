"""What a running gateway knows of a point, read as `gridgate points --json` reads it, but from within this process.

The command compiles the site anew at each call, a second of a core: too much for a story that asks until something has
come about. The command itself has its own tests.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gateway.cli.points import chosen_rows, json_line
from gateway.cli.session import NotRunningError, connected
from gateway.config import load_site
from gateway.site.plan import SitePlan


def read_point(site: Path, state_dir: Path, name: str) -> dict[str, Any] | None:
    """The point, or the first of those whose name contains `name`; None while no core answers."""
    plan = replace(_plan(site, _stamp(site)), state_dir=state_dir.absolute())
    with ThreadPoolExecutor(1) as elsewhere:  # this thread may have a loop of its own, a browser's
        return elsewhere.submit(asyncio.run, _read(plan, name)).result()


async def _read(plan: SitePlan, name: str) -> dict[str, Any] | None:
    rows = chosen_rows(plan.catalogue, name)
    assert rows, f"no point matches {name}"
    try:
        async with connected(plan, "points") as client:
            told: dict[str, Any] = json.loads(json_line(plan.catalogue, client.mirror, rows[0]))
            return told
    except NotRunningError:
        return None


@lru_cache(maxsize=4)
def _plan(site: Path, stamp: tuple[int, ...]) -> SitePlan:
    return load_site(site)


def _stamp(site: Path) -> tuple[int, ...]:
    """Another one as soon as somebody has changed the site file or a map."""
    files = [site, *site.parent.rglob("*.csv"), *(site.parents[2] / "pointmaps").rglob("*.csv")]
    return tuple(file.stat().st_mtime_ns for file in files)
