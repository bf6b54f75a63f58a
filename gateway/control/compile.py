"""From what the engineer wrote under `control:` to a `ControlPlan`, with every problem in its place."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import Any, Final

from gateway.contracts import Place, Report, nearest
from gateway.control.frequency.plan import DroopPlan
from gateway.control.further.compile import FurtherCompiler
from gateway.control.further.section import FURTHER
from gateway.control.interlock.condition import Condition, Vote, compile_condition
from gateway.control.interlock.effect import Effect, EffectError, EffectKind, EffectWords, parse_effects
from gateway.control.interlock.plan import STOP_ALL, WATCHDOG, Interlock, OnBad, Reset
from gateway.control.lookup import Lookup
from gateway.control.plan import ControlPlan
from gateway.control.ramp import RampLimit
from gateway.control.section import BUILT_IN_MESSAGES, ControlSection, MatrixRow
from gateway.control.settings import ControlSettings, InterlockRow, UnitSettings
from gateway.control.unit import Fallback, SafeState, Unit
from gateway.points.expression import ExpressionError
from gateway.points.model import NO_ROW, Kind, PointCatalogue
from gateway.site.points import SitePoints
from gateway.site.section import Section

_STATES: Final = {Kind.BINARY: (0.0, 1.0), Kind.DOUBLE: (0.0, 1.0, 2.0, 3.0)}
_UNIT_EFFECTS: Final = frozenset(EffectKind) - {EffectKind.WRITE}


def compile_control(
    section: ControlSection, points: SitePoints, catalogue: PointCatalogue, report: Report
) -> ControlPlan | None:
    """The plan, once all points are known; None where there is nothing to run or something is wrong."""
    if section.runner_rows is None:
        return None
    plan = Compiler(section, points, catalogue, report).compile()
    if plan is None:
        return None
    lookup = Lookup(points, catalogue, report)
    further = FurtherCompiler(
        section.further, plan.units, lookup, section.maps, section.folder, plan.start_grace_s
    ).compile()
    facts = _facts(section) | {"droop": {each.name: each.settings for each in further if isinstance(each, DroopPlan)}}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return replace(plan, controllers=further, settings=facts, attestation=digest)


def _facts(section: ControlSection) -> dict[str, Any]:
    """Every setting of control: units, matrix, controllers, with what profiles add."""
    return {
        "control": section.settings.model_dump(exclude={"units", *FURTHER}),
        "units": {unit.unit: unit.model_dump() for unit, _ in section.units},
        "interlocks": {row.settings.name: row.settings.model_dump() for row in section.rows},
        **section.further.facts(),
    }


class Compiler:
    """One compilation; goes on after every problem."""

    def __init__(self, section: ControlSection, points: SitePoints, catalogue: PointCatalogue, report: Report) -> None:
        self._section, self._points, self._catalogue, self._report = section, points, catalogue, report
        self._units: dict[str, int] = {}

    def compile(self) -> ControlPlan | None:
        section, settings = self._section, self._section.settings
        rows = section.runner_rows
        units = [made for unit, entry in section.units if (made := self._unit(unit, entry)) is not None]
        if rows is None or len(units) != len(section.unit_rows):
            return None
        interlocks = self._built_in(len(units))
        interlocks += [found for row in section.rows if (found := self._interlock(row)) is not None]
        local = local_remote_switch(section, self._points, self._catalogue, self._report)
        return ControlPlan(
            units=units,
            unit_rows=section.unit_rows,
            interlocks=interlocks,
            rows=rows,
            cycle_ms=self._cycle_ms(settings),
            start_grace_s=settings.start_grace_s,
            watchdog_s=settings.watchdog_s,
            bypass_max_s=settings.bypass_max_s,
            local_row=NO_ROW if local is None else local[0],
            remote_when=0.0 if local is None else local[1],
        )

    def _cycle_ms(self, settings: ControlSettings) -> float:
        """What `control` says; else the quickest that a droop entry wants; else the default."""
        wanted = None if "cycle_ms" in settings.model_fields_set else self._section.further.cycle_ms()
        return settings.cycle_ms if wanted is None else wanted

    # -- units -------------------------------------------------------------------------------------------------------

    def _unit(self, settings: UnitSettings, entry: Section) -> Unit | None:
        report, name = self._report, settings.unit
        if name in self._units:
            report.error(entry.key_place("unit"), f"unit {name} stands here a second time")
            return None
        self._units[name] = len(self._units)
        droop = self._section.droop.get(name)
        told = droop is not None and "setpoint" not in droop  # whoever reads the droop entry says so
        droop = droop or {}
        setpoint = self._row(
            settings.setpoint or droop.get("setpoint"), "setpoint", entry, (Kind.SETPOINT,), needed=not told
        )
        if setpoint is None or setpoint == NO_ROW:
            return None
        folder = self._catalogue.names[setpoint].rpartition("/")[0]
        run = self._row(settings.run, "run", entry, (Kind.CONTROL,), guess=f"{folder}/run")
        heartbeat = self._row(settings.heartbeat, "heartbeat", entry, (Kind.SETPOINT,))
        soc = self._row(settings.soc or droop.get("soc"), "soc", entry, (Kind.ANALOG,))
        power = self._row(settings.power, "power", entry, (Kind.ANALOG,))
        running = self._row(settings.running, "running", entry, (Kind.BINARY,))
        if None in (run, heartbeat, soc, power, running):
            return None
        rated = self._rated(settings, droop, setpoint, entry)
        low, high = self._range(settings, setpoint, rated, entry)
        percent = _number(droop.get("ramp_percent_per_min"))
        own = settings.ramp_kw_per_s or _number(droop.get("ramp_kw_per_s"))
        ramp = RampLimit.strictest(own, percent, rated).kw_per_s
        return Unit(
            name=name,
            setpoint=setpoint,
            run=_known(run),
            running=self._feedback(_known(run)) if running == NO_ROW else _known(running),
            power=self._feedback(setpoint) if power == NO_ROW else _known(power),
            heartbeat=_known(heartbeat),
            heartbeat_s=settings.heartbeat_s,
            soc=_known(soc),
            soc_limits=self._soc_limits(settings, droop, entry),
            soc_hysteresis=settings.soc_hysteresis,
            soc_hold_s=settings.soc_hold_s,
            low_kw=low,
            high_kw=high,
            rated_kw=rated,
            ramp_kw_per_s=ramp,
            resolution_kw=settings.resolution_kw,
            keep_alive_s=settings.keep_alive_s,
            valid_s=math.inf if settings.valid_s is None else settings.valid_s,
            operator_valid_s=settings.operator_valid_s,
            fallback=Fallback.HOLD if settings.fallback == "hold" else Fallback.KW,
            fallback_kw=0.0 if settings.fallback == "hold" else settings.fallback,
            safe_state=SafeState(settings.safe_state),
        )

    def _row(
        self, name: object, key: str, entry: Section, kinds: tuple[Kind, ...], guess: str = "", needed: bool = False
    ) -> int | None:
        """Its row, `NO_ROW` when it is not given, None (reported) when it is wrong."""
        if not isinstance(name, str):
            row = self._points.rows.get(guess)
            if row is not None and self._catalogue.kind(row) in kinds:
                return row
            if needed:
                self._report.error(entry.place, f"the unit has no {key}: name the point")
            return NO_ROW
        row = self._points.find(name, entry.key_place(key))
        if row is not None and self._catalogue.kind(row) not in kinds:
            wanted = " or ".join(kind.word for kind in kinds)
            self._report.error(
                entry.key_place(key), f"{name} is of kind {self._catalogue.kind(row).word}, not {wanted}"
            )
            return None
        return row

    def _feedback(self, row: int) -> int:
        return NO_ROW if row == NO_ROW else int(self._catalogue.feedback[row])

    def _rated(self, settings: UnitSettings, droop: dict[str, Any], setpoint: int, entry: Section) -> float:
        rated = settings.rated_kw or _number(droop.get("rated_kw"))
        if rated is None:
            high, low = float(self._catalogue.high[setpoint]), float(self._catalogue.low[setpoint])
            rated = max(abs(high), abs(low))
            if not math.isfinite(rated) or rated == 0:
                self._report.error(entry.place, "rated_kw is not given, and the set-point has no range to take it from")
                return 1.0
        return rated

    def _range(self, settings: UnitSettings, setpoint: int, rated: float, entry: Section) -> tuple[float, float]:
        """What is given, within the set-point's own range; else the rating both ways."""
        low, high = settings.limits_kw or (-rated, rated)
        if low > high or low > 0 or high < 0:
            self._report.error(entry.key_place("limits_kw"), f"{low:g} to {high:g} kW: expected two numbers around 0")
        point_low, point_high = float(self._catalogue.low[setpoint]), float(self._catalogue.high[setpoint])
        low = low if math.isnan(point_low) else max(low, point_low)
        high = high if math.isnan(point_high) else min(high, point_high)
        if low > 0 or high < 0:
            self._report.error(entry.key_place("setpoint"), "the range of the set-point does not hold 0: no stop")
        return low, high

    def _soc_limits(self, settings: UnitSettings, droop: dict[str, Any], entry: Section) -> tuple[float, float]:
        given = settings.soc_limits or droop.get("soc_limits")
        if not isinstance(given, list) or len(given) != 2:
            return 0.0, 100.0
        low, high = float(given[0]), float(given[1])
        if not 0 <= low < high <= 100:
            self._report.error(
                entry.key_place("soc_limits"), f"{low:g} to {high:g} %: expected a rising pair within 0 to 100"
            )
        elif settings.soc_hysteresis * 2 > high - low:
            text = f"{settings.soc_hysteresis:g} %: more than half of what lies between {low:g} and {high:g} %"
            self._report.error(entry.key_place("soc_hysteresis"), text)
        return low, high

    # -- interlocks --------------------------------------------------------------------------------------------------

    def _built_in(self, units: int) -> list[Interlock]:
        effects = [Effect(kind, unit) for unit in range(units) for kind in (EffectKind.STOP, EffectKind.BLOCK)]
        return [
            Interlock(
                name=name,
                effects=effects,
                latch=True,
                reset=Reset.HMI,
                may_bypass=False,
                message=BUILT_IN_MESSAGES[name],
                rows=self._section.interlock_rows[name],
            )
            for name in (STOP_ALL, WATCHDOG)
        ]

    def _interlock(self, row: MatrixRow) -> Interlock | None:
        settings, place = row.settings, row.place
        conditions = self._conditions(settings, place)
        vote = self._vote(settings, place)
        effects = self._effects(settings, place)
        latch = bool(settings.latch)
        reset = Reset(settings.reset or ("hmi" if latch else "auto"))
        if latch == (reset is Reset.AUTO):
            words = "a latching row needs a person: hmi or field+hmi" if latch else "a row that does not latch is auto"
            self._report.error(place.at("reset"), f"{reset.value}: {words}")
        if conditions is None or vote is None or effects is None:
            return None
        permits = [effect for effect in effects if effect.kind is EffectKind.PERMIT]
        if permits and (len(permits) != len(effects) or latch):
            self._report.error(place.at("then"), "permit-start stands alone, in a row that does not latch")
        default = "quality_ok" if permits else "trip" if latch else "hold"
        return Interlock(
            name=settings.name,
            conditions=conditions,
            vote=vote,
            delay_ns=int((settings.delay_ms or 0.0) * 1e6),
            effects=effects,
            latch=latch,
            reset=reset,
            on_bad=OnBad(settings.on_bad or default),
            may_bypass=settings.bypass is not False,
            message=settings.message,
            rows=self._section.interlock_rows[settings.name],
        )

    def _conditions(self, settings: InterlockRow, place: Place) -> list[Condition] | None:
        out: list[Condition] = []
        texts = [text.strip() for text in settings.when.split(";") if text.strip()]
        sound = bool(texts)
        for text in texts:
            try:
                condition = compile_condition(text, self._points.rows)
            except ExpressionError as error:
                sound = False
                if not self._points.doubtful(error.unknown):
                    self._report.error(place.at("when"), f"{text}: {error}")
                continue
            if not condition.rows:
                sound = False
                self._report.error(place.at("when"), f"{text}: no point in it, so it would never change")
            out.append(condition)
        return out if sound else None

    def _vote(self, settings: InterlockRow, place: Place) -> Vote | None:
        count = len([text for text in settings.when.split(";") if text.strip()])
        if settings.vote is None:
            if count > 1:
                self._report.error(
                    place.at("vote"), f"{count} conditions: say how many must hold, for example 2oo{count}"
                )
                return None
            return Vote(1, 1)
        need, of = int(settings.vote[0]), int(settings.vote[3])
        if of != count or need > of:
            words = f"{count} condition{'s' * (count != 1)} in when"
            self._report.error(place.at("vote"), f"{settings.vote} does not go with {words}")
            return None
        return Vote(need, of)

    def _effects(self, settings: InterlockRow, place: Place) -> list[Effect] | None:
        try:
            words = parse_effects(settings.then)
        except EffectError as error:
            self._report.error(place.at("then"), str(error))
            return None
        made = [self._effect(effect, place.at("then")) for effect in words]
        return None if None in made else [effect for effect in made if effect is not None]

    def _effect(self, words: EffectWords, place: Place) -> Effect | None:
        if words.kind in _UNIT_EFFECTS:
            unit = self._units.get(words.target)
            if unit is None:
                near = nearest(words.target, self._units)
                text = f"there is no unit {words.target}{near}: describe it under control: units"
                self._report.error(place, text)
                return None
            return Effect(words.kind, unit=unit, value=words.value)
        row = self._points.find(words.target, place)
        if row is None:
            return None
        if not self._catalogue.kind(row).commanded or self._catalogue.device[row] < 0:
            self._report.error(
                place, f"{words.target} cannot be written: a control or set-point of a device was expected"
            )
            return None
        low, high = float(self._catalogue.low[row]), float(self._catalogue.high[row])
        if words.value < low or words.value > high:
            self._report.error(place, f"{words.value:g} is outside {low:g} to {high:g}, the range of {words.target}")
        return Effect(words.kind, row=row, value=words.value)


def local_remote_switch(
    section: ControlSection, points: SitePoints, catalogue: PointCatalogue, report: Report
) -> tuple[int, float] | None:
    """(row, value that allows remote control) of the local/remote switch; None where there is none."""
    chosen = section.settings.local_remote
    if chosen is None:
        return None
    at = section.section.inner("local_remote")
    row = points.find(chosen.point, at.key_place("point"))
    if row is None:
        return None
    kind = catalogue.kind(row)
    values = _STATES.get(kind)
    if values is None:
        text = f"{chosen.point} is of kind {kind.word}: a binary or double was expected"
        report.error(at.key_place("point"), text)
    elif chosen.remote_when not in values:
        known = ", ".join(f"{value:g}" for value in values)
        report.error(
            at.key_place("remote_when"), f"a {kind.word} is never {chosen.remote_when:g}: expected one of {known}"
        )
    return row, chosen.remote_when


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _known(row: int | None) -> int:
    return NO_ROW if row is None else row
