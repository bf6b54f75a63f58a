"""A fleet's set-point and a unit's reactive set-point as others command them: answered once the devices have them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from gateway.commanding.claim import Claim, ClaimFailed, Refusal
from gateway.contracts.command import Command, Reason
from gateway.control.claims import ClaimHost
from gateway.control.controller import Controller, PriorityClass
from gateway.control.targets.fleet import FleetController
from gateway.control.targets.reactive import ReactiveController

_TOLERANCE_PART: Final = 0.005
"""Of a unit's rating: shares move a little from cycle to cycle with states of charge."""


class ReactiveClaim:
    """Commands to `kvar`, and to the device's own reactive set-point, of one unit."""

    def __init__(self, host: ClaimHost, controller: ReactiveController) -> None:
        self._host, self._controller = host, controller

    def refusal(self, command: Command) -> Refusal | None:
        trouble = self._controller.trouble_with(command.value)
        if trouble:
            return Reason.OUT_OF_RANGE, trouble
        return (Reason.BLOCKED, "the unit has not been heard of yet") if self._controller.waiting else None

    async def carry_out(self, command: Command) -> float:
        """Ask, then wait until the ramp has ended and the device has acknowledged."""
        controller = self._controller
        controller.ask(command.value)
        self._host.kick()
        while True:
            await self._host.next_step()
            view = self._host.cycle.view(controller.plan.unit)
            if view.local or view.tripped:
                reason = Reason.LOCAL if view.local else Reason.INTERLOCKED
                raise ClaimFailed(reason, "the site went to local" if view.local else "the unit is tripped")
            if controller.limited:
                raise ClaimFailed(Reason.INTERLOCKED, f"limited to {controller.wanted:g} kvar by the unit's capability")
            if controller.trouble is not None:
                raise controller.trouble
            if controller.acknowledged_kvar == command.value:
                return command.value


class FleetClaim:
    """Commands to the set-point of one fleet."""

    def __init__(self, host: ClaimHost, controller: FleetController) -> None:
        self._host, self._controller = host, controller

    def refusal(self, command: Command) -> Refusal | None:
        trouble = self._controller.trouble_with(command.value)
        return (Reason.OUT_OF_RANGE, trouble) if trouble else None

    async def carry_out(self, command: Command) -> float:
        """Ask, then wait until every unit has its share, and its device has acknowledged it."""
        self._controller.ask(command.value, time.monotonic_ns())
        self._host.kick()
        while True:
            await self._host.next_step()
            shares = self._controller.shares
            if shares is None:
                continue
            # All of them are looked at: the first one that is still on its way must not hide one that has failed.
            there = [self._has(unit, kw) for unit, kw in shares]
            if all(there):
                self._check_whole()
                return command.value

    def _check_whole(self) -> None:
        unserved = self._controller.unserved_kw
        if abs(unserved) > 1e-6:
            raise ClaimFailed(Reason.INTERLOCKED, f"no unit can take {unserved:g} kW of it")

    def _has(self, index: int, kw: float) -> bool:
        cycle = self._host.cycle
        unit, decision = cycle.plan.units[index], cycle.decisions[index]
        if decision is None:
            return False
        if cycle.local:
            raise ClaimFailed(Reason.LOCAL, "the site went to local")
        if kw and decision.priority < PriorityClass.RESPONSE:
            raise ClaimFailed(Reason.INTERLOCKED, f"{decision.source} holds {unit.name}")
        if decision.priority is PriorityClass.REMOTE and decision.source != self._controller.source:
            raise ClaimFailed(Reason.INTERLOCKED, f"{decision.source} holds {unit.name} with a set-point of its own")
        acknowledged, trouble = self._host.acknowledged_kw(index)
        if trouble is not None:
            raise trouble
        base, target = decision.state.base_kw, decision.target_kw
        if base is None or target is None or acknowledged is None:
            return False
        near = _TOLERANCE_PART * unit.rated_kw
        return abs(base - kw) <= near and abs(acknowledged - target) <= near


def _of_reactive(host: ClaimHost, controller: Any) -> dict[int, Claim]:
    claim = ReactiveClaim(host, controller)
    return {controller.plan.rows.kvar: claim, controller.plan.setpoint: claim}


def _of_fleet(host: ClaimHost, controller: Any) -> dict[int, Claim]:
    return {controller.plan.rows.setpoint_kw: FleetClaim(host, controller)}


_CLAIMS: Final[Mapping[type[Any], Callable[[ClaimHost, Any], dict[int, Claim]]]] = {
    ReactiveController: _of_reactive,
    FleetController: _of_fleet,
}


def target_claims(host: ClaimHost, controllers: Iterable[Controller]) -> dict[int, Claim]:
    """By table row, for every controller that has any."""
    out: dict[int, Claim] = {}
    for controller in controllers:
        make = _CLAIMS.get(type(controller))
        if make is not None:
            out |= make(host, controller)
    return out
