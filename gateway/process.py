"""Entry of every process that the supervisor starts: ``python -m gateway.process ROLE ...``."""

from __future__ import annotations

import gc
import os
import pickle
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.log import setup
from gateway.processes.child import Child, read_plan, run_child
from gateway.terminal import complain


def _loaded() -> None:
    """What was loaded stays for good: it is never looked through for garbage, only what comes is."""
    gc.freeze()
    gc.enable()


def _core() -> None:
    from gateway.core import core_main  # noqa: PLC0415 - a process loads only what its role needs
    from gateway.site.plan import SitePlan  # noqa: PLC0415

    plan: SitePlan = read_plan()
    setup("core", plan.log_level)
    _loaded()
    run_child("core", lambda child: core_main(plan, child))


def _worker() -> None:
    from gateway.processes.plans import WorkerPlan  # noqa: PLC0415
    from gateway.worker import worker_main  # noqa: PLC0415

    plan: WorkerPlan = read_plan()
    title = f"{plan.server.protocol} {plan.server.name}"
    setup(title, plan.log_level)
    _loaded()
    run_child(title, lambda child: worker_main(plan, child))


def _historian() -> None:
    from gateway.history.plan import HistorianPlan  # noqa: PLC0415
    from gateway.history.worker import historian_main  # noqa: PLC0415

    plan: HistorianPlan = read_plan()
    setup("historian", plan.log_level)
    _loaded()
    run_child("historian", lambda child: historian_main(plan, child))


def _screen() -> None:
    from gateway import registry  # noqa: PLC0415
    from gateway.processes.plans import ScreenPlan  # noqa: PLC0415

    plan: ScreenPlan = read_plan()
    setup("hmi", plan.site.log_level)
    main: Callable[[ScreenPlan, Child], Awaitable[None]] = registry.load(registry.screen().main)
    _loaded()
    run_child("hmi", lambda child: main(plan, child))


def _compile(site: str, state_dir: str) -> None:
    """Load and check the site; write the plans of all processes to standard output as one pickle."""
    from gateway.config import load_site, render  # noqa: PLC0415
    from gateway.contracts.places import ConfigError, Report  # noqa: PLC0415
    from gateway.processes.plans import process_plans  # noqa: PLC0415

    _recover(Path(site))
    try:
        plan = load_site(Path(site))
    except ConfigError as error:
        sys.stderr.write(render(error.report) + "\n")
        raise SystemExit(1) from None
    if plan.warnings:
        sys.stderr.write(render(Report(plan.warnings)) + "\n")
    with os.fdopen(os.dup(1), "wb") as out:
        pickle.dump(process_plans(plan, Path(state_dir) if state_dir else None), out, pickle.HIGHEST_PROTOCOL)


def _recover(site: Path) -> None:
    """A replacement of the site's files that was cut off is undone before anybody reads them."""
    from gateway.site.files import recover  # noqa: PLC0415

    try:
        if recover(site):
            complain(f"{site}: a replacement of its files was cut off; those of before are back")
    except (OSError, ValueError) as error:
        complain(f"{site}: its files cannot be brought back: {error}")
        raise SystemExit(1) from None


def _check(site: str, root: str) -> None:
    """Check a site; write ``{problems, digests, summary, points, masters}`` to standard output as JSON."""
    from gateway.site.check import checked  # noqa: PLC0415

    sys.stdout.write(checked(Path(site), Path(root)) + "\n")


_ROLES: dict[str, Callable[..., None]] = {
    "core": _core,
    "worker": _worker,
    "historian": _historian,
    "screen": _screen,
    "compile": _compile,
    "check": _check,
}

if __name__ == "__main__":
    gc.disable()  # loading leaves hardly any garbage, and looking for it takes a fifth of its time
    _ROLES[sys.argv[1]](*sys.argv[2:])
