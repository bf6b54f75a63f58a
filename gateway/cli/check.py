"""`gridgate check`: what is wrong with a site's configuration, all of it; or what the site is."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.config import load_site, render, summary
from gateway.contracts.places import ConfigError, Report
from gateway.site.plan import SitePlan
from gateway.terminal import Exit, answer


def check(site: Path, state_dir: Path | None, as_json: bool) -> int:
    """Print it; 1 when the site would not start."""
    try:
        plan = load_site(site)
    except ConfigError as error:
        if as_json:
            answer("", {"site": None, "problems": _problems(error.report)}, as_json)
        else:
            sys.stderr.write(render(error.report) + "\n")
        return Exit.FAILED
    if state_dir is not None:
        plan = replace(plan, state_dir=state_dir.absolute())
    answer(summary(plan), facts(plan), as_json)
    if plan.warnings and not as_json:
        sys.stderr.write(render(Report(plan.warnings)) + "\n")
    return Exit.DONE


def facts(plan: SitePlan) -> dict[str, Any]:
    """What the site is, for a program."""
    return {
        "site": plan.name,
        "state_dir": str(plan.state_dir),
        "points": len(plan.catalogue),
        "devices": [
            {"name": name, "driver": driver, "points": len(plan.device_rows[name])}
            for name, driver in plan.device_drivers.items()
        ],
        "servers": [
            {"name": each.name, "protocol": each.protocol, "listen": each.listen, "masters": list(each.masters)}
            for each in plan.servers
        ],
        "hmi": None if plan.screen is None else plan.screen.where,
        "problems": _problems(Report(plan.warnings)),
    }


def _problems(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "fatal": problem.fatal,
            "file": problem.place.file,
            "line": problem.place.line,
            "column": problem.place.column,
            "text": problem.message,
        }
        for problem in report.problems
    ]
