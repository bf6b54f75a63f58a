"""Reactive power as a controller: one set-point a unit, within what the unit can do beside its active power."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.contracts.driver import WriteLost, WriteRefused
from gateway.control.controller import ControllerBase, ControllerResult, UnitView
from gateway.control.image import Image
from gateway.control.ramp import RampLimit
from gateway.control.reactive import ReactiveControl, ReactiveMode, ReactiveSettings
from gateway.control.write import ControlWrite
from gateway.points.model import NO_ROW

_AGAIN_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactiveRows:
    """Table rows of `system/control/UNIT/...`; `kvar` is commanded."""

    kvar: int
    reactive_target_kvar: int
    reactive_limited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactivePlan:
    """`setpoint` is the device's; `voltage` in the unit of `nominal_voltage`."""

    unit: int
    setpoint: int
    settings: ReactiveSettings
    rows: ReactiveRows
    power: int = NO_ROW
    voltage: int = NO_ROW
    nominal_voltage: float = 1.0
    ramp_kvar_per_s: float = math.inf
    resolution_kvar: float = 0.1
    start_grace_s: float = 10.0

    def build(self) -> ReactiveController:
        return ReactiveController(self)


class ReactiveController(ControllerBase):
    """Writes when the target has moved; a stop, and local control, take it to nothing and to rest."""

    def __init__(self, plan: ReactivePlan) -> None:
        self.plan = self._plan = plan
        self._control = ReactiveControl(plan.settings)
        self.wanted = 0.0
        """Where the set-point is to go, within the capability."""
        self.waiting = True
        """The device has not been heard of: nothing is asked of it yet."""
        self._grace_end_ns: int | None = None
        self.limited = False
        """The capability cuts what was asked for."""
        self.acknowledged_kvar: float | None = None
        self.trouble: WriteRefused | WriteLost | None = None
        self._asked: float | None = None
        self._target: float | None = None
        self._sent: float | None = None
        self._last_ns: int | None = None
        self._failed_ns = 0

    @property
    def inputs(self) -> Iterable[int]:
        return self._plan.power, self._plan.voltage, self._plan.setpoint

    def trouble_with(self, kvar: float) -> str:
        """Why this is not taken as a set-point; empty when it is."""
        if self._plan.settings.mode is not ReactiveMode.FIXED:
            return f"reactive power goes by {self._plan.settings.mode.value}: it takes no set-point"
        low, high = self._plan.settings.capability.limits_kvar(0.0)
        return "" if low <= kvar <= high else f"{kvar:g} kvar is outside {low:g} to {high:g} kvar"

    def ask(self, kvar: float) -> None:
        """A set-point, until another comes. What the device said before counts no more."""
        self._asked, self.trouble, self.limited = kvar, None, False

    def failed(self, row: int, now_ns: int, trouble: WriteRefused | WriteLost) -> None:
        if row == self._plan.setpoint:
            self._sent, self._failed_ns, self.acknowledged_kvar, self.trouble = None, now_ns, None, trouble

    def acknowledged(self, row: int, value: float) -> None:
        if row == self._plan.setpoint:
            self.acknowledged_kvar, self.trouble = value, None

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        plan, view = self._plan, units[self._plan.unit]
        dt_s = 0.0 if self._last_ns is None else min((image.now_ns - self._last_ns) / 1e9, 0.5)
        self._last_ns = image.now_ns
        if view.local:
            self._target = self._sent = self.acknowledged_kvar = None
            return ControllerResult()
        power = image.get(plan.power)
        power = (view.target_kw or 0.0) if power is None else power
        voltage = image.get(plan.voltage)
        pu = None if voltage is None else voltage / plan.nominal_voltage
        wanted = 0.0 if view.tripped else self._control.step(power, pu, image.now_ns / 1e9, self._asked)
        present = self._begin(image)
        self.waiting = present is None and not view.tripped
        if self.waiting:
            self._last_ns = None
            return ControllerResult()
        present = 0.0 if present is None else present
        self._target = wanted if view.tripped else RampLimit(plan.ramp_kvar_per_s).step(present, wanted, dt_s)
        self.wanted = wanted
        self.limited = self._asked is not None and abs(wanted - self._asked) > plan.resolution_kvar
        points = [
            (plan.rows.reactive_target_kvar, round(self._target, 2)),
            (plan.rows.reactive_limited, float(self.limited)),
        ]
        return ControllerResult(points=points, writes=self._writes(image, self._target, wanted))

    def _begin(self, image: Image) -> float | None:
        """Where the ramp begins: what is sent, else what the device has; None: it has not been heard of.

        A set-point that cannot be read back is taken as nothing once the device's power is known, and the time of
        grace after the start is over.
        """
        plan = self._plan
        if self._target is not None:
            return self._target
        if self._grace_end_ns is None:
            self._grace_end_ns = image.now_ns + int(plan.start_grace_s * 1e9)
        held = image.get(plan.setpoint)
        if held is not None:
            return held
        alive = plan.power == NO_ROW or image.get(plan.power) is not None
        return 0.0 if alive and image.unreported(plan.setpoint) and image.now_ns >= self._grace_end_ns else None

    def _writes(self, image: Image, target: float, wanted: float) -> list[ControlWrite]:
        sent = self._sent
        if sent is None:
            due = image.now_ns - self._failed_ns >= _AGAIN_NS
        else:
            off = abs(target - sent)
            due = off > self._plan.resolution_kvar or (target == wanted and off > 0)
        if not due:
            return []
        self._sent = target
        return [ControlWrite(self._plan.setpoint, target, -1)]
