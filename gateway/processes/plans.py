"""A site's plan, cut into what each process needs."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.history.plan import HistorianPlan
from gateway.points.model import PointCatalogue
from gateway.processes.child import ProcessPlans
from gateway.site.plan import ServerEntry, SitePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPlan:
    """What one server process needs."""

    site: str
    state_dir: Path
    log_level: str
    catalogue: PointCatalogue
    server: ServerEntry
    alarms: AlarmCatalogue | None = None
    history: Path | None = None
    """Where the historian records; None: nothing is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPlan:
    """What the HMI's process needs: the whole site, since it shows all of it."""

    site: SitePlan
    screen: Any


def process_plans(plan: SitePlan, state_dir: Path | None) -> ProcessPlans:
    """Cut the plan; `state_dir` overrides the site's own."""
    if state_dir is not None:
        plan = replace(plan, state_dir=state_dir.absolute())
    # The core knows servers by their rights alone: a change in a master's map does not touch it.
    core = replace(plan, servers=[], warnings=[], history=None, screen=None, addresses=None)
    processes = {"core": ("core", pickle.dumps(core, pickle.HIGHEST_PROTOCOL))}
    for server in plan.servers:
        worker = WorkerPlan(
            site=plan.name,
            state_dir=plan.state_dir,
            log_level=plan.log_level,
            catalogue=plan.catalogue,
            server=server,
            alarms=plan.alarms,
            history=None if plan.history is None else plan.state_dir / plan.history.folder,
        )
        title = f"{server.protocol} {server.name}"
        processes[title] = ("worker", pickle.dumps(worker, pickle.HIGHEST_PROTOCOL))
    if plan.history is not None:
        historian = HistorianPlan(
            site=plan.name,
            state_dir=plan.state_dir,
            log_level=plan.log_level,
            catalogue=plan.catalogue,
            history=plan.history,
        )
        processes["historian"] = ("historian", pickle.dumps(historian, pickle.HIGHEST_PROTOCOL))
    if plan.screen is not None:
        screen = ScreenPlan(site=replace(plan, screen=None), screen=plan.screen)
        processes["hmi"] = ("screen", pickle.dumps(screen, pickle.HIGHEST_PROTOCOL))
    digests = {title: hashlib.sha256(data).hexdigest() for title, (_, data) in processes.items()}
    return ProcessPlans(
        digests=digests,
        site=plan.name,
        state_dir=str(plan.state_dir),
        processes=processes,
        listens=(
            *(f"{server.protocol} {server.listen}" for server in plan.servers),
            *(() if plan.screen is None else (f"hmi {plan.screen.where}",)),
        ),
    )
