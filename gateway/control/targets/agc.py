"""AGC as a controller: a unit follows the load despatch centre's signal while it is enabled and fresh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.control.agc import AgcRequest, AgcSettings, AgcSignal, follow
from gateway.control.controller import (
    ControllerBase,
    ControllerResult,
    Kept,
    PriorityClass,
    Request,
    TakeValue,
    UnitView,
)
from gateway.control.image import Image
from gateway.points.model import NO_ROW


@dataclass(frozen=True, slots=True, kw_only=True)
class AgcRows:
    """Table rows of `system/control/NAME/...`; `agc_kw` and `agc_enable` are commanded."""

    agc_kw: int
    agc_enable: int
    agc_enabled: int
    agc_lost: int
    agc_target_kw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgcPlan:
    """`signal` and `enable`: measured points in place of the command points; `NO_ROW` where there are none."""

    unit: int
    name: str = ""
    settings: AgcSettings
    rows: AgcRows
    signal: int = NO_ROW
    enable: int = NO_ROW

    def build(self) -> AgcController:
        return AgcController(self)


class AgcFollower:
    """The signal as it stands: by command every few seconds, or by measured points whose own quality ages."""

    def __init__(self, plan: AgcPlan) -> None:
        self.plan = plan
        self._enabled = False
        self._signal: tuple[float, int] | None = None
        self._wall_offset_ns = 0
        self._kept: Kept | None = None

    @property
    def heard(self) -> tuple[float, int] | None:
        """The last signal that came by command, kW, and when (monotonic ns)."""
        return self._signal

    @property
    def commands(self) -> Mapping[int, TakeValue]:
        return {self.plan.rows.agc_kw: self._take_kw, self.plan.rows.agc_enable: self._take_enable}

    def _take_kw(self, value: float, now_ns: int) -> str:
        settings = self.plan.settings
        if not settings.low_kw <= value <= settings.high_kw:
            return f"{value:g} kW is outside {settings.low_kw:g} to {settings.high_kw:g} kW"
        self._signal = value, now_ns
        self._kept = None
        return ""

    def _take_enable(self, value: float, now_ns: int) -> str:
        self._enabled = bool(value)
        self._kept = None
        return ""

    def kept(self) -> Kept | None:
        """Whether it is on, and the signal with its time."""
        if self._kept is None and (self._enabled or self._signal is not None):
            self._kept = {"enabled": self._enabled}
            if self._signal is not None:
                kw, at_ns = self._signal
                self._kept |= {"kw": kw, "wall_ns": at_ns + self._wall_offset_ns}
        return self._kept

    def restore(self, kept: Kept, now_ns: int, wall_ns: int) -> None:
        """On again if it was; the signal for the rest of its validity, by the wall clock, and never from the future."""
        enabled, signal = kept["enabled"], None
        if not isinstance(enabled, bool):
            raise TypeError("enabled is neither true nor false")
        if "kw" in kept:
            age_ns = wall_ns - int(kept["wall_ns"])
            if 0 <= age_ns <= self.plan.settings.valid_s * 1e9:
                signal = float(kept["kw"]), now_ns - age_ns
        self._enabled, self._signal, self._kept = enabled, signal, None
        self._wall_offset_ns = wall_ns - now_ns

    def see_clocks(self, image: Image) -> None:
        """What the wall clock is ahead of the monotonic one."""
        self._wall_offset_ns = image.wall_ns - image.now_ns

    def enabled(self, image: Image) -> bool:
        """Whether the despatch centre has switched it on."""
        return self._enabled if self.plan.enable == NO_ROW else image.get(self.plan.enable) == 1.0

    def ask(self, image: Image) -> AgcRequest:
        """What AGC asks for now."""
        plan = self.plan
        if plan.signal != NO_ROW:
            signal = AgcSignal(self.enabled(image), image.get(plan.signal), 0.0)
        elif self._signal is None:
            signal = AgcSignal(self.enabled(image), None, 0.0)
        else:
            kw, at_ns = self._signal
            signal = AgcSignal(self.enabled(image), kw, (image.now_ns - at_ns) / 1e9)
        return follow(plan.settings, signal)

    def points(self, image: Image, asked: AgcRequest) -> Iterable[tuple[int, float]]:
        """What is shown of it."""
        rows = self.plan.rows
        yield rows.agc_enabled, float(self.enabled(image))
        yield rows.agc_lost, float(asked.lost)
        yield rows.agc_target_kw, asked.kw or 0.0


class AgcController(ControllerBase):
    """For one unit."""

    def __init__(self, plan: AgcPlan) -> None:
        self._plan, self.follower = plan, AgcFollower(plan)

    @property
    def inputs(self) -> Iterable[int]:
        return self._plan.signal, self._plan.enable

    @property
    def name(self) -> str:
        return f"agc/{self._plan.name}"

    def kept(self) -> Kept | None:
        return self.follower.kept()

    def restore(self, kept: Kept, now_ns: int, wall_ns: int) -> None:
        self.follower.restore(kept, now_ns, wall_ns)

    @property
    def commands(self) -> Mapping[int, TakeValue]:
        return self.follower.commands

    def step(self, image: Image, units: Sequence[UnitView]) -> ControllerResult:
        self.follower.see_clocks(image)
        asked = self.follower.ask(image)
        requests = []
        if asked.kw is not None:
            remote = PriorityClass.REMOTE
            requests.append(Request(unit=self._plan.unit, priority=remote, source="agc", target_kw=asked.kw))
        return ControllerResult(requests=requests, points=list(self.follower.points(image, asked)))
