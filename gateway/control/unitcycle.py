"""One unit in the cycle: what it is asked, what is ruled, where it stands, what is written. Pure.

Most units are asked the same as in the cycle before. What was ruled of the same requests holds; and a unit that has
arrived, whose points have not changed and of which no write is due is left alone until one of these is otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.control.arbitration import Decision, Ruling, UnitState, cruise, cruising, move, rule
from gateway.control.controller import PriorityClass, Request, UnitView
from gateway.control.image import Image
from gateway.control.output import UnitOutput
from gateway.control.soclimits import SocLimits
from gateway.control.standing import StandingSetpoints
from gateway.control.unit import Unit
from gateway.control.write import ControlWrite

NOBODY: Sequence[Request] = ()


class UnitCycle:
    """Everything of one unit that is kept from one cycle to the next."""

    __slots__ = (
        *(
            "_asked",
            "_cruising",
            "_due_ns",
            "_limits",
            "_local",
            "_mode",
            "_ruling",
            "_settled",
            "_soc",
            "_state",
            "_view",
        ),
        *("decision", "output", "standing", "unit"),
    )

    def __init__(self, index: int, unit: Unit) -> None:
        self.unit = unit
        self.standing = StandingSetpoints(index, unit)
        self.output = UnitOutput(index, unit)
        self.decision: Decision | None = None
        self._soc = SocLimits(index, unit)
        self._limits = unit.limits
        self._state = UnitState()
        self._asked: tuple[Sequence[Request], ...] = (NOBODY,) * 4
        self._ruling: Ruling | None = None
        self._local = False
        self._mode: tuple[object, ...] = ()
        self._settled = self._cruising = False
        self._due_ns = 0
        self._view: tuple[Decision | None, bool, UnitView] | None = None

    def step(
        self,
        image: Image,
        interlocks: Sequence[Request],
        controllers: Sequence[Request],
        local: bool,
        dt_s: float,
        touched: bool,
        quiet: bool,
        writes: list[ControlWrite],
    ) -> bool:
        """One cycle; whether source, limitation or trip has changed.

        `interlocks` is the same sequence until it changes. `touched`: one of the unit's points has changed. `quiet`:
        nothing but a trip is to be written, because not everything that must be known is.
        """
        before = self._asked
        soc = self._soc.requests(image) if touched or not self._soc.steady else before[1]
        said = self.standing.requests(image.now_ns)
        same = interlocks is before[0] and soc is before[1] and said is before[2] and local is self._local
        if not (same and controllers == before[3]) or self._ruling is None:
            self._asked, self._local = (interlocks, soc, said, controllers), local
            self._ruling = rule(self._limits, [*interlocks, *soc, *said, *controllers], local)
            self._cruising = False
        elif self._settled and not (touched or quiet) and image.now_ns < self._due_ns:
            return False
        if self._cruising and self.decision is not None:
            arrived = self.decision
            self.decision = decision = cruise(self._ruling, arrived, dt_s)
            self._state = decision.state
            self._write(decision, image, dt_s, quiet, decision is arrived, writes)
            return False
        return self._decide(self._ruling, image, dt_s, quiet, writes)

    def _decide(self, ruling: Ruling, image: Image, dt_s: float, quiet: bool, writes: list[ControlWrite]) -> bool:
        unit, state = self.unit, self._state
        held = image.get(unit.setpoint)
        if held is None:
            held = image.get(unit.power)
        self.decision = decision = move(self._limits, ruling, state, held, dt_s)
        self._state = after = decision.state
        if decision.stop:
            self.standing.forget()
        self._cruising = cruising(ruling, decision)
        self._write(decision, image, dt_s, quiet, after == state, writes)
        mode = (decision.priority, decision.source, decision.limited_by, decision.stop, decision.blocked_by)
        if mode == self._mode:
            return False
        self._mode = mode
        return True

    def _write(
        self, decision: Decision, image: Image, dt_s: float, quiet: bool, arrived: bool, writes: list[ControlWrite]
    ) -> None:
        self.output.writes(decision, image, quiet, writes)
        self._settled = arrived and not quiet and dt_s > 0
        if self._settled:
            self._due_ns = self.output.due_ns(image.now_ns)

    def failed(self, row: int, now_ns: int) -> None:
        """The device did not take the last value of this row."""
        self.output.failed(row, now_ns)
        self._settled = False

    def look_again(self) -> None:
        """Take nothing as settled."""
        self._settled = self._cruising = False
        self._ruling = None

    def view(self, local: bool) -> UnitView:
        """What controllers may know of it; the same object until it changes."""
        known = self._view
        if known is not None and known[0] is self.decision and known[1] is local:
            return known[2]
        made = self._seen(self.decision, local)
        self._view = self.decision, local, made
        return made

    def _seen(self, decision: Decision | None, local: bool) -> UnitView:
        unit = self.unit
        if decision is None:
            return UnitView(None, None, PriorityClass.HOLD, unit.low_kw, unit.high_kw, local, False, False)
        return UnitView(
            target_kw=decision.target_kw,
            base_kw=decision.state.base_kw,
            source=decision.priority,
            low_kw=decision.low_kw,
            high_kw=decision.high_kw,
            local=local,
            tripped=decision.stop,
            blocked=bool(decision.blocked_by),
        )
