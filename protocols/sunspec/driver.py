"""The driver of a line of SunSpec devices: the Modbus driver, with a walk over the models before each device is read.

A device whose models are not what its map expects gives no wrong value: the points concerned are invalid, the reason is
in the log, and it is looked at again every half minute. What the models rest on is read with every scan; when it
changes, nothing is published and the walk begins anew.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from gateway.points import Quality
from protocols.modbus.driver import ModbusDriver
from protocols.modbus.plan import UnitPlan
from protocols.modbus.unit import Turn, Unit
from protocols.sunspec.plan import SunUnitPlan
from protocols.sunspec.scan import SunScan
from protocols.sunspec.survey import Survey
from protocols.sunspec.surveyscan import SurveyScan
from protocols.sunspec.unit import SunUnit


class SunSpecDriver(ModbusDriver):
    """Polls and writes the SunSpec devices of one line (`gateway.contracts.FieldDriver`)."""

    def make_unit(self, plan: UnitPlan) -> Unit:
        return SunUnit(cast(SunUnitPlan, plan), self.reconnect_max_s)

    def finish(self, turn: Turn) -> None:
        unit = cast(SunUnit, turn.unit)
        if isinstance(turn.scan, SurveyScan):
            self._surveyed(unit, turn)
            return
        super().finish(turn)
        if isinstance(turn.scan, SunScan) and turn.scan.moved:
            unit.counters["model_errors"] += 1
            self.port.log.warning("models changed", device=unit.name, effect="the device is looked at anew")
            unit.unbind()
            self.schedule.rebind(unit, self.now())

    def _surveyed(self, unit: SunUnit, turn: Turn) -> None:
        """A walk is over: bind what it found, or say what is wrong and try again later."""
        scan = cast(SurveyScan, turn.scan)
        result, before = scan.result, unit.seen
        scan.restart()
        unit.counters["surveys"] += 1
        if isinstance(result, Survey) and result != before:
            self._bind(unit, result)
            return
        if isinstance(result, str) and result != before:
            self._useless(unit, result)
        turn.next_due(self.now())
        self.schedule.put(turn, turn.due)

    def _bind(self, unit: SunUnit, survey: Survey) -> None:
        wrong = unit.bind(survey)
        unit.seen = survey
        self.schedule.rebind(unit, self.now())
        for scan in unit.scans:
            if isinstance(scan, SurveyScan):
                self.schedule.delay(scan, self.now() + scan.period_s)
        facts = {key: value for key, value in zip(_FACTS, map(survey.common.get, _TEXTS), strict=True) if value}
        models = " ".join(str(found.id) for found in survey.models)
        self.port.log.info("models found", device=unit.name, **facts, base=survey.base, models=models)
        if not survey.complete:
            self.port.log.warning("models have no end", device=unit.name, base=survey.base)
        if wrong:
            unit.counters["model_errors"] += 1
            rows = unit.plan.bindings.row[np.array(list(wrong), np.int64)]
            self.port.degrade(rows, int(Quality.INVALID))
            self._tell(unit, wrong)

    def _tell(self, unit: SunUnit, wrong: dict[int, str]) -> None:
        """Each reason once, with how many points it costs and the first of them."""
        reasons: dict[str, list[int]] = {}
        for position, why in wrong.items():
            reasons.setdefault(why, []).append(position)
        for why, positions in reasons.items():
            first = unit.plan.bindings.name[positions[0]]
            self.port.log.error("model unusable", device=unit.name, points=len(positions), first=first, cause=why)

    def _useless(self, unit: SunUnit, why: str) -> None:
        unit.seen = why
        unit.counters["model_errors"] += 1
        self.port.degrade(unit.plan.bindings.row, int(Quality.INVALID))
        self.port.log.error("no models", device=unit.name, cause=why)


_FACTS = ("manufacturer", "model", "version", "serial")
_TEXTS = ("Mn", "Md", "Vr", "SN")
