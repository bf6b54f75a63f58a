"""The report of an overload: a page in Markdown, and JSON lines with every figure."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.result import percentile
from tests.overload import judge
from tests.overload.run import Outcome
from tests.overload.site import REFUSING

PHASES: Final = ("before", "flood", "after")


def write(folder: Path, outcome: Outcome, found: Sequence[str], command: str) -> Path:
    """``overload.md`` and ``overload.jsonl`` in `folder`; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "overload.md"
    page.write_text("\n".join(_page(outcome, found, command)) + "\n")
    with (folder / "overload.jsonl").open("w") as file:
        for record in records(outcome, found):
            file.write(json.dumps(record) + "\n")
    return page


def records(outcome: Outcome, found: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Every figure, one object each."""
    for table, rows in _tables(outcome).items():
        for row in rows:
            yield {"table": table} | row
    for title, samples in outcome.processes.items():
        for sample in samples:
            facts = {name: getattr(sample, name) for name in ("at_ns", "rss_mb", "fds", "threads", "cpu_s")}
            yield {"table": "samples", "process": title} | facts
    for words in found:
        yield {"table": "findings", "finding": words}


def _page(outcome: Outcome, found: Sequence[str], command: str) -> Iterator[str]:
    load = ", ".join(f"{value:.1f}" for value in outcome.load)
    rate = sum(outcome.made) / outcome.seconds
    yield "# Overload"
    yield ""
    yield f"`{command}`"
    yield ""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    yield f"{machine}; load over 1, 5, 15 min: {load}"
    yield ""
    asked = f"{outcome.scale.changes_per_s:,.0f} changes/s asked"
    yield f"{outcome.scale.points:,} points, {asked} for {outcome.seconds:g} s;"
    yield f"the gateway read {rate:,.0f} changes/s ({sum(outcome.made):,} in all)."
    yield ""
    yield f"## Verdict: {'everything held' if not found else 'did not hold'}"
    yield ""
    yield from (f"- {words}" for words in found)
    for title, rows in _tables(outcome).items():
        yield ""
        yield f"## {title}"
        yield ""
        yield from _table(rows)


def _table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "nothing"
        return
    heading = list(rows[0])
    yield "| " + " | ".join(heading) + " |"
    yield "|" + "---|" * len(heading)
    for row in rows:
        yield "| " + " | ".join(_cell(row.get(name)) for name in heading) + " |"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _tables(outcome: Outcome) -> dict[str, list[dict[str, Any]]]:
    return {
        "What the masters were told": list(_masters(outcome)),
        "What was shed, and where it is counted": list(_shed(outcome)),
        "Connections": outcome.crowd,
        "Ways to the field, ms": list(_ways(outcome)),
        "Control cycle": list(_cycle(outcome)),
        "Processes": list(_processes(outcome)),
    }


def _masters(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for master in judge.MASTERS:
        told, whole = outcome.told[master], judge.made(outcome, master)
        row = {"master": master, "points": len(told["last"]), "changes made": whole, "told": told["events"]}
        row |= {"not told": whole - told["events"], "counted as lost": judge.counted(outcome, master)}
        yield row | {name: told[name] for name in ("doubled", "backwards", "degraded")}


def _shed(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for master, point in {**judge.MASTERS, "104 slow": "system/master/sldc/slow"}.items():
        lost = int(outcome.newest(f"{point}/events_lost"))
        says = f"{outcome.told[master]['overflows']} responses with IIN2.3" if "DNP3" in master else f"{point}/overflow"
        yield {"what": f"events of {master}", "how many": lost, "counted in": f"{point}/events_lost", "told by": says}
    lost = judge.feed_overruns(outcome)
    yield {"what": "changes on the feed", "how many": lost, "counted in": "events_lost", "told by": "log, overflow"}
    for server in REFUSING:
        point = f"system/server/{server}/refused"
        lines = sum(line.get("event") == "connection refused" and line.get("server") == server for line in outcome.log)
        row = {"what": f"connections to {server}", "how many": int(outcome.newest(point)), "counted in": point}
        yield row | {"told by": f"{lines} lines of the log"}


def _ways(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for name, words in (("frequency", "frequency to set-point"), ("stop", "interlock input to stop")):
        for phase in PHASES:
            yield {"way": words, "phase": phase} | _spread(_within(outcome, phase, outcome.ways[name]))
    commands = [(at, way) for at, way, _ in outcome.told["104 main"]["commands"]]
    for phase in PHASES:
        yield {"way": "104 command to termination", "phase": phase} | _spread(_within(outcome, phase, commands))


def _within(outcome: Outcome, phase: str, found: Iterable[Sequence[Any]]) -> list[float]:
    began_ns, ended_ns = outcome.phases[phase]
    return [value for at_ns, value in found if value is not None and began_ns <= at_ns < ended_ns]


def _spread(found: list[float]) -> dict[str, Any]:
    if not found:
        return {"times": 0, "p50": "-", "p99": "-", "max": "-"}
    return {"times": len(found), "p50": percentile(found, 50), "p99": percentile(found, 99), "max": max(found)}


def _cycle(outcome: Outcome) -> Iterator[dict[str, Any]]:
    for phase in PHASES:
        counts = {
            name: _within(outcome, phase, outcome.system.get(f"system/control/{name}", ()))
            for name in ("cycles", "overruns", "jitter_us", "cycle_us")
        }
        times = [at for at, _ in outcome.system["system/control/cycles"] if _inside(outcome, phase, at)]
        cycles = counts["cycles"]
        made = cycles[-1] - cycles[0] if cycles else 0.0
        period = (times[-1] - times[0]) / 1e6 / made if made else 0.0
        overruns = counts["overruns"]
        yield {
            "phase": phase,
            "cycles": int(made),
            "mean period ms": period,
            "missed": int(overruns[-1] - overruns[0]) if overruns else 0,
            "latest start, p50 of the seconds, us": percentile(counts["jitter_us"] or [0.0], 50),
            "latest start, max us": max(counts["jitter_us"], default=0.0),
            "longest step, max us": max(counts["cycle_us"], default=0.0),
        }


def _inside(outcome: Outcome, phase: str, at_ns: int) -> bool:
    return outcome.phases[phase][0] <= at_ns < outcome.phases[phase][1]


def _processes(outcome: Outcome) -> Iterator[dict[str, Any]]:
    began_ns, ended_ns = outcome.phases["flood"]
    for title, samples in outcome.processes.items():
        flood = [sample for sample in samples if began_ns <= sample.at_ns < ended_ns] or samples
        seconds = max(1e-9, (flood[-1].at_ns - flood[0].at_ns) / 1e9)
        yield {
            "process": title,
            "MB first": samples[0].rss_mb,
            "MB most": max(sample.rss_mb for sample in samples),
            "MB last": samples[-1].rss_mb,
            "fds first": samples[0].fds,
            "fds most": max(sample.fds for sample in samples),
            "fds last": samples[-1].fds,
            "threads most": max(sample.threads for sample in samples),
            "CPU % in the flood": 100.0 * (flood[-1].cpu_s - flood[0].cpu_s) / seconds,
        }
