"""A unit's set-point and run control as others command them: requests to the cycle, answered by what came of it.

What an operator at a load despatch centre may rely on:

- *refused*: blocked, tripped, a start without its permissive, outside the unit's range, held by a person at the site.
- *completed*: the device acknowledged the value at the end of the ramp, and the measured power agreed with it.
- *failed*: something else prevailed (a limit, a trip, the site went to local), or the ramp did not end before the
  deadline. A set-point that failed by its ramp or by a limit still stands: it is reached when it can be.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

from gateway.commanding.claim import ClaimFailed, Refusal
from gateway.contracts.command import Command, Reason
from gateway.contracts.driver import Write, WriteLost, WriteRefused
from gateway.control.controller import PriorityClass
from gateway.control.cycle import ControlCycle

_ABOVE: Final = frozenset({PriorityClass.SAFETY, PriorityClass.INTERLOCK, PriorityClass.OPERATOR})


class ClaimHost(Protocol):
    """What a claim needs of the runner."""

    cycle: ControlCycle

    def kick(self) -> None:
        """Run a cycle at once."""
        ...

    def not_ready(self, unit: int) -> str:
        """Why this unit takes no set-point yet; empty when it does."""
        ...

    def acknowledged_kw(self, unit: int) -> tuple[float | None, WriteRefused | WriteLost | None]:
        """The set-point that the device acknowledged last, and the trouble with one since then."""
        ...

    async def next_step(self) -> None:
        """Wait for the next cycle, or the next acknowledgement of a device."""
        ...

    async def write(self, write: Write) -> None:
        """Write past the arbitration (run on). Raises `WriteRefused` or `WriteLost`."""
        ...


class SetpointClaim:
    """Commands to the power set-point of one unit."""

    def __init__(self, host: ClaimHost, unit: int) -> None:
        self._host, self._unit = host, unit

    def refusal(self, command: Command) -> Refusal | None:
        host, cycle = self._host, self._host.cycle
        unit, decision = cycle.plan.units[self._unit], cycle.decisions[self._unit]
        if not unit.low_kw <= command.value <= unit.high_kw:
            return Reason.OUT_OF_RANGE, f"{command.value:g} kW is outside {unit.low_kw:g} to {unit.high_kw:g} kW"
        if decision is not None and decision.blocked_by and command.value != 0.0:
            return Reason.INTERLOCKED, f"{unit.name} is blocked by {decision.blocked_by}"
        holder = cycle.standing[self._unit].operator
        if holder is not None and not command.origin.of_person:
            return Reason.LOCAL, f"{holder.owner} at the gateway holds {unit.name}"
        trouble = host.not_ready(self._unit)
        return (Reason.BLOCKED, trouble) if trouble else None

    async def carry_out(self, command: Command) -> float:
        """Ask, then wait until the ramp has ended and the device has acknowledged."""
        host, cycle, i = self._host, self._host.cycle, self._unit
        owner = command.origin.owner
        cycle.standing[i].ask(command.value, owner, command.origin.of_person, time.monotonic_ns())
        host.kick()
        while True:
            await host.next_step()
            decision = cycle.decisions[i]
            if decision is None:
                continue
            if decision.priority in _ABOVE and decision.source != owner:
                raise ClaimFailed(Reason.INTERLOCKED, f"{decision.source} holds the unit")
            if cycle.local:
                raise ClaimFailed(Reason.LOCAL, "the site went to local")
            cut = decision.state.base_kw in (decision.low_kw, decision.high_kw)
            if decision.limited_by and cut and decision.target_kw is not None:
                text = f"limited to {decision.target_kw:g} kW by {decision.limited_by}"
                raise ClaimFailed(Reason.INTERLOCKED, text)
            acknowledged, trouble = host.acknowledged_kw(i)
            if trouble is not None:
                raise trouble
            arrived = decision.state.base_kw == command.value
            if arrived and acknowledged is not None and acknowledged == decision.target_kw:
                return acknowledged


class RunClaim:
    """Commands to the run control of one unit: stop always, start when nothing forbids it."""

    def __init__(self, host: ClaimHost, unit: int) -> None:
        self._host, self._unit = host, unit

    def refusal(self, command: Command) -> Refusal | None:
        if command.value == 0.0:
            return None
        trouble = self._host.cycle.engine.start_refusal(self._unit)
        if trouble:
            return Reason.INTERLOCKED, trouble
        trouble = self._host.not_ready(self._unit)
        return (Reason.BLOCKED, trouble) if trouble else None

    async def carry_out(self, command: Command) -> float:
        """Written as it is: a start or a stop knows no ramp."""
        await self._host.write(Write(row=command.row, value=command.value, pulse=command.pulse))
        return command.value
