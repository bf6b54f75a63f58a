"""The droop test: a synthetic frequency in the controller's input, and what the plant makes of it, by clause.

Only the controller sees the frequency: masters and the historian go on seeing the measured one. It ends by itself when
whoever runs it ends: the frequency holds for three seconds at a time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.contracts.documents import Section, Table, paragraph, section_text, write_page
from gateway.control.evidence.clauses import ClauseVerdict, judge
from gateway.control.frequency.plan import DroopPlan
from gateway.control.frequency.profiles import Clause, Profile
from gateway.control.plan import ControlPlan

_SHOW_EVERY_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.05
_SETTLE_S: Final = 3.0


class DroopTestError(Exception):
    """It cannot be tested. The text says why."""


def droops_of(control: ControlPlan | None) -> list[DroopPlan]:
    """The frequency responses of a site."""
    controllers: Any = () if control is None else control.controllers
    return [entry for entry in controllers if isinstance(entry, DroopPlan)]


def droop_of(control: ControlPlan | None, unit: str) -> DroopPlan:
    """That of this unit, or the only one when `unit` is empty. Raises `DroopTestError`."""
    found = droops_of(control)
    chosen = [entry for entry in found if not unit or entry.name == unit]
    if not found:
        raise DroopTestError("no unit of this site has a frequency response (control: droop)")
    if len(chosen) != 1:
        names = ", ".join(entry.name for entry in found)
        raise DroopTestError(f"which unit? with a frequency response there are: {names}")
    return chosen[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class DroopTest:
    """`show` commands the frequency (0 ends it) and raises `DroopTestError`; `power_kw` is NaN while it is not known.

    `say` hears what is done next.
    """

    droop: DroopPlan
    profile: Profile
    show: Callable[[float], Awaitable[None]]
    power_kw: Callable[[], float]
    say: Callable[[str], None]

    async def run(self, judged: Callable[[ClauseVerdict], None] = lambda verdict: None) -> list[ClauseVerdict]:
        """All clauses; `judged` hears each verdict at once. Raises `DroopTestError`."""
        nominal = self.droop.response.nominal_hz
        verdicts: list[ClauseVerdict] = []
        try:
            self.say(f"{nominal:g} Hz, until the unit is at rest")
            await self._hold(nominal, _SETTLE_S)
            known = [kw for _, kw in await self._hold(nominal, _SETTLE_S / 3) if not math.isnan(kw)]
            if not known:
                raise DroopTestError(f"the power of {self.droop.name} is not known: nothing can be judged")
            base = sum(known) / len(known)
            for clause in self.profile.clauses:
                verdicts.append(await self._clause(clause, base))
                judged(verdicts[-1])
            return verdicts
        finally:
            await self.show(0.0)

    async def _clause(self, clause: Clause, base: float) -> ClauseVerdict:
        droop = self.droop
        self.say(f"{clause.hz:.3f} Hz for {clause.hold_s:g} s: {clause.clause}")
        seen = await self._hold(clause.hz, clause.hold_s)
        samples = [(at_s, (kw - base) / droop.rated_kw * 100) for at_s, kw in seen if not math.isnan(kw)]
        expected = droop.response.curve(clause.hz)
        return judge(clause, samples, 0.0 if droop.response.band.holds(clause.hz) else expected)

    async def _hold(self, hz: float, seconds: float) -> list[tuple[float, float]]:
        """Show the frequency for so long; (s, kW) as they come."""
        await self.show(hz)
        began = shown = time.monotonic()
        samples = []
        while (at_s := time.monotonic() - began) < seconds:
            samples.append((at_s, self.power_kw()))
            if time.monotonic() - shown >= _SHOW_EVERY_S:
                await self.show(hz)
                shown = time.monotonic()
            await asyncio.sleep(_LOOK_EVERY_S)
        return samples


def write_droop_test(
    out: Path, site: str, droop: DroopPlan, profile: Profile, verdicts: list[ClauseVerdict], person: str
) -> Path:
    """The report as a page. Raises `OSError`."""
    rows: list[tuple[str, ...]] = [
        ("pass" if verdict.passed else "FAIL", verdict.clause, verdict.words) for verdict in verdicts
    ]
    settings: list[tuple[str, ...]] = [(key, str(value)) for key, value in sorted(droop.settings.items())]
    return write_page(
        out,
        f"Droop test of {droop.name}: {profile.title}",
        [
            paragraph(f"Site {site}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}, by {person}."),
            paragraph("TEST: a synthetic frequency was shown to the controller; the plant's answer was measured."),
            section_text(Section("Clauses", table=Table(("verdict", "clause", "measured"), rows))),
            section_text(
                Section("Settings", text=f"SHA-256 {droop.attestation}", table=Table(("key", "value"), settings))
            ),
        ],
    )
