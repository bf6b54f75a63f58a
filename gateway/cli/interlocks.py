"""`gridgate interlocks` and `gridgate stop-all`: what is tripped, and what a person does about it."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from dataclasses import dataclass
from typing import Any, Final

from gateway.cli.session import connected, subject_command
from gateway.contracts.command import Action, Stage
from gateway.contracts.places import nearest
from gateway.control.interlock.plan import Interlock
from gateway.control.plan import ControlPlan
from gateway.feed.mirror import Mirror
from gateway.siteplan import SitePlan

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
        sys.stderr.write("this site has no control section: no interlocks\n")
        return 1
    if not options.action:
        return asyncio.run(_list(plan, plan.control, options.as_json))
    if options.action not in ACTIONS:
        sys.stderr.write(f"{options.action} is no action: {', '.join(ACTIONS)}\n")
        return 2
    known = [row.name for row in plan.control.interlocks]
    if options.name not in known and (options.name or options.action in ("bypass", "unbypass")):
        sys.stderr.write(f"there is no interlock {options.name}{nearest(options.name, known)}\n")
        return 1
    action, seconds = ACTIONS[options.action], options.minutes * 60
    return asyncio.run(_act(plan, action, options.name, options.reason, seconds))


def stop_all(plan: SitePlan, reason: str) -> int:
    """Stop every unit at once."""
    if plan.control is None:
        sys.stderr.write("this site has no control section: nothing here can stop its units\n")
        return 1
    return asyncio.run(_act(plan, Action.STOP_ALL, "", reason, 0.0))


async def _act(plan: SitePlan, action: Action, name: str, reason: str, seconds: float) -> int:
    async with connected(plan, "interlocks") as client:
        outcome = await subject_command(client, action, name, reason, seconds, getpass.getuser())
    what = f"{name or 'all'}: {action.value}"
    if outcome.stage is Stage.COMPLETED:
        sys.stdout.write(f"{what} done\n")
        return 0
    sys.stderr.write(f"{what} {outcome.stage.value}: {outcome.text or outcome.reason.value}\n")
    return 1


async def _list(plan: SitePlan, control: ControlPlan, as_json: bool) -> int:
    async with connected(plan, "interlocks") as client:
        states = [state_of(row, client.mirror) for row in control.interlocks]
    if as_json:
        for state in states:
            sys.stdout.write(json.dumps(state) + "\n")
        return 0
    width = max(len(state["name"]) for state in states)
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
