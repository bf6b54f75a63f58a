"""`gridgate droop-test`: the droop test on the command line; see `gateway.control.evidence.drooptest`."""

from __future__ import annotations

import asyncio
import getpass
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.session import command, connected
from gateway.contracts.command import Action, Stage
from gateway.control.evidence.clauses import ClauseVerdict
from gateway.control.evidence.drooptest import DroopTest, DroopTestError, droop_of, write_droop_test
from gateway.control.frequency.plan import DroopPlan
from gateway.control.frequency.profiles import Profile, ProfileError, load_profile
from gateway.points.quality import UNUSABLE
from gateway.site.plan import SitePlan
from gateway.terminal import answer

__all__ = ["DroopTestError", "DroopTestOptions", "droop_test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DroopTestOptions:
    """`unit`: the only one when empty; `profile`: whose clauses; `speed`: divides how long steps are held."""

    unit: str
    profile: str
    out: Path | None
    as_json: bool = False


def droop_test(plan: SitePlan, options: DroopTestOptions) -> int:
    """0 when every clause is met. Raises `DroopTestError`, `NotRunningError`."""
    droop = droop_of(plan.control, options.unit)
    try:
        profile = load_profile(options.profile, plan.path.parent)
    except ProfileError as error:
        raise DroopTestError(str(error)) from None
    if not profile.clauses:
        raise DroopTestError(f"profile {profile.name} has no clauses to test")
    verdicts = asyncio.run(_test(plan, droop, profile))
    for verdict in verdicts:
        words = f"{'pass' if verdict.passed else 'FAIL'}  {verdict.clause}: {verdict.words}"
        facts = {"clause": verdict.clause, "passed": verdict.passed, "words": verdict.words}
        answer(words, facts, options.as_json)
    if options.out is not None:
        write_droop_test(options.out, plan.name, droop, profile, verdicts, getpass.getuser())
        answer(str(options.out), {"page": str(options.out)}, options.as_json)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


async def _test(plan: SitePlan, droop: DroopPlan, profile: Profile) -> list[ClauseVerdict]:
    async with connected(plan, "droop-test") as client:

        def power_kw() -> float:
            row = droop.power
            known = row >= 0 and not int(client.mirror.quality[row]) & int(UNUSABLE)
            return float(client.mirror.value[row]) if known else math.nan

        async def show(hz: float) -> None:
            outcome = await command(client, droop.rows.test_hz, hz, Action.EXECUTE, getpass.getuser())
            if outcome.stage is not Stage.COMPLETED:
                raise DroopTestError(f"the frequency cannot be shown: {outcome.text}")

        def say(words: str) -> None:
            sys.stderr.write(f"{words}\n")

        return await DroopTest(droop=droop, profile=profile, show=show, power_kw=power_kw, say=say).run()
