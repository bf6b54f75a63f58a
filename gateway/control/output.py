"""When a unit's decision becomes a write: on a change, when the device lost it, to keep it alive. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.control.arbitration import Decision
from gateway.control.controller import PriorityClass
from gateway.control.image import Image
from gateway.control.unit import Unit
from gateway.control.write import ControlWrite
from gateway.points.model import NO_ROW

_AGAIN_NS: Final = 1_000_000_000
"""What failed, or was not obeyed, is written again after so long."""
_DISOBEYED_NS: Final = 3_000_000_000
"""A device that shows another set-point for so long after a write has lost it."""
_HEARTBEAT_WRAP: Final = 32_768


@dataclass(slots=True)
class UnitOutput:
    """What was sent to one unit. Times are monotonic ns."""

    index: int
    unit: Unit
    sent_kw: float | None = None
    sent_ns: int = 0
    _failed_ns: int | None = None
    _off_ns: int | None = None
    _beat: int = 0
    _beat_ns: int | None = None

    def writes(self, decision: Decision, image: Image, quiet: bool) -> Iterator[ControlWrite]:
        """What is to be written in this cycle. `quiet`: nothing but a trip and the heartbeat."""
        yield from self._heartbeat(image.now_ns)
        if quiet and not decision.stop:
            return
        if decision.stop:
            yield from self._setpoint(0.0, True, image)
            yield from self._run_off(image)
            return
        self._off_ns = None
        target = decision.target_kw
        if target is None:
            return
        if decision.priority is PriorityClass.HOLD and not self._cut(target, image):
            self.sent_kw = None
            return
        yield from self._setpoint(target, target == decision.wanted_kw, image)

    def failed(self, row: int, now_ns: int) -> None:
        """The device did not take the last value of this row: it is sent again after a while."""
        if row == self.unit.setpoint:
            self._failed_ns = now_ns
        elif row == self.unit.run:
            self._off_ns = now_ns

    def _cut(self, target: float, image: Image) -> bool:
        """Whether a limit leaves less than the device has by itself."""
        held = image.get(self.unit.setpoint)
        if held is None:
            held = image.get(self.unit.power)
        return held is None or abs(target - held) > self.unit.resolution_kw

    def _setpoint(self, kw: float, final: bool, image: Image) -> Iterator[ControlWrite]:
        now_ns, unit = image.now_ns, self.unit
        if self._failed_ns is not None:
            due = now_ns - self._failed_ns >= _AGAIN_NS or kw != self.sent_kw
        elif self.sent_kw is None:
            due = True
        else:
            off = abs(kw - self.sent_kw)
            old = now_ns - self.sent_ns
            due = off > unit.resolution_kw or (final and off > 0.0)
            due |= 0.0 < unit.keep_alive_s * 1e9 <= old
            due |= old >= _DISOBEYED_NS and self._disobeyed(image)
        if due:
            self.sent_kw, self.sent_ns, self._failed_ns = kw, now_ns, None
            yield ControlWrite(unit.setpoint, kw, self.index)

    def _disobeyed(self, image: Image) -> bool:
        shown = image.get(self.unit.setpoint)
        tolerance = max(self.unit.resolution_kw, 0.005 * self.unit.rated_kw)
        return shown is not None and self.sent_kw is not None and abs(shown - self.sent_kw) > tolerance

    def _run_off(self, image: Image) -> Iterator[ControlWrite]:
        """Run off once, and again while the unit still says that it runs."""
        now_ns, unit = image.now_ns, self.unit
        if unit.run == NO_ROW:
            return
        first = self._off_ns is None
        again = self._off_ns is not None and now_ns - self._off_ns >= _AGAIN_NS and image.get(unit.running) != 0.0
        if first or again:
            self._off_ns = now_ns
            yield ControlWrite(unit.run, 0.0, self.index)

    def _heartbeat(self, now_ns: int) -> Iterator[ControlWrite]:
        unit = self.unit
        if unit.heartbeat == NO_ROW:
            return
        if self._beat_ns is None or now_ns - self._beat_ns >= unit.heartbeat_s * 1e9:
            self._beat, self._beat_ns = (self._beat + 1) % _HEARTBEAT_WRAP, now_ns
            yield ControlWrite(unit.heartbeat, float(self._beat), self.index)
