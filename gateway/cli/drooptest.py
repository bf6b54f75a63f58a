"""`gridgate droop-test`: a synthetic frequency in the controller's input, and what the plant makes of it, by clause.

Only the controller sees the frequency: masters and the historian go on seeing the measured one. It ends by itself when
this command ends, however it ends: the frequency holds for three seconds at a time.
"""

from __future__ import annotations

import asyncio
import getpass
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.cli.session import command, connected
from gateway.contracts.command import Action, Stage
from gateway.contracts.documents import Section, Table, paragraph, section_text, write_page
from gateway.control.evidence.clauses import ClauseVerdict, judge
from gateway.control.frequency.plan import DroopPlan
from gateway.control.frequency.profiles import Clause, Profile, ProfileError, load_profile
from gateway.points.quality import UNUSABLE
from gateway.siteplan import SitePlan
from gateway.terminal import answer

_SHOW_EVERY_S = 1.0
_LOOK_EVERY_S = 0.05
_SETTLE_S = 3.0


class DroopTestError(Exception):
    """It cannot be tested. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroopTestOptions:
    """`unit`: the only one when empty; `profile`: whose clauses; `speed`: divides how long steps are held."""

    unit: str
    profile: str
    out: Path | None
    as_json: bool = False


def droop_test(plan: SitePlan, options: DroopTestOptions) -> int:
    """0 when every clause is met. Raises `DroopTestError`, `NotRunningError`."""
    droop = _droop_of(plan, options.unit)
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
        _write(options.out, plan, droop, profile, verdicts)
        answer(str(options.out), {"page": str(options.out)}, options.as_json)
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _droop_of(plan: SitePlan, unit: str) -> DroopPlan:
    controllers: Any = () if plan.control is None else plan.control.controllers
    found = [entry for entry in controllers if isinstance(entry, DroopPlan)]
    chosen = [entry for entry in found if not unit or entry.name == unit]
    if not found:
        raise DroopTestError("no unit of this site has a frequency response (control: droop)")
    if len(chosen) != 1:
        names = ", ".join(entry.name for entry in found)
        raise DroopTestError(f"which unit? with a frequency response there are: {names}")
    return chosen[0]


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

        nominal = droop.response.nominal_hz
        try:
            await _hold(show, nominal, _SETTLE_S, power_kw)
            quiet = [kw for _, kw in await _hold(show, nominal, _SETTLE_S / 3, power_kw)]
            known = [kw for kw in quiet if not math.isnan(kw)]
            if not known:
                raise DroopTestError(f"the power of {droop.name} is not known: nothing can be judged")
            base = sum(known) / len(known)
            return [await _clause(clause, show, power_kw, base, droop) for clause in profile.clauses]
        finally:
            await show(0.0)


async def _clause(
    clause: Clause, show: Callable[[float], Any], power_kw: Callable[[], float], base: float, droop: DroopPlan
) -> ClauseVerdict:
    sys.stderr.write(f"{clause.hz:.3f} Hz for {clause.hold_s:g} s: {clause.clause}\n")
    seen = await _hold(show, clause.hz, clause.hold_s, power_kw)
    samples = [(at_s, (kw - base) / droop.rated_kw * 100) for at_s, kw in seen if not math.isnan(kw)]
    expected = droop.response.curve(clause.hz)
    return judge(clause, samples, 0.0 if droop.response.band.holds(clause.hz) else expected)


async def _hold(
    show: Callable[[float], Any], hz: float, seconds: float, power_kw: Callable[[], float]
) -> list[tuple[float, float]]:
    """Show the frequency for so long; (s, kW) as they come."""
    await show(hz)
    began = shown = time.monotonic()
    samples = []
    while (at_s := time.monotonic() - began) < seconds:
        samples.append((at_s, power_kw()))
        if time.monotonic() - shown >= _SHOW_EVERY_S:
            await show(hz)
            shown = time.monotonic()
        await asyncio.sleep(_LOOK_EVERY_S)
    return samples


def _write(out: Path, plan: SitePlan, droop: DroopPlan, profile: Profile, verdicts: list[ClauseVerdict]) -> None:
    rows: list[tuple[str, ...]] = [
        ("pass" if verdict.passed else "FAIL", verdict.clause, verdict.words) for verdict in verdicts
    ]
    settings: list[tuple[str, ...]] = [(key, str(value)) for key, value in sorted(droop.settings.items())]
    write_page(
        out,
        f"Droop test of {droop.name}: {profile.title}",
        [
            paragraph(f"Site {plan.name}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}, by {getpass.getuser()}."),
            paragraph("TEST: a synthetic frequency was shown to the controller; the plant's answer was measured."),
            section_text(Section("Clauses", table=Table(("verdict", "clause", "measured"), rows))),
            section_text(
                Section("Settings", text=f"SHA-256 {droop.attestation}", table=Table(("key", "value"), settings))
            ),
        ],
    )
