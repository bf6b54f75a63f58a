"""Tables of what was measured: ``python -m bench > FILE; python -m bench.table FILE [AGAIN ...]``.

A file of figures measured again replaces those of the same name; the tables say which. Writes ``bench/FIGURES.md`` with
every figure, and those that have a budget into the README between its two marks. Run it on the machine that measured:
the tables name it.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import textwrap
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

REPO: Final = Path(__file__).parents[1]
BEGIN: Final = "<!-- figures: begin -->\n"
END: Final = "<!-- figures: end -->\n"
HEAD: Final = ("figure", "measured", "budget", "", "beside", "its figure", "ratio")

Fact = Mapping[str, Any]


def read(lines: Iterable[str]) -> list[Fact]:
    """The figures, in their order. Raises `ValueError` for a line that is none."""
    return [json.loads(line) for line in lines if line.strip()]


def merged(facts: Iterable[Fact], again: Iterable[Fact]) -> list[Fact]:
    """In the order of the first ones; what was measured again instead of what it was, or of the failure before it."""
    known = {fact["name"]: fact for fact in facts}
    for fact in again:
        known = {name: old for name, old in known.items() if not ("failed" in old and fact["name"].startswith(name))}
        known[fact["name"]] = fact
    return list(known.values())


def number(value: float, unit: str) -> str:
    """With its unit, in digits that a person reads."""
    shown = f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{shown} {unit}".rstrip()


def cells(fact: Fact) -> tuple[str, ...]:
    """One line of the table."""
    unit = fact["unit"]
    budget = f"<= {number(fact['budget'], unit)}" if "budget" in fact else ""
    budget = f">= {number(fact['at_least'], unit)}" if "at_least" in fact else budget
    verdict = {True: "met", False: "**missed**"}.get(fact.get("met"), "")
    peer = (
        (fact["peer"], number(fact["peer_value"], unit), f"{fact['ratio']:.3g}") if "peer_value" in fact else ("",) * 3
    )
    return (f"`{fact['name']}`", number(fact["value"], unit), budget, verdict, *peer)


def table(facts: Iterable[Fact]) -> str:
    """In Markdown."""
    rows = [HEAD, ("---",) * len(HEAD), *(cells(fact) for fact in facts)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def machine() -> str:
    """What it was measured on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), {memory_gb:.0f} GB, {system}"


def into_readme(text: str, part: str) -> str:
    """The README with `part` between its marks. Raises `ValueError` without them."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{part}{END}{after}"


def conditions(facts: Iterable[Fact], again: Iterable[str]) -> str:
    """Where, when and how it was measured, and what is missing: a paragraph."""
    facts = list(facts)
    known = {fact["name"]: fact for fact in facts}
    words = [f"Measured {machine()}, by `make figures`."]
    if "machine_takes_away" in known:
        share, most = known["machine_takes_away"]["value"], known["machine_takes_away_at_once"]["value"]
        words.append(
            f"This machine took {share:.2g} % of its time from a real-time thread that only looks at the clock,"
            f" {most:.2g} ms at once at the most, while nothing else ran: no latency here can be surer than that."
        )
    if names := ", ".join(f"`{name}`" for name in again):
        words.append(f"Measured once more, alone: {names}.")
    if failed := "; ".join(f"`{fact['name']}` ({fact['failed']})" for fact in facts if "failed" in fact):
        words.append(f"Not measured: {failed}.")
    return textwrap.fill(" ".join(words), 120) + "\n\n"


def main() -> int:
    """Exit status 2 when there is nothing to write."""
    if len(sys.argv) < 2:
        print("usage: python -m bench.table FILE [AGAIN ...]", file=sys.stderr)
        return 2
    first, *files = (
        [] if not Path(name).exists() else read(Path(name).read_text().splitlines()) for name in sys.argv[1:]
    )
    again = [fact for file in files for fact in file]
    facts = merged(first, again)
    if not facts:
        print(f"{sys.argv[1]}: no figures", file=sys.stderr)
        return 2
    where = conditions(facts, dict.fromkeys(fact["name"] for fact in again))
    measured = [fact for fact in facts if "value" in fact]
    (REPO / "bench" / "FIGURES.md").write_text(f"# Figures\n\n{where}{table(measured)}")
    readme = REPO / "README.md"
    judged = [fact for fact in measured if "met" in fact]
    readme.write_text(into_readme(readme.read_text(), where + table(judged)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
