"""`gridgate points`: live values, quality and age in the terminal; `gridgate force` and its like."""

from __future__ import annotations

import asyncio
import fnmatch
import getpass
import json
import math
import shutil
import sys
import time
from typing import Final

from gateway.cli.session import command, connected
from gateway.contracts.command import Action, Outcome, Stage
from gateway.contracts.places import nearest
from gateway.feed.mirror import Mirror
from gateway.points.model import Kind, Point, PointCatalogue
from gateway.points.quality import Quality
from gateway.site.plan import SitePlan
from gateway.terminal import Colour, Exit, answer, fitted, paint, refuse

_DOUBLE_WORDS: Final = ("intermediate", "open", "closed", "bad")
_SETTLE_S: Final = 0.3


def chosen_rows(catalogue: PointCatalogue, pattern: str) -> list[int]:
    """Rows whose name contains `pattern`, or matches it when it has ``*`` or ``?``; all for an empty one."""
    if any(mark in pattern for mark in "*?"):
        return [row for row, name in enumerate(catalogue.names) if fnmatch.fnmatchcase(name, pattern)]
    return [row for row, name in enumerate(catalogue.names) if pattern in name]


def value_words(point: Point, value: float) -> str:
    """A value as a person reads it."""
    if point.kind in (Kind.BINARY, Kind.CONTROL):
        return "on" if value else "off"
    if point.kind is Kind.DOUBLE and value in (0.0, 1.0, 2.0, 3.0):
        return _DOUBLE_WORDS[int(value)]
    return f"{value:.10g}" if math.isfinite(value) else str(value)


def age_words(seen_ns: int, now_ns: int) -> str:
    """How long ago the source last confirmed the value."""
    if not seen_ns:
        return "never"
    age_s = max(0.0, (now_ns - seen_ns) / 1e9)
    for limit, divisor, unit in ((100, 1, "s"), (6000, 60, "min"), (360_000, 3600, "h")):
        if age_s < limit:
            return f"{age_s / divisor:.1f} {unit}"
    return f"{age_s / 86400:.0f} d"


def table_lines(catalogue: PointCatalogue, mirror: Mirror, rows: list[int], now_ns: int) -> list[str]:
    """One line a point: name, value, unit, quality, age."""
    width = max((len(catalogue.names[row]) for row in rows), default=5)
    lines = [f"{'point':<{width}}  {'value':>14} {'unit':<7} {'age':>9}  quality"]
    for row in rows:
        point = catalogue.point(row)
        quality = Quality(int(mirror.quality[row]))
        value = "-" if Quality.NEVER_REPORTED in quality else value_words(point, float(mirror.value[row]))
        age = age_words(int(mirror.seen_ns[row]), now_ns)
        words = paint(quality.words, Colour.YELLOW if quality else None)
        lines.append(f"{point.name:<{width}}  {value:>14} {point.unit:<7} {age:>9}  {words}")
    return lines


def json_line(catalogue: PointCatalogue, mirror: Mirror, row: int) -> str:
    """One point as a JSON object."""
    value = float(mirror.value[row])
    return json.dumps(
        {
            "point": catalogue.names[row],
            "kind": catalogue.kind(row).word,
            "value": value if math.isfinite(value) else None,
            "unit": catalogue.units[row],
            "quality": Quality(int(mirror.quality[row])).words,
            "time_ns": int(mirror.time_ns[row]),
            "seen_ns": int(mirror.seen_ns[row]),
        }
    )


async def show(plan: SitePlan, pattern: str, watch_s: float | None, as_json: bool) -> int:
    """Print the chosen points once, or again every `watch_s` seconds until Ctrl-C."""
    rows = chosen_rows(plan.catalogue, pattern)
    if not rows:
        return refuse(f"no point matches {pattern!r}")
    async with connected(plan, "points") as client:
        while True:
            if as_json:
                text = "".join(json_line(plan.catalogue, client.mirror, row) + "\n" for row in rows)
            else:
                text = "\n".join(table_lines(plan.catalogue, client.mirror, rows, time.time_ns())) + "\n"
            if watch_s is None:
                sys.stdout.write(text)
                return 0
            sys.stdout.write(on_screen(text, as_json))
            sys.stdout.flush()
            await asyncio.sleep(watch_s)
            client.refresh()
            await asyncio.sleep(min(_SETTLE_S, watch_s))


def on_screen(text: str, as_json: bool) -> str:
    """On a terminal: the text from its top left corner, cut to what fits and saying so; elsewhere as it is."""
    if as_json or not sys.stdout.isatty():
        return text
    size = shutil.get_terminal_size()
    lines = text.splitlines()
    if len(lines) > size.lines - 1:
        hidden = len(lines) - (size.lines - 2)
        lines = [*lines[: size.lines - 2], f"... and {hidden} more: give a filter, or use a taller window"]
    return "\x1b[H\x1b[2J" + "\n".join(fitted(line, size.columns) for line in lines) + "\n"


async def act(plan: SitePlan, name: str, value: float, action: Action, as_json: bool = False) -> int:
    """Force, release, block or unblock one measured point, or command one; prints what came of it."""
    row = plan.catalogue.rows.get(name)
    if row is None:
        return refuse(f"there is no point {name}{nearest(name, plan.catalogue.names)}")
    async with connected(plan, action.value) as client:
        outcome = await command(client, row, value, action, getpass.getuser())
    return told(name, action, outcome, as_json)


def told(what: str, action: Action, outcome: Outcome, as_json: bool) -> int:
    """Say how a command ended; the exit code."""
    done = outcome.stage is Stage.COMPLETED
    if done or as_json:
        reason = "" if done else outcome.text or outcome.reason.value
        facts = {"what": what, "action": action.value, "stage": outcome.stage.value, "reason": reason}
        answer(f"{what}: {action.value} done", facts, as_json)
        return Exit.DONE if done else Exit.FAILED
    return refuse(f"{what}: {action.value} {outcome.stage.value}: {outcome.text or outcome.reason.value}")
