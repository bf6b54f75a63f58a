"""`gridgate doctor`: why a device gives no or wrong values, in plain words, with the evidence and what to do."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from gateway.contracts.doctor import Finding, Patient, Verdict
from gateway.contracts.places import nearest
from gateway.examination import examine
from gateway.site.plan import SitePlan
from gateway.terminal import Colour, answer, paint, refuse

_COLOURS: Final = {"ok": Colour.GREEN, "note": Colour.YELLOW, "FAULT": Colour.RED}
_MARKS: Final = {Verdict.WELL: "ok", Verdict.NOTE: "note", Verdict.FAULT: "FAULT"}


def _lines(patient: Patient, findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        yield from _wrapped(finding.says, f"{_MARKS[finding.verdict]:<6}")
        for line in finding.evidence:
            yield from _wrapped(line, "       - ", " " * 9)
        if finding.advice:
            yield from _wrapped(finding.advice, "       > ", " " * 9)
    if patient.live is not None and patient.live.counters:
        yield ""
        yield "counted since the gateway started:"
        for name, count in patient.live.counters.items():
            yield f"  {name:<24}{count:>12,}"


def _coloured(line: str) -> str:
    mark = line[:6].strip()
    return paint(line[:6], _COLOURS.get(mark)) + line[6:]


def _wrapped(text: str, first: str, rest: str = " " * 7) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=f"{first} ", subsequent_indent=rest) or [first]


def _object(patient: Patient, findings: list[Finding]) -> dict[str, Any]:
    return {
        "device": patient.device,
        "well": not any(finding.verdict is Verdict.FAULT for finding in findings),
        "running": patient.live is not None,
        "counters": dict(patient.live.counters) if patient.live is not None else {},
        "findings": [
            {
                "verdict": finding.verdict.value,
                "code": finding.code,
                "says": finding.says,
                "evidence": list(finding.evidence),
                "advice": finding.advice,
            }
            for finding in findings
        ],
    }


def doctor(plan: SitePlan, device: str, as_json: bool) -> int:
    """Examine and print; returns the exit code: 1 when something is wrong."""
    if device not in plan.device_drivers:
        known = ", ".join(plan.device_drivers) or "none"
        return refuse(f"there is no device {device}{nearest(device, plan.device_drivers)}; known are: {known}")
    patient, findings = asyncio.run(examine(plan, device))
    answer("\n".join(map(_coloured, _lines(patient, findings))), _object(patient, findings), as_json)
    return int(any(finding.verdict is Verdict.FAULT for finding in findings))
