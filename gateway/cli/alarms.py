"""`gridgate alarms`: what stands, and acknowledging, shelving and their like, in the terminal."""

from __future__ import annotations

import asyncio
import fnmatch
import getpass
import json
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.mirror import AlarmMirror
from gateway.alarms.model import AlarmRecord
from gateway.alarms.wire import line_of
from gateway.cli.points import on_screen, told
from gateway.cli.session import NotRunningError, connected, subject_command
from gateway.contracts.command import Action
from gateway.contracts.places import nearest
from gateway.feed.client import FeedClient
from gateway.site.plan import SitePlan
from gateway.terminal import Exit, complain, misused

ACTIONS: Final = {
    "ack": Action.ACKNOWLEDGE,
    "confirm": Action.CONFIRM,
    "comment": Action.COMMENT,
    "shelve": Action.SHELVE,
    "unshelve": Action.UNSHELVE,
    "out": Action.OUT_OF_SERVICE,
    "in": Action.IN_SERVICE,
}
"""Word of the command line -> the broker's action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmOptions:
    """What is asked. `names` may hold patterns; `everything`: alarms that are normal too."""

    action: str = ""
    names: tuple[str, ...] = ()
    everything: bool = False
    watch_s: float | None = None
    as_json: bool = False
    duration_s: float = 0.0
    reason: str = ""


def alarms(plan: SitePlan, options: AlarmOptions) -> int:
    """List the alarms, or act on those named."""
    if options.action in ACTIONS:
        return asyncio.run(_act(plan, options))
    if options.action:
        return misused(f"{options.action} is no action: {', '.join(ACTIONS)}")
    return asyncio.run(_list(plan, options))


async def _list(plan: SitePlan, options: AlarmOptions) -> int:
    async with connected(plan, "alarms", alarms=True) as client:
        mirror = _mirror(client)
        while True:
            records = _records(mirror, options)
            if options.as_json:
                lines = [json.dumps(_facts(record, mirror.catalogue)) for record in records]
            else:
                lines = _table(records, mirror.catalogue, time.time_ns())
            text = "".join(line + "\n" for line in lines)
            if options.watch_s is None:
                sys.stdout.write(text)
                return 0
            sys.stdout.write(on_screen(text, options.as_json))
            sys.stdout.flush()
            await asyncio.sleep(options.watch_s)


def _mirror(client: FeedClient) -> AlarmMirror:
    if client.alarms is None or client.alarms_differ:
        raise NotRunningError("the gateway runs with other alarms: the site file has changed since it started")
    return client.alarms


def _records(mirror: AlarmMirror, options: AlarmOptions) -> list[AlarmRecord]:
    """What is to be shown: the most urgent first, then the newest."""
    catalogue = mirror.catalogue
    indices = range(len(catalogue)) if options.everything else list(mirror.records)
    records = [mirror.record(index) for index in indices]
    return sorted(records, key=lambda at: (at.hidden, not at.active, -int(catalogue.priority[at.index]), -at.time_ns))


def _facts(record: AlarmRecord, catalogue: AlarmCatalogue) -> dict[str, Any]:
    number = catalogue.number_in_group(record.index) if catalogue.group_of(record.index) else 0
    return line_of(record, catalogue) | {"group": catalogue.group_of(record.index), "number_in_group": number}


def _table(records: list[AlarmRecord], catalogue: AlarmCatalogue, now_ns: int) -> list[str]:
    """One line an alarm."""
    if not records:
        return ["no alarms"]
    names = [catalogue.name(record.index) for record in records]
    width = max(len(name) for name in names)
    lines = [f"{'since (UTC)':<19}  {'priority':<8}  {'state':<23}  {'alarm':<{width}}  message"]
    for record, name in zip(records, names, strict=True):
        since_ns = record.raised_ns if record.active else record.time_ns
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(since_ns / 1e9)) if since_ns else ""
        priority = catalogue.priority_of(record.index).word
        message = catalogue.message(record.index) + _remarks(record, now_ns)
        lines.append(f"{since:<19}  {priority:<8}  {record.state:<23}  {name:<{width}}  {message}")
    return lines


def _remarks(record: AlarmRecord, now_ns: int) -> str:
    remarks = ["first out"] if record.first_out else []
    if record.hidden and record.active:
        remarks.append("active")
    if record.shelved:
        left_s = max(0.0, (record.shelved_until_ns - now_ns) / 1e9)
        remarks.append(f"for {left_s / 60:.0f} min more" + (", or until it returns" if record.one_shot else ""))
    if record.by and record.text:
        remarks.append(f"{record.by}: {record.text}")
    return f" [{'; '.join(remarks)}]" if remarks else ""


async def _act(plan: SitePlan, options: AlarmOptions) -> int:
    """Every alarm that is named; prints what came of each."""
    async with connected(plan, "alarms", alarms=True) as client:
        mirror = _mirror(client)
        names = _chosen(mirror, options)
        if names is None:
            return 1
        failed = 0
        for name in names:
            failed += not await _act_on(client, name, options)
        return 1 if failed else 0


def _chosen(mirror: AlarmMirror, options: AlarmOptions) -> list[str] | None:
    """Names that are meant; None (told) when one is not known. Patterns stand for what is not normal."""
    if options.everything and options.action == "ack":
        return [""]
    if not options.names:
        complain("name the alarms (gridgate alarms SITE shows them)")
        return None
    catalogue, out = mirror.catalogue, list[str]()
    for wanted in options.names:
        if "*" in wanted:
            pattern = wanted.replace("[", "[[]")
            standing = [catalogue.name(index) for index in sorted(mirror.records)]
            out += [name for name in standing if fnmatch.fnmatchcase(name, pattern)]
        elif catalogue.find(wanted) is None:
            complain(f"there is no alarm {wanted}{nearest(wanted, catalogue.names())}")
            return None
        else:
            out.append(wanted)
    if not out:
        complain(f"no alarm that is not normal matches {' '.join(options.names)}")
        return None
    return list(dict.fromkeys(out))


async def _act_on(client: FeedClient, name: str, options: AlarmOptions) -> bool:
    action, person = ACTIONS[options.action], getpass.getuser()
    outcome = await subject_command(client, action, name, options.reason, options.duration_s, person)
    return told(name or "all", action, outcome, options.as_json) == Exit.DONE
