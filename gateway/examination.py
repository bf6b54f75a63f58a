"""Why a device gives no or wrong values: what the running gateway knows, and its protocol's own doctor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from gateway import registry
from gateway.cli.session import NotRunningError, connected
from gateway.contracts.doctor import Doctor, Finding, Live, Patient, Verdict
from gateway.feed.address import socket_path
from gateway.points.quality import UNUSABLE, Quality
from gateway.site.plan import SitePlan

_COUNTERS_S: Final = 2.0
_SHOWN: Final = 8
_ORDER: Final = (Verdict.FAULT, Verdict.NOTE, Verdict.WELL)


async def _live(plan: SitePlan, device: str) -> Live | None:
    """What the running gateway knows; None when none runs."""
    if not socket_path(plan.state_dir).exists():
        return None
    try:
        async with connected(plan, "doctor") as client:
            try:
                counters = (await client.counters(_COUNTERS_S)).get(device, {})
            except TimeoutError:
                counters = {}
            mirror = client.mirror
            return Live(
                online=bool(mirror.value[plan.device_system[device].online]),
                counters=counters,
                value=mirror.value.copy(),
                quality=mirror.quality.copy(),
            )
    except NotRunningError:
        return None


def _general(patient: Patient) -> Iterator[Finding]:
    """What the gateway itself says of the device."""
    live = patient.live
    if live is None:
        yield Finding(
            verdict=Verdict.NOTE,
            code="not_running",
            says="no gateway runs on this site: only what the device says now is known",
        )
        return
    quality = live.quality[patient.rows]
    bad = patient.rows[(quality & np.uint32(UNUSABLE)) != 0]
    if not len(bad):
        says = f"the gateway has a usable value of each of the {len(patient.rows)} points"
        yield Finding(verdict=Verdict.WELL, code="points", says=says)
        return
    shown = [f"{patient.catalogue.names[row]}: {Quality(int(live.quality[row])).words}" for row in bad[:_SHOWN]]
    if len(bad) > _SHOWN:
        shown.append(f"... and {len(bad) - _SHOWN} more")
    yield Finding(
        verdict=Verdict.NOTE,
        code="points",
        says=f"of {len(patient.rows)} points the gateway has no usable value of {len(bad)}",
        evidence=tuple(shown),
    )


async def examine(plan: SitePlan, device: str) -> tuple[Patient, list[Finding]]:
    """Findings about a device of the site, the worst first."""
    driver_plan = next(made for _, made in plan.drivers if device in made.devices)
    live = await _live(plan, device)
    patient = Patient(
        device=device, plan=driver_plan, catalogue=plan.catalogue, rows=plan.device_rows[device], live=live
    )
    findings = list(_general(patient))
    target = registry.field(plan.device_drivers[device]).doctor
    if target:
        doctor: Doctor = registry.load(target)
        findings += await doctor(patient)
    else:
        says = f"the driver {plan.device_drivers[device]} has no examination of its own"
        findings.append(Finding(verdict=Verdict.NOTE, code="no_doctor", says=says))
    return patient, sorted(findings, key=lambda finding: _ORDER.index(finding.verdict))
