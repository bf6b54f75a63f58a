"""`gridgate selftest soe`: prove that a master's event buffer, as configured, loses nothing on this machine."""

from __future__ import annotations

import sys
from typing import Any, Final

from gateway.cli.trace import find_master
from gateway.site.plan import SitePlan
from gateway.soetest import SoeOptions, SoeResult, SoeTestError, soe_test
from gateway.terminal import Progress, answer, refuse
from gateway.tracing.reader import TraceError


def selftest_soe(plan: SitePlan, master: str, options: SoeOptions, as_json: bool = False) -> int:
    """Make the test and print its table; returns the exit code: 0 passed, 1 failed or not possible."""
    try:
        entry, name = find_master(plan, master)
        with Progress("selftest", options.events) as progress:
            result = soe_test(plan, entry, name, options, progress.step)
    except (TraceError, SoeTestError) as error:
        return refuse(error)
    words = f"{entry.name}/{name}"
    answer("\n".join(table(words, result)), facts(words, result), as_json)
    if not result.passed:
        sys.stderr.write(result.log)
    return 0 if result.passed else 1


_EXCUSED: Final = (
    ("repeated, unacknowledged at the cut", "repeated_unacknowledged"),
    ("repeated, acknowledgement cut off", "repeated_acknowledgement_cut"),
    ("repeated after a kill", "repeated_after_kill"),
)
_FAULTS: Final = (
    ("lost", "lost"),
    ("doubled", "doubled"),
    ("out of order", "out_of_order"),
    ("not explained by a change", "unexpected"),
)


def table(master: str, result: SoeResult) -> list[str]:
    """The result as a person reads it."""
    tally = result.tally
    rows = [
        ("SOE buffer test of", master),
        ("events made", f"{tally.made:,} ({result.buffered:,} of them without a link)"),
        ("cuts of the link", f"{result.cuts:,}"),
        ("kills of the server", f"{result.kills:,}"),
        ("events received", f"{tally.received:,}"),
        *((words, f"{getattr(tally, name):,}") for words, name in (*_FAULTS, *_EXCUSED)),
        ("time", f"{result.seconds:.1f} s"),
        ("result", "passed" if result.passed else f"FAILED {result.trouble}".rstrip()),
    ]
    width = max(len(words) for words, _ in rows)
    return [f"{words:<{width}}  {figure}" for words, figure in rows]


def facts(master: str, result: SoeResult) -> dict[str, Any]:
    """The same for a program."""
    tally = result.tally
    counts = {name: getattr(tally, name) for _, name in (*_FAULTS, *_EXCUSED)}
    return {
        "master": master,
        "passed": result.passed,
        "trouble": result.trouble,
        "made": tally.made,
        "buffered": result.buffered,
        "received": tally.received,
        "cuts": result.cuts,
        "kills": result.kills,
        "seconds": round(result.seconds, 3),
        **counts,
    }
