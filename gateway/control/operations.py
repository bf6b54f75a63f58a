"""What persons do to control: reset, acknowledge, bypass, stop all, release; by command line and by command point."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from gateway.commanding.claim import Refusal
from gateway.commands import CommandBroker
from gateway.contracts.command import Action, Command, Reason
from gateway.control.cycle import ControlCycle
from gateway.control.interlock.engine import Refused
from gateway.control.interlock.plan import STOP_ALL
from gateway.control.interlock.state import Bypass
from gateway.control.plan import ControlPlan
from gateway.points.model import NO_ROW

CONTROL_ACTIONS: Final = (
    Action.RESET,
    Action.ACKNOWLEDGE_TRIP,
    Action.BYPASS,
    Action.UNBYPASS,
    Action.STOP_ALL,
)


class Operations:
    """Handlers for the broker, which has checked the right to it and keeps the record. `done` applies them."""

    def __init__(self, plan: ControlPlan, cycle: ControlCycle, done: Callable[[], None]) -> None:
        self._plan, self._cycle, self._engine, self._done = plan, cycle, cycle.engine, done
        self._acts: Mapping[Action, Callable[[Command], None]] = {
            Action.RESET: self._reset,
            Action.ACKNOWLEDGE_TRIP: self._acknowledge,
            Action.BYPASS: self._bypass,
            Action.UNBYPASS: self._unbypass,
            Action.STOP_ALL: self._stop_all,
        }

    def register(self, broker: CommandBroker) -> None:
        """Actions and command points."""
        broker.handle(CONTROL_ACTIONS, self.act)
        rows = self._plan.rows
        broker.handle_point(rows.stop_all, self._point(self._stop_all), in_local=True)
        broker.handle_point(rows.reset, self._point(self._reset), in_local=True)
        for row in self._plan.interlocks:
            if row.latch and row.rows.reset != NO_ROW:
                broker.handle_point(row.rows.reset, self._point(self._reset_one(row.name)), in_local=True)
        for unit, unit_rows in enumerate(self._plan.unit_rows):
            broker.handle_point(unit_rows.release, self._point(self._release(unit)))

    def act(self, command: Command) -> Refusal | None:
        """Carry out one action; a refusal when it is not allowed now."""
        return self._try(self._acts[command.action], command)

    def acknowledge_alarm(self, alarm: str) -> None:
        """An alarm was acknowledged: with it the trip that raised it; with an empty name all."""
        if not alarm:
            self.acknowledge_all()
            return
        parts = alarm.split("/")
        if parts[:2] == ["system", "interlock"] and len(parts) > 3 and parts[2] in self._engine.index:
            state = self._engine.states[self._engine.index[parts[2]]]
            if state.latched and parts[3] == "tripped":
                self._engine.acknowledge(parts[2])
                self._done()

    def acknowledge_all(self) -> None:
        """Every alarm was acknowledged: so is every trip."""
        for row, state in zip(self._engine.rows, self._engine.states, strict=True):
            if state.latched and not state.acknowledged:
                self._engine.acknowledge(row.name)
        self._done()

    def _point(self, act: Callable[[Command], None]) -> Callable[[Command], Refusal | None]:
        """1 does it, 0 does nothing."""
        return lambda command: self._try(act, command) if command.value else None

    def _try(self, act: Callable[[Command], None], command: Command) -> Refusal | None:
        try:
            act(command)
        except Refused as refused:
            return Reason.INTERLOCKED, str(refused)
        self._done()
        return None

    def _reset(self, command: Command) -> None:
        if command.subject:
            self._engine.reset(command.subject)
        else:
            self._engine.reset_all()

    def _reset_one(self, name: str) -> Callable[[Command], None]:
        def act(command: Command) -> None:
            self._engine.reset(name)

        return act

    def _acknowledge(self, command: Command) -> None:
        if command.subject:
            self._engine.acknowledge(command.subject)
        else:
            self.acknowledge_all()

    def _bypass(self, command: Command) -> None:
        if not command.text.strip():
            raise Refused("a bypass needs a reason")
        if not 0 < command.value <= self._plan.bypass_max_s:
            raise Refused(f"a bypass lasts more than 0 and at most {self._plan.bypass_max_s:g} s")
        until_ns = time.time_ns() + int(command.value * 1e9)
        by = Bypass(owner=str(command.origin), reason=command.text.strip(), until_ns=until_ns)
        self._engine.bypass(command.subject, by)

    def _unbypass(self, command: Command) -> None:
        self._engine.end_bypass(command.subject)

    def _stop_all(self, command: Command) -> None:
        reason = f": {command.text.strip()}" if command.text.strip() else ""
        self._engine.raise_row(STOP_ALL, f"by {command.origin}{reason}")

    def _release(self, unit: int) -> Callable[[Command], None]:
        return lambda command: self._cycle.standing[unit].release()
