"""From a droop entry to a `DroopPlan`, with every problem in its place, and warnings where settings miss a rule."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from gateway.contracts import Report
from gateway.control.envelope import EnvelopeSettings
from gateway.control.evidence.analysis import Grounds
from gateway.control.frequency.curve import Band, Curve, CurveError, no_step, with_step
from gateway.control.frequency.plan import DroopPlan, DroopRows
from gateway.control.frequency.profiles import Profile, ProfileError, Rule, load_profile
from gateway.control.frequency.response import FastResponse, ResponseSettings
from gateway.control.frequency.settings import DroopSettings, Points
from gateway.control.frequency.states import IEGC, FrequencyBands
from gateway.control.lookup import Lookup
from gateway.control.ramp import RampLimit
from gateway.control.recovery import RecoverySettings
from gateway.control.unit import Unit
from gateway.points.model import NO_ROW, Kind
from gateway.site.section import Section

_ALWAYS: Final = Curve((0.0,), (100.0,))
_DEFAULTS: Final[dict[str, Any]] = {
    "nominal_hz": 50.0,
    "deadband_hz": [50.0, 50.0],
    "curve": "no-step",
    "insensitivity_hz": 0.0,
    "limit_percent": 100.0,
    "damping_percent_s_per_hz": 0.0,
    "hold_s": 5.0,
    "lost_ramp_percent_per_s": 2.0,
}


class DroopCompiler:
    """One entry; goes on after every problem."""

    def __init__(self, settings: DroopSettings, entry: Section, lookup: Lookup, folder: Path, report: Report) -> None:
        self._settings, self._entry, self._lookup, self._report = settings, entry, lookup, report
        self._profile = self._read_profile(folder)
        chosen = {key: getattr(settings, key) for key in DroopSettings.model_fields}
        given = {key: value for key, value in chosen.items() if value is not None}
        defaults = _DEFAULTS | ({} if self._profile is None else self._profile.droop)
        self._all: dict[str, Any] = defaults | given

    def _read_profile(self, folder: Path) -> Profile | None:
        try:
            return load_profile(self._settings.profile, folder)
        except ProfileError as error:
            self._error("profile", str(error))
            return None

    def _error(self, key: str, text: str) -> None:
        self._report.error(self._entry.key_place(key), text)

    def compile(self, index: int, unit: Unit, rows: DroopRows) -> DroopPlan | None:
        """The plan; None when something in it is wrong (reported)."""
        before = len(self._report.errors)
        settings, values = self._settings, self._all
        nominal_hz = float(values["nominal_hz"])
        band = self._band(nominal_hz)
        curve, counted = self._curve(nominal_hz, band)
        named = {
            key: self._lookup.row(getattr(settings, key), self._entry.key_place(key), (Kind.ANALOG,))
            for key in ("soc", "temperature", "voltage")
        }
        frequency = [
            self._lookup.row(name, self._entry.key_place("frequency"), (Kind.ANALOG,)) for name in settings.frequency
        ]
        envelope = self._envelope(unit)
        soc = unit.soc if named["soc"] == NO_ROW else named["soc"]
        self._check_energy(soc != NO_ROW)
        if len(self._report.errors) > before or curve is None or envelope is None:
            return None
        self._warn(nominal_hz, band, curve)
        facts = self._facts()
        low_hz, high_hz = settings.frequency_limits_hz or (nominal_hz - 5, nominal_hz + 5)
        return DroopPlan(
            unit=index,
            name=unit.name,
            frequency=tuple(frequency),
            rated_kw=unit.rated_kw,
            response=self._response(curve, band, nominal_hz),
            envelope=envelope,
            grounds=Grounds(band=band, nominal_hz=nominal_hz, rated_kw=unit.rated_kw, counted_from_hz=counted),
            rows=rows,
            ramp_kw_per_s=math.inf if settings.lift_ramp else None,
            power=unit.power,
            soc=soc,
            temperature=named["temperature"],
            voltage=named["voltage"],
            voltage_dip=settings.voltage_dip,
            recovery=self._recovery(),
            bands=self._bands(),
            frequency_limits_hz=(low_hz, high_hz),
            rocof_window_s=settings.rocof_window_ms / 1000,
            rocof_block_s=settings.rocof_block_ms / 1000,
            blend_s=settings.blend_s,
            return_s=settings.return_s,
            settings=facts,
            attestation=hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest(),
        )

    def unit_ramp_kw_per_s(self, rated_kw: float) -> float:
        """The stricter of the two ramps."""
        settings = self._settings
        return RampLimit.strictest(settings.ramp_kw_per_s, settings.ramp_percent_per_min, rated_kw).kw_per_s

    def _band(self, nominal_hz: float) -> Band:
        low, high = (float(edge) for edge in self._all["deadband_hz"])
        if not low <= nominal_hz <= high:
            self._error("deadband_hz", f"{low:g} to {high:g} Hz does not hold the nominal {nominal_hz:g} Hz")
        return Band(low, high)

    def _curve(self, nominal_hz: float, band: Band) -> tuple[Curve | None, tuple[float, float] | None]:
        chosen, droop = self._all["curve"], self._all.get("droop_percent")
        if isinstance(chosen, str):
            if droop is None:
                self._error("droop_percent", f"a {chosen} curve needs a droop_percent")
                return None, None
            if chosen == "no-step":
                return no_step(nominal_hz, droop, band), (band.low_hz, band.high_hz)
            return with_step(nominal_hz, droop, band), (nominal_hz, nominal_hz)
        curve = self._points("curve", chosen)
        if curve is not None and not curve.falling:
            self._error("curve", "power rises with frequency somewhere: a response must fall")
        if curve is not None and any(abs(percent) > 100 for percent in curve.y):
            self._error("curve", "more than 100 % of rated power")
        if curve is not None and (curve(band.low_hz) or curve(band.high_hz)):
            self._error(
                "curve", f"the curve is not 0 at the edges of the dead band, {band.low_hz:g} and {band.high_hz:g}"
            )
        return curve, None

    def _points(self, key: str, points: Sequence[Sequence[float]] | None) -> Curve | None:
        if points is None:
            return _ALWAYS
        try:
            return Curve.of([(pair[0], pair[1]) for pair in points])
        except (CurveError, IndexError, TypeError) as error:
            self._error(key, str(error))
            return None

    def _response(self, curve: Curve, band: Band, nominal_hz: float) -> ResponseSettings:
        values, fast = self._all, self._settings.fast
        return ResponseSettings(
            curve=curve,
            band=band,
            nominal_hz=nominal_hz,
            insensitivity_hz=values["insensitivity_hz"],
            damping_percent_s_per_hz=values["damping_percent_s_per_hz"],
            fast=None if fast is None else FastResponse(**fast.model_dump()),
            hold_s=values["hold_s"],
            lost_ramp_percent_per_s=values["lost_ramp_percent_per_s"],
            limit_percent=values["limit_percent"],
        )

    def _envelope(self, unit: Unit) -> EnvelopeSettings | None:
        settings = self._settings
        curves = {
            key: self._points(key, getattr(settings, key))
            for key in ("discharge_over_soc", "charge_over_soc", "power_over_temperature")
        }
        if None in curves.values():
            return None
        low, high = unit.soc_limits
        return EnvelopeSettings(
            discharge_kw=min(unit.rated_kw, unit.high_kw),
            charge_kw=min(settings.charge_kw or unit.rated_kw, -unit.low_kw),
            soc_low_percent=low,
            soc_high_percent=high,
            soc_hysteresis_percent=unit.soc_hysteresis,
            capacity_kwh=settings.capacity_kwh or math.nan,
            reserve_s=settings.reserve_min * 60,
            **{key: curve for key, curve in curves.items() if curve is not None},
        )

    def _check_energy(self, with_soc: bool) -> None:
        settings = self._settings
        for key in ("reserve_min", "recovery"):
            if getattr(settings, key) and settings.capacity_kwh is None:
                self._error(key, f"{key} needs capacity_kwh")
            if getattr(settings, key) and not with_soc:
                self._error(key, f"{key} needs soc")
        for key, needed in (("power_over_temperature", "temperature"), ("voltage_dip", "voltage")):
            if getattr(settings, key) and getattr(settings, needed) is None:
                self._error(key, f"{key} needs {needed}")
        for key in ("discharge_over_soc", "charge_over_soc"):
            if getattr(settings, key) is not None and not with_soc:
                self._error(key, f"{key} needs soc")

    def _recovery(self) -> RecoverySettings | None:
        recovery, settings = self._settings.recovery, self._settings
        if recovery is None:
            return None
        if not recovery.low_percent <= recovery.target_percent <= recovery.high_percent:
            self._error("recovery", "expected low_percent, target_percent, high_percent in rising order")
        return RecoverySettings(
            target_percent=recovery.target_percent,
            low_percent=recovery.low_percent,
            high_percent=recovery.high_percent,
            limit_kw=math.inf if recovery.limit_kw is None else recovery.limit_kw,
            capacity_kwh=settings.capacity_kwh or math.nan,
            restore_s=recovery.restore_min * 60,
        )

    def _bands(self) -> FrequencyBands:
        bands = self._settings.bands
        if bands is None:
            return IEGC
        try:
            return FrequencyBands.of(tuple(bands.edges_hz), tuple(bands.names))
        except ValueError as error:
            self._error("bands", str(error))
            return IEGC

    def _facts(self) -> dict[str, Any]:
        """Every setting that holds, for the attestation: from the site, the profile, or the defaults."""
        plain = {key: value.model_dump() if hasattr(value, "model_dump") else value for key, value in self._all.items()}
        return dict(sorted(plain.items()))

    def _warn(self, nominal_hz: float, band: Band, curve: Curve) -> None:
        for rule in () if self._profile is None else self._profile.rules:
            for key, text in _missed(rule, nominal_hz, band, curve, self._all.get("droop_percent")):
                self._report.warning(self._entry.key_place(key), f"{text}: {rule.text}")


def _missed(rule: Rule, nominal_hz: float, band: Band, curve: Curve, droop: float | None) -> list[tuple[str, str]]:
    out = []
    if rule.deviation_hz:
        for sign, where in ((-1, "below"), (1, "above")):
            percent = abs(curve(nominal_hz + sign * rule.deviation_hz))
            if percent < rule.at_least_percent - 1e-9:
                out.append(("droop_percent", f"{percent:.1f} % at {rule.deviation_hz:g} Hz {where} nominal"))
    if (
        rule.droop_percent is not None
        and droop is not None
        and not rule.droop_percent[0] <= droop <= rule.droop_percent[1]
    ):
        out.append(("droop_percent", f"a droop of {droop:g} %"))
    if rule.deadband_hz is not None:
        widest = max(nominal_hz - band.low_hz, band.high_hz - nominal_hz)
        if widest > rule.deadband_hz + 1e-9:
            out.append(("deadband_hz", f"a dead band of {widest:g} Hz"))
    return out


__all__ = ["DroopCompiler", "Points"]
