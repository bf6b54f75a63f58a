"""Tables of what was measured: ``python -m bench > var/bench.jsonl; python -m bench.table var/bench.jsonl``.

Writes ``bench/FIGURES.md`` with every figure, and those that have a budget into the README between its two marks. Run
it on the machine that measured: the tables name it.
"""

from __future__ import annotations

import json
import os
import platform
import sys
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


def main() -> int:
    """Exit status 2 when there is nothing to write."""
    if len(sys.argv) != 2:
        print("usage: python -m bench.table FILE", file=sys.stderr)
        return 2
    facts = read(Path(sys.argv[1]).read_text().splitlines())
    if not facts:
        print(f"{sys.argv[1]}: no figures", file=sys.stderr)
        return 2
    where = f"Measured {machine()}, all figures in one run of `make bench`.\n\n"
    (REPO / "bench" / "FIGURES.md").write_text(f"# Figures\n\n{where}{table(facts)}")
    readme = REPO / "README.md"
    judged = [fact for fact in facts if "met" in fact]
    readme.write_text(into_readme(readme.read_text(), where + table(judged)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
