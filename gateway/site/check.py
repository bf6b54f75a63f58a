"""A site checked for a program: problems with their places, and what the site is, as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from gateway.config import load_site, summary
from gateway.contracts.places import ConfigError, Problem
from gateway.points.model import Point
from gateway.processes.plans import process_plans
from gateway.site.plan import SitePlan


def checked(site: Path, root: Path) -> str:
    """JSON. Names of files are relative to `root`; digests are those of any other root with a name of its length."""
    try:
        plan = load_site(site)
    except ConfigError as error:
        return json.dumps({"problems": [_problem(each, root) for each in error.report.problems], "ok": False})
    plans = process_plans(plan, root / "state")
    digests = {title: _placeless(data, root) for title, (_, data) in plans.processes.items()}
    return json.dumps(
        {
            "ok": True,
            "problems": [_problem(each, root) for each in plan.warnings],
            "digests": digests,
            "summary": summary(plan).replace(str(root), "").splitlines(),
            "points": _points(plan),
            "rights": {f"{server}/{master}": len(rows) for (server, master), rows in plan.rights.items()},
            "bindings": {
                f"{entry.name}/{name}": count for entry in plan.servers for name, count in entry.bindings.items()
            },
        }
    )


def _placeless(data: bytes, root: Path) -> str:
    """A digest that another root with a name of the same length leaves as it is. Paths are pickled by their parts."""
    for part in (os.fsencode(root), os.fsencode(root.name)):
        data = data.replace(part, b"?" * len(part))
    return hashlib.sha256(data).hexdigest()


def _points(plan: SitePlan) -> dict[str, str]:
    """What each point is, in one line: two sites differ in the points whose lines differ."""
    return {point.name: _line(point) for point in plan.catalogue}


def _line(point: Point) -> str:
    facts = (point.kind.word, point.unit, point.low, point.high, point.alarm_ll, point.alarm_l, point.alarm_h)
    return " ".join(map(str, (*facts, point.alarm_hh, point.max_age_s, point.device, point.description)))


def _problem(problem: Problem, root: Path) -> dict[str, Any]:
    place = problem.place
    file = Path(place.file)
    name = str(file.relative_to(root)) if file.is_relative_to(root) else place.file
    return {
        "file": name,
        "line": place.line,
        "column": place.column,
        "fatal": problem.fatal,
        "text": problem.message.replace(f"{root}/", ""),
    }
