"""`gridgate interlocks` and `gridgate stop-all`: what is tripped, and what a person does about it."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli.points import told
from gateway.cli.session import connected, subject_command
from gateway.contracts.command import Action
from gateway.contracts.places import nearest
from gateway.control.interlock.plan import Interlock
from gateway.control.plan import ControlPlan
from gateway.feed.mirror import Mirror
from gateway.site.plan import SitePlan
from gateway.terminal import misused, refuse

ACTIONS: Final = {
    "reset": Action.RESET,
    "ack": Action.ACKNOWLEDGE_TRIP,
    "bypass": Action.BYPASS,
    "unbypass": Action.UNBYPASS,
}
"""Word of the command line -> the broker's action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterlockOptions:
    """What is asked."""

    action: str = ""
    name: str = ""
    minutes: float = 0.0
    reason: str = ""
    as_json: bool = False


def interlocks(plan: SitePlan, options: InterlockOptions) -> int:
    """List the interlocks, or act on one."""
    if plan.control is None:
        return refuse("this site has no control section: no interlocks")
    if not options.action:
        return asyncio.run(_list(plan, plan.control, options.as_json))
    if options.action not in ACTIONS:
        return misused(f"{options.action} is no action: {', '.join(ACTIONS)}")
    known = [row.name for row in plan.control.interlocks]
    if options.name not in known and (options.name or options.action in ("bypass", "unbypass")):
        return refuse(f"there is no interlock {options.name}{nearest(options.name, known)}")
    action, seconds = ACTIONS[options.action], options.minutes * 60
    return asyncio.run(_act(plan, action, options.name, options.reason, seconds, options.as_json))


def stop_all(plan: SitePlan, reason: str, as_json: bool = False) -> int:
    """Stop every unit at once."""
    if plan.control is None:
        return refuse("this site has no control section: nothing here can stop its units")
    return asyncio.run(_act(plan, Action.STOP_ALL, "", reason, 0.0, as_json))


async def _act(plan: SitePlan, action: Action, name: str, reason: str, seconds: float, as_json: bool) -> int:
    async with connected(plan, "interlocks") as client:
        outcome = await subject_command(client, action, name, reason, seconds, getpass.getuser())
    return told(name or "all", action, outcome, as_json)


async def _list(plan: SitePlan, control: ControlPlan, as_json: bool) -> int:
    async with connected(plan, "interlocks") as client:
        states = [state_of(row, client.mirror) for row in control.interlocks]
    if as_json:
        for state in states:
            sys.stdout.write(json.dumps(state) + "\n")
        return 0
    width = max((len(state["name"]) for state in states), default=0)
    for state in states:
        sys.stdout.write(f"{state['name']:<{width}}  {words(state):<32}  {state['message']}\n")
    return 0


def state_of(row: Interlock, mirror: Mirror) -> dict[str, Any]:
    """One interlock as its points have it."""
    flags = ("active", "latched", "tripped", "bypassed", "first_out")
    shown = {flag: bool(mirror.value[getattr(row.rows, flag)]) for flag in flags}
    return {"name": row.name, "message": row.message, "permissive": row.permissive, **shown}


def words(state: dict[str, Any]) -> str:
    """Its state for a person."""
    if state["permissive"]:
        return "start permitted" if state["active"] else "NO START"
    said = [word for word in ("tripped", "latched", "bypassed") if state[word]]
    if state["first_out"]:
        said.append("first cause")
    if state["latched"]:
        said.append("cause still there" if state["active"] else "cause gone")
    return ", ".join(said) or ("cause is there" if state["active"] else "-")
