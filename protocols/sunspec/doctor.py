"""Why a SunSpec device gives no or wrong values: the examination of Modbus, then of its models. Never writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, cast

import numpy as np

from gateway.contracts.doctor import Finding, Observation, Patient, Verdict, fault, note, observe
from gateway.points import Quality
from protocols.modbus import frame
from protocols.modbus.diagnosis import counted_findings, line_findings, timing_findings
from protocols.modbus.doctor import Exam, connect, held, patience_of, reach
from protocols.modbus.frame import ModbusError, Refusal
from protocols.modbus.plan import LinePlan, Table
from protocols.sunspec.driver import SunSpecDriver
from protocols.sunspec.plan import SunUnitPlan
from protocols.sunspec.survey import BASES, NotSunSpec, Survey, walk
from protocols.sunspec.unit import SunUnit

_SCANS: Final = 3
_LEAST_WATCH_S: Final = 2.0
_SHOWN: Final = 8


async def examine(patient: Patient) -> list[Finding]:
    """Findings about one SunSpec device (`gateway.contracts.doctor.Doctor`)."""
    plan = cast(LinePlan, patient.plan)
    unit = cast(SunUnitPlan, next(each for each in plan.units if each.device == patient.device))
    if plan.url.framed_rtu and patient.live is not None:
        return [
            held(plan.url, "the running gateway has the serial line, which is no place for two masters"),
            *counted_findings(patient),
        ]
    exam = Exam(plan.url, unit.unit, patience_of(unit))
    findings = await connect(exam, patient)
    if not findings:
        try:
            findings = await _examine(exam, patient, unit)
        finally:
            exam.client.close()
        if not any(finding.verdict is Verdict.FAULT for finding in findings):
            findings += await _values(patient, plan, unit)
    return [*findings, *counted_findings(patient)]


async def _examine(exam: Exam, patient: Patient, unit: SunUnitPlan) -> list[Finding]:
    absent = await reach(exam, frame.read(Table.HOLDING, BASES[0] if unit.base is None else unit.base, 2))
    if absent is not None:
        return [absent, *line_findings(unit, exam.doubled, exam.others, 0)]
    try:
        survey = await _survey(exam, unit)
    except NotSunSpec as error:
        advice = (
            "has the device SunSpec switched on (often a setting), is the unit right, does it stand elsewhere (base)?"
        )
        return [fault("no_models", "no SunSpec models were found", str(error), advice)]
    except ModbusError as error:
        return [fault("cut", "the device stopped answering while its models were read", str(error), "ask again")]
    return [
        *_models(survey, unit),
        *timing_findings(exam.times_s, unit.timeout_s, {}),
        *line_findings(unit, exam.doubled, exam.others, 0),
    ]


async def _survey(exam: Exam, unit: SunUnitPlan) -> Survey:
    steps = walk(unit.models, unit.base)
    wanted = next(steps)
    while True:
        try:
            data: bytes | None = await exam.ask(frame.read(Table.HOLDING, *wanted))
        except Refusal:
            data = None
        try:
            wanted = steps.send(data)
        except StopIteration as end:
            survey: Survey = end.value
            return survey


def _models(survey: Survey, unit: SunUnitPlan) -> Iterator[Finding]:
    wrong = SunUnit(unit, 1.0).bind(survey)
    reasons: dict[str, list[int]] = {}
    for position, why in wrong.items():
        reasons.setdefault(why, []).append(position)
    for why, positions in reasons.items():
        names = ", ".join(str(unit.bindings.name[position]) for position in positions[:_SHOWN])
        advice = "`gridgate sunspec scan` writes a map of what this device has; has its firmware changed?"
        yield fault("model", f"{len(positions)} points cannot be read: {why}", names, advice)
    if not survey.complete:
        yield note("no_end", "the list of models has no end mark")
    maker = " ".join(filter(None, (survey.common.get(key, "") for key in ("Mn", "Md", "SN"))))
    if not wrong:
        models = ", ".join(str(found.id) for found in survey.models)
        says = f"{maker or 'the device'} has the models {models} at {survey.base}, each as it is defined"
        yield Finding(verdict=Verdict.WELL, code="models", says=says)


async def _values(patient: Patient, plan: LinePlan, unit: SunUnitPlan) -> list[Finding]:
    """What a few scans of the driver bring."""
    seen = Observation(patient.catalogue)
    longest_s = float(unit.bindings.scan_s.max()) if len(unit.bindings) else 1.0
    await observe(
        SunSpecDriver(plan, seen),
        max(_SCANS * longest_s, _LEAST_WATCH_S),
        lambda: bool(seen.time_ns[patient.rows].all()),
    )
    return list(_judged(patient, seen))


def _judged(patient: Patient, seen: Observation) -> Iterator[Finding]:
    rows, quality = patient.rows, seen.quality[patient.rows]
    missing = rows[(quality & np.uint32(Quality.NEVER_REPORTED)) != 0]
    if len(missing):
        names = [patient.catalogue.names[row] for row in missing[:_SHOWN]]
        says = f"{len(missing)} points are fields that the device does not implement: they are never reported"
        yield note("unimplemented", says, *names, advice="take them out of the map, or leave them as they are")
    invalid = rows[(quality & np.uint32(Quality.INVALID)) != 0]
    if len(invalid):
        names = [patient.catalogue.names[row] for row in invalid[:_SHOWN]]
        says = f"{len(invalid)} points have no valid value: no scale factor, or the device refuses their register"
        advice = "the device's firmware gives a value without its scale: ask its maker"
        yield Finding(verdict=Verdict.FAULT, code="scale_factor", says=says, evidence=tuple(names), advice=advice)
    low, high = patient.catalogue.low[rows], patient.catalogue.high[rows]
    outside = rows[(quality == 0) & ((seen.value[rows] < low) | (seen.value[rows] > high))]
    if len(outside):
        shown = [patient.shown(int(row), float(seen.value[row])) for row in outside[:_SHOWN]]
        yield note("out_of_range", f"{len(outside)} values are outside the range of the map", *shown)
