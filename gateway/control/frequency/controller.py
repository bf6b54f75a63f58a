"""The frequency response as a controller of the cycle: believed frequency, answer, limits, headroom, evidence. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway.control.controller import (
    ControllerBase,
    ControllerResult,
    Kept,
    PriorityClass,
    Request,
    TakeValue,
    UnitView,
)
from gateway.control.envelope import Envelope, envelope
from gateway.control.evidence.excursion import Excursion, ExcursionRecorder
from gateway.control.evidence.files import StoredExcursion
from gateway.control.frequency.response import FrequencyResponse, Response, ResponseState
from gateway.control.frequency.rocof import Rocof
from gateway.control.frequency.sources import NO_SOURCE, Chosen, FrequencySources, Reading
from gateway.control.image import Image
from gateway.control.recovery import SocRecovery
from gateway.control.socgate import SocGate
from gateway.points.model import NO_ROW

if TYPE_CHECKING:
    from gateway.control.frequency.plan import DroopPlan

SOURCE: Final = "droop"
TEST_LEASE_NS: Final = 3_000_000_000
"""A frequency shown for a test holds for so long unless it is shown again."""
_SOC_HOLD_NS: Final = 10_000_000_000
_OUTSIDE: Final = (ResponseState.RESPONDING, ResponseState.FAST)


class DroopController(ControllerBase):
    """One unit's. `commands` are what a person may do; all else follows from the image."""

    def __init__(self, plan: DroopPlan) -> None:
        self.plan = plan
        self.enabled = True
        self._kept: Kept | None = None
        self._finished: list[Excursion] = []
        self._sources = FrequencySources(*plan.frequency_limits_hz, plan.blend_s, plan.return_s)
        self._rocof = Rocof(plan.rocof_window_s, plan.rocof_block_s)
        self._response = FrequencyResponse(plan.response)
        self._recovery = None if plan.recovery is None else SocRecovery(plan.recovery)
        self._recorder = ExcursionRecorder(plan.name)
        self._test: tuple[float, int] | None = None
        self._soc: tuple[float, int] | None = None
        by_energy = plan.envelope
        self._gate = SocGate(by_energy.soc_low_percent, by_energy.soc_high_percent, by_energy.soc_hysteresis_percent)

    @property
    def inputs(self) -> Iterable[int]:
        plan = self.plan
        return *plan.frequency, plan.soc, plan.temperature, plan.power, plan.voltage

    @property
    def urgent(self) -> Iterable[int]:
        return self.plan.frequency

    @property
    def own_only(self) -> Collection[int]:
        return (self.plan.rows.test_hz,)

    def end(self) -> None:
        left = self._recorder.stop()
        if left is not None:
            self._finished.append(left)

    def finished(self) -> Sequence[StoredExcursion]:
        plan, complete = self.plan, self._finished
        self._finished = []
        return [StoredExcursion(each, plan.grounds, dict(plan.settings), plan.attestation) for each in complete]

    @property
    def commands(self) -> Mapping[int, TakeValue]:
        return {self.plan.rows.droop_enable: self._take_enable, self.plan.rows.test_hz: self._take_test}

    def _take_enable(self, value: float, now_ns: int) -> str:
        self.enabled = bool(value)
        self._kept = None if self.enabled else {"enabled": False}
        return ""

    @property
    def name(self) -> str:
        return f"droop/{self.plan.name}"

    def kept(self) -> Kept | None:
        """A response that a person has switched off stays off."""
        return self._kept

    def restore(self, kept: Kept, now_ns: int, wall_ns: int) -> None:
        if not isinstance(kept["enabled"], bool):
            raise TypeError("enabled is neither true nor false")
        self._take_enable(float(kept["enabled"]), now_ns)

    def _take_test(self, value: float, now_ns: int) -> str:
        """Show this frequency to the response in place of the measured one, for a few seconds; 0 ends it."""
        low, high = self.plan.frequency_limits_hz
        if value and not low <= value <= high:
            return f"{value:g} Hz is outside {low:g} to {high:g} Hz"
        self._test = (value, now_ns + TEST_LEASE_NS) if value else None
        return ""

    def testing(self, now_ns: int) -> bool:
        """Whether a synthetic frequency is shown now."""
        return self._test is not None and now_ns < self._test[1]

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        plan, view, now_s = self.plan, units[self.plan.unit], image.now_ns / 1e9
        chosen = self._believed(image)
        rate = self._rate(chosen, image, now_s)
        idle = not self.enabled or view.tripped or view.local
        response = self._response.stand_by(now_s) if idle else self._response.step(chosen, rate, now_s)
        limits = envelope(plan.envelope, self._known_soc(image), image.get(plan.temperature), self._gate)
        add_kw = response.percent / 100 * plan.rated_kw
        if self._recovery is not None and not idle:
            add_kw += self._recovery.step(self._known_soc(image), response.state is ResponseState.IN_BAND)
        self._record(image, view, chosen, response, limits)
        return ControllerResult(
            requests=list(self._requests(add_kw, limits)),
            points=list(self._points(image, view, chosen, rate, response, limits)),
            invalid=[plan.rows.frequency_hz] if chosen.source == NO_SOURCE else [],
        )

    def _believed(self, image: Image) -> Chosen:
        if self._test is not None:
            frequency_hz, until_ns = self._test
            if image.now_ns < until_ns:
                return Chosen(0, frequency_hz, image.wall_ns / 1e9)
            self._test = None
            self._rocof.reset()
        readings = [self._reading(image, row) for row in self.plan.frequency]
        return self._sources.choose(readings, image.now_ns / 1e9)

    def _reading(self, image: Image, row: int) -> Reading:
        value = image.get(row)
        return Reading(math.nan if value is None else value, value is not None, image.time_ns(row) / 1e9)

    def _rate(self, chosen: Chosen, image: Image, now_s: float) -> float | None:
        """Sampled at the cycle: the table tells a value that stands still no new time."""
        if chosen.changed or chosen.source == NO_SOURCE:
            self._rocof.reset()
        if chosen.source == NO_SOURCE:
            return None
        voltage = image.get(self.plan.voltage)
        if voltage is not None and voltage < self.plan.voltage_dip:
            self._rocof.dip(now_s)
        self._rocof.sample(now_s, chosen.frequency_hz)
        return self._rocof.hz_per_s(now_s)

    def _known_soc(self, image: Image) -> float | None:
        """The last state of charge counts for a while after it was lost."""
        if self.plan.soc == NO_ROW:
            return (self.plan.envelope.soc_low_percent + self.plan.envelope.soc_high_percent) / 2
        soc = image.get(self.plan.soc)
        if soc is not None:
            self._soc = soc, image.now_ns
        if self._soc is None or image.now_ns - self._soc[1] > _SOC_HOLD_NS:
            return None
        return self._soc[0]

    def _requests(self, add_kw: float, limits: Envelope) -> Iterator[Request]:
        plan = self.plan
        why = "; ".join(limits.reasons) or "energy and temperature"
        yield Request(
            unit=plan.unit,
            priority=PriorityClass.INTERLOCK,
            source=why,
            low_kw=limits.low_kw,
            high_kw=limits.high_kw,
            base_low_kw=limits.base_low_kw,
            base_high_kw=limits.base_high_kw,
        )
        yield Request(
            unit=plan.unit,
            priority=PriorityClass.RESPONSE,
            source=SOURCE,
            add_kw=add_kw,
            ramp_kw_per_s=plan.ramp_kw_per_s,
        )

    def _points(
        self,
        image: Image,
        view: UnitView,
        chosen: Chosen,
        rate: float | None,
        response: Response,
        limits: Envelope,
    ) -> Iterator[tuple[int, float]]:
        rows, lost = self.plan.rows, chosen.source == NO_SOURCE
        power = image.get(self.plan.power)
        power = (view.target_kw or 0.0) if power is None else power
        if not lost:
            yield rows.frequency_hz, round(chosen.frequency_hz, 5)
            yield rows.frequency_band, float(self.plan.bands.state(chosen.frequency_hz))
        yield rows.frequency_source, float(chosen.source + 1)
        yield rows.rocof_hz_per_s, round(rate or 0.0, 4)
        yield rows.droop_state, float(response.state)
        yield rows.response_kw, round(response.percent / 100 * self.plan.rated_kw, 2)
        yield rows.headroom_up_kw, round(limits.headroom_up_kw(power), 1)
        yield rows.headroom_down_kw, round(limits.headroom_down_kw(power), 1)
        yield rows.available_low_kw, round(limits.low_kw, 1)
        yield rows.available_high_kw, round(limits.high_kw, 1)
        yield rows.frequency_lost, float(lost)
        yield rows.droop_enabled, float(self.enabled)
        yield rows.droop_off, float(not self.enabled)

    def _record(self, image: Image, view: UnitView, chosen: Chosen, response: Response, limits: Envelope) -> None:
        base = view.base_kw or 0.0
        expected = base + response.percent / 100 * self.plan.rated_kw
        measured = image.get(self.plan.power)
        sample = (
            *(image.wall_ns, chosen.frequency_hz, base),
            min(max(expected, limits.low_kw), limits.high_kw),
            view.target_kw if view.target_kw is not None else math.nan,
            math.nan if measured is None else measured,
        )
        outside = response.state in _OUTSIDE
        complete = self._recorder.step(image.now_ns / 1e9, sample, outside, self._test is not None)
        if complete is not None:
            self._finished.append(complete)
