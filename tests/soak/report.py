"""The report of a soak: tables as text and as an HTML page, with plots over the run (inline SVG)."""

from __future__ import annotations

import html
import json
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.soak import growth
from tests.soak.run import Outcome
from tests.soak.verdict import Verdict

Table = Sequence[dict[str, Any]]
COLOURS: Final = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#999999",
    "#7a5195",
    "#bc5090",
)
WIDTH, HEIGHT, LEFT, TOP = 900, 240, 60, 10
POINTS: Final = 600
"""Of a line at most."""
_STYLE: Final = (
    "body{font:14px sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{border:1px solid #ccc;padding:2px 8px;text-align:right}td:first-child,th:first-child{text-align:left}"
    "pre{white-space:pre-wrap}svg text{font:11px sans-serif}.bad{color:#b00}"
)

Line = tuple[str, list[float], list[float]]
"""Name, seconds since the begin, values."""


def write(folder: Path, outcome: Outcome, verdict: Verdict, found: Sequence[str], command: str) -> Path:
    """``soak.md``, ``soak.html`` and ``soak.json`` in `folder`; returns the first."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "soak.md"
    page.write_text("\n".join(_text(outcome, verdict, found, command)) + "\n")
    (folder / "soak.html").write_text("\n".join(_page(outcome, verdict, found, command)) + "\n")
    facts = {title: list(rows) for title, rows in _tables(outcome, verdict).items()}
    outcome.counters.get("plant", {}).pop("gaps", None)
    facts |= {"findings": list(found), "examples": verdict.examples, "counters": outcome.counters}  # type: ignore[dict-item]
    (folder / "soak.json").write_text(json.dumps(facts, indent=1, default=str))
    return page


def _tables(outcome: Outcome, verdict: Verdict) -> dict[str, Table]:
    faults = []
    for fault in outcome.faults:
        row = {"fault": fault.kind, "whom": fault.whom, "at s": fault.after_s, "for s": fault.lasts_s}
        faults.append(row | {"step s": fault.step_s, "done": bool(fault.ended_ns) and not fault.note})
    return {
        "What the receivers were told": verdict.receivers,
        "Commands": verdict.commands,
        "Alarms": verdict.alarms,
        "Latencies, ms": list(_latencies(verdict)),
        "Faults": faults,
        "Processes": list(growth.rows(outcome.samples)),
    }


def _latencies(verdict: Verdict) -> Iterator[dict[str, Any]]:
    for name, (_, spent) in verdict.latencies.items():
        if len(spent):
            p50, p99 = np.percentile(spent, [50, 99])
            yield {
                "way": name,
                "times": len(spent),
                "p50": round(p50, 1),
                "p99": round(p99, 1),
                "max": round(max(spent), 1),
            }


def _head(outcome: Outcome, found: Sequence[str], command: str) -> Iterator[str]:
    plan, plant = outcome.plan, outcome.counters.get("plant", {})
    yield command
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    yield f"{machine}; load {os.getloadavg()[2]:.1f} in the end"
    asked = f"{plan.points:,} points, {plan.changes_per_s:,.0f} changes/s and {plan.commands_per_s:g} commands/s asked"
    yield f"seed {plan.seed}; {asked}"
    seconds = (outcome.rest_ns - outcome.began_ns) / 1e9
    made = plant.get("changes", 0)
    rate = made / max(1.0, seconds)
    yield f"{made:,} changes made in {seconds:,.0f} s ({rate:,.0f}/s), {plant.get('writes', 0):,} writes executed"
    yield from (f"not part of it: {words}" for words in outcome.missing)
    yield f"Verdict: {'every book agrees' if not found else 'the books do not agree'}"


def _text(outcome: Outcome, verdict: Verdict, found: Sequence[str], command: str) -> Iterator[str]:
    yield "# Ledger soak"
    for line in _head(outcome, found, command):
        yield ""
        yield line
    yield ""
    yield from (f"- {words}" for words in found)
    for title, rows in _tables(outcome, verdict).items():
        yield from ("", f"## {title}", "")
        heading = list(rows[0]) if rows else ["nothing"]
        yield "| " + " | ".join(heading) + " |"
        yield "|" + "---|" * len(heading)
        yield from ("| " + " | ".join(_cell(row.get(name)) for name in heading) + " |" for row in rows)
    if verdict.examples:
        yield from ("", "## Examples of what does not agree", "", *(f"- {words}" for words in verdict.examples))


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _page(outcome: Outcome, verdict: Verdict, found: Sequence[str], command: str) -> Iterator[str]:
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>Ledger soak</title><style>{_STYLE}</style>"
    yield "<h1>Ledger soak</h1>"
    yield from (f"<p>{html.escape(line)}</p>" for line in _head(outcome, found, command))
    yield from (f"<p class=bad>{html.escape(words)}</p>" for words in found)
    for title, rows in _tables(outcome, verdict).items():
        yield f"<h2>{html.escape(title)}</h2>"
        yield from _rows(rows)
    for title, lines in _plots(outcome, verdict).items():
        yield f"<h2>{html.escape(title)}</h2>"
        yield plot(lines, [(fault.after_s, f"{fault.kind} {fault.whom}") for fault in outcome.faults])
    if verdict.examples:
        yield "<h2>Examples of what does not agree</h2><pre>" + html.escape("\n".join(verdict.examples)) + "</pre>"


def _rows(rows: Table) -> Iterator[str]:
    if rows:
        heading = list(rows[0])
        yield "<table><tr>" + "".join(f"<th>{html.escape(name)}</th>" for name in heading) + "</tr>"
        for row in rows:
            yield "<tr>" + "".join(f"<td>{html.escape(_cell(row.get(name)))}</td>" for name in heading) + "</tr>"
        yield "</table>"


def _plots(outcome: Outcome, verdict: Verdict) -> dict[str, list[Line]]:
    plots: dict[str, list[Line]] = {}
    for title, figure in (("Memory, MB", "rss_mb"), ("File descriptors", "fds"), ("Threads", "threads")):
        plots[title] = [
            (name, [_since(outcome, each.at_ns) for each in found], [float(asdict(each)[figure]) for each in found])
            for name, found in outcome.samples.items()
        ]
    changes, commands = "From the answer of the device to the receiver, ms (highest of a second)", "Commands, ms"
    plots |= {changes: [], commands: []}
    for name, (times_ns, spent) in verdict.latencies.items():
        if len(spent):
            seconds = (times_ns - outcome.began_ns) // 1_000_000_000
            highest: dict[int, float] = {}
            for second, value in zip(seconds.tolist(), spent.tolist(), strict=True):
                highest[second] = max(value, highest.get(second, 0.0))
            line = (
                name,
                [float(second) for second in sorted(highest)],
                [highest[second] for second in sorted(highest)],
            )
            plots[commands if name.endswith("commands") else changes].append(line)
    return plots


def _since(outcome: Outcome, at_ns: int) -> float:
    return (at_ns - outcome.began_ns) / 1e9


def plot(lines: Sequence[Line], marks: Sequence[tuple[float, str]]) -> str:
    """Lines over the seconds of the run, with a grey mark where a fault began."""
    lines = [_thinned(line) for line in lines if line[1]]
    if not lines:
        return "<p>nothing</p>"
    right = max(max(line[1]) for line in lines) or 1.0
    top = max(max(line[2]) for line in lines) * 1.05 or 1.0
    wide, high = WIDTH - LEFT - 10, HEIGHT - TOP - 25

    def at(second: float, value: float) -> str:
        return f"{LEFT + wide * max(0.0, second) / right:.1f},{TOP + high * (1 - value / top):.1f}"

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 18 * len(lines)}" width="{WIDTH}">']
    for second, words in marks:
        x = LEFT + wide * second / right
        parts.append(f'<path d="M{x:.1f} {TOP}v{high}" stroke="#ccc"><title>{html.escape(words)}</title></path>')
    for share in (0.0, 0.5, 1.0):
        y = TOP + high * (1 - share)
        parts.append(f'<path d="M{LEFT} {y:.1f}h{wide}" stroke="#888" stroke-width=".5"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{top * share:,.1f}</text>')
        parts.append(
            f'<text x="{LEFT + wide * share:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{right * share:,.0f} s</text>'
        )
    for number, (name, seconds, values) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(at(*pair) for pair in zip(seconds, values, strict=True))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        y = HEIGHT + 12 + 18 * number
        parts.append(f'<text x="{LEFT}" y="{y}" fill="{colour}">{html.escape(name)}: last {values[-1]:,.1f}</text>')
    return "".join([*parts, "</svg>"])


def _thinned(line: Line) -> Line:
    """The highest of each stretch, so that no peak is lost."""
    name, seconds, values = line
    step = -(-len(seconds) // POINTS)
    if step <= 1:
        return line
    return name, seconds[::step], [max(values[at : at + step]) for at in range(0, len(values), step)]
