"""`gridgate journal`: what each master has not confirmed yet, as its journal has it on disk."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.cli.points import value_words
from gateway.cli.trace import find_master
from gateway.events import Events, journal_path
from gateway.events.store import BindingName, Contents, DamagedJournal, JournalStore
from gateway.points.model import PointCatalogue
from gateway.points.quality import ALL_FLAGS, Quality
from gateway.site.plan import SitePlan
from gateway.terminal import complain, refuse
from gateway.tracing.reader import TraceError


@dataclass(frozen=True, slots=True)
class JournalOptions:
    """What is asked: of one master (``NAME`` or ``SERVER/NAME``) its first `limit` events, of none all the counts."""

    master: str = ""
    limit: int = 20
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Journal:
    server: str
    master: str
    contents: Contents
    names: list[BindingName]

    @property
    def words(self) -> str:
        return f"{self.server}/{self.master}"

    def facts(self) -> dict[str, Any]:
        cursor, events = self.contents.cursor, self.contents.events
        return {
            "server": self.server,
            "master": self.master,
            "held": len(events),
            "in_flight": cursor.in_flight,
            "oldest_ns": int(events["time_ns"][0]) if len(events) else None,
            "newest_ns": int(events["time_ns"][-1]) if len(events) else None,
            "lost": cursor.lost,
            "overflow": cursor.overflowing,
            "committed_seq": cursor.seq,
        }


def journal(plan: SitePlan, options: JournalOptions) -> int:
    """Print it, whether the gateway runs or not; returns the exit code."""
    try:
        asked = _asked(plan, options.master)
    except TraceError as error:
        return refuse(error)
    found, failed = [], 0
    for server_name, master in asked:
        path = journal_path(plan.state_dir, server_name, master)
        try:
            found.append(_read(path, server_name, master))
        except FileNotFoundError:
            complain(f"{server_name}/{master} has no journal yet ({path})")
        except (DamagedJournal, OSError) as error:
            failed += 1
            complain(f"{path} cannot be read: {error}")
    lines = _json_lines if options.as_json else _text_lines
    for line in lines(plan.catalogue, found, options):
        sys.stdout.write(line + "\n")
    return 1 if failed or (options.master and not found) else 0


def _asked(plan: SitePlan, name: str) -> list[tuple[str, str]]:
    if name:
        server, master = find_master(plan, name)
        return [(server.name, master)]
    return [(server.name, master) for server in plan.servers for master in server.masters]


def _read(path: Path, server: str, master: str) -> _Journal:
    if not path.exists():
        raise FileNotFoundError(path)
    store = JournalStore(path, read_only=True)
    try:
        return _Journal(server, master, store.load(), store.names())
    finally:
        store.close()


def _json_lines(catalogue: PointCatalogue, found: list[_Journal], options: JournalOptions) -> list[str]:
    if not options.master:
        return [json.dumps(each.facts()) for each in found]
    return [json.dumps(event) for each in found for event in _events(each, options.limit)]


def _events(found: _Journal, limit: int) -> list[dict[str, Any]]:
    out = []
    for event in _first(found.contents.events, limit):
        point, address = found.names[int(event["binding"])]
        value = float(event["value"])
        out.append(
            {
                "point": point,
                "address": address,
                "value": value if math.isfinite(value) else None,
                "quality": Quality(int(event["quality"]) & ALL_FLAGS).words,
                "time_ns": int(event["time_ns"]),
                "seq": int(event["seq"]),
            }
        )
    return out


def _first(events: Events, limit: int) -> Events:
    chosen: Events = events[: max(0, limit)]
    return chosen


def _text_lines(catalogue: PointCatalogue, found: list[_Journal], options: JournalOptions) -> list[str]:
    lines = _table([_HEAD, *(_counts(each) for each in found)]) if found else []
    if options.master:
        for each in found:
            lines += _event_lines(catalogue, each, options.limit)
    return lines


_HEAD = ("master", "held", "in flight", "oldest (UTC)", "newest (UTC)", "lost", "committed seq")


def _counts(found: _Journal) -> tuple[str, ...]:
    facts = found.facts()
    lost = f"{facts['lost']:,}{' (overflow)' if facts['overflow'] else ''}"
    return (
        found.words,
        f"{facts['held']:,}",
        f"{facts['in_flight']:,}",
        *(_moment(facts["oldest_ns"]), _moment(facts["newest_ns"])),
        lost,
        str(facts["committed_seq"]),
    )


def _event_lines(catalogue: PointCatalogue, found: _Journal, limit: int) -> list[str]:
    events = found.contents.events
    rows = [("time (UTC)", "point", "value", "quality", "address")]
    for event in _events(found, limit):
        row = catalogue.rows.get(event["point"])
        value = math.nan if event["value"] is None else event["value"]
        shown = f"{value:.10g}" if row is None else value_words(catalogue.point(row), value)
        rows.append((_moment(event["time_ns"]), event["point"], shown, event["quality"], event["address"]))
    lines = ["", *_table(rows)] if len(rows) > 1 else []
    rest = len(events) - (len(rows) - 1)
    return [*lines, f"... and {rest:,} more (--limit)"] if rest else lines


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _moment(time_ns: int | None) -> str:
    """A time as people read it, to the ms."""
    if time_ns is None:
        return "-"
    try:
        when = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{time_ns} ns"
    return f"{when:%Y-%m-%d %H:%M:%S}.{time_ns // 1_000_000 % 1000:03d}"
