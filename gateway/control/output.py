"""When a unit's decision becomes a write: on a change, when the device lost it, to keep it alive. Pure."""

from __future__ import annotations

import math
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
NEVER_NS: Final = 1 << 62


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
    _beat_due_ns: int = 0

    def writes(self, decision: Decision, image: Image, quiet: bool, out: list[ControlWrite]) -> None:
        """Add what is to be written in this cycle. `quiet`: nothing but a trip and the heartbeat."""
        now_ns = image.now_ns
        if now_ns >= self._beat_due_ns:
            self._heartbeat(now_ns, out)
        if decision.stop:
            self._setpoint(0.0, True, image, out)
            self._run_off(image, out)
            return
        if quiet:
            return
        self._off_ns = None
        target = decision.target_kw
        if target is None:
            return
        if decision.priority is PriorityClass.HOLD and not self._cut(target, image):
            self.sent_kw = None
            return
        self._setpoint(target, target == decision.wanted_kw, image, out)

    def due_ns(self, now_ns: int) -> int:
        """After `writes`: when something may be due although neither the decision nor the unit's inputs change."""
        times = [self._beat_due_ns]
        times += [at + _AGAIN_NS for at in (self._off_ns, self._failed_ns) if at is not None]
        if self.sent_kw is not None:
            times.append(self.sent_ns + _DISOBEYED_NS)
            if self.unit.keep_alive_s > 0:
                times.append(self.sent_ns + math.ceil(self.unit.keep_alive_s * 1e9))
        return min((at for at in times if at > now_ns), default=NEVER_NS)

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

    def _setpoint(self, kw: float, final: bool, image: Image, out: list[ControlWrite]) -> None:
        now_ns, unit, sent_kw = image.now_ns, self.unit, self.sent_kw
        if self._failed_ns is not None:
            due = now_ns - self._failed_ns >= _AGAIN_NS or kw != sent_kw
        elif sent_kw is None:
            due = True
        else:
            off, old = abs(kw - sent_kw), now_ns - self.sent_ns
            due = off > unit.resolution_kw or (final and off > 0.0)
            due = due or 0.0 < unit.keep_alive_s * 1e9 <= old
            due = due or (old >= _DISOBEYED_NS and self._disobeyed(image))
        if due:
            self.sent_kw, self.sent_ns, self._failed_ns = kw, now_ns, None
            out.append(ControlWrite(unit.setpoint, kw, self.index))

    def _disobeyed(self, image: Image) -> bool:
        shown = image.get(self.unit.setpoint)
        tolerance = max(self.unit.resolution_kw, 0.005 * self.unit.rated_kw)
        return shown is not None and self.sent_kw is not None and abs(shown - self.sent_kw) > tolerance

    def _run_off(self, image: Image, out: list[ControlWrite]) -> None:
        """Run off once, and again while the unit still says that it runs."""
        now_ns, unit, off_ns = image.now_ns, self.unit, self._off_ns
        if unit.run == NO_ROW:
            return
        if off_ns is None or (now_ns - off_ns >= _AGAIN_NS and image.get(unit.running) != 0.0):
            self._off_ns = now_ns
            out.append(ControlWrite(unit.run, 0.0, self.index))

    def _heartbeat(self, now_ns: int, out: list[ControlWrite]) -> None:
        unit = self.unit
        if unit.heartbeat == NO_ROW:
            self._beat_due_ns = NEVER_NS
            return
        self._beat = (self._beat + 1) % _HEARTBEAT_WRAP
        self._beat_due_ns = now_ns + int(unit.heartbeat_s * 1e9)
        out.append(ControlWrite(unit.heartbeat, float(self._beat), self.index))
