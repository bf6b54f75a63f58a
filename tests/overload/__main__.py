"""``python -m tests.overload --seconds 60 --report DIR``: exits 1, and says what, when something did not hold."""

from __future__ import annotations

import argparse
import shlex
import sys
from functools import partial
from pathlib import Path

from bench import system
from tests.overload import judge, report
from tests.overload.run import run
from tests.overload.site import Scale


def main() -> int:
    """Run, judge, write the report."""
    parser = argparse.ArgumentParser(prog="python -m tests.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of flood")
    parser.add_argument("--quiet", type=float, default=10.0, help="seconds before and after the flood")
    parser.add_argument("--devices", type=int, default=50, help="with 1,000 points each, read once a second")
    parser.add_argument("--connections", type=int, default=1000, help="tried at each server")
    parser.add_argument("--capacity", type=int, default=5000, help="of the journals that run over")
    parser.add_argument("--report", type=Path, default=Path("var/overload"))
    parser.add_argument("--no-timing", action="store_true", help="do not judge the pace of flood, cycle and growth")
    chosen = parser.parse_args()
    scale = Scale(devices=chosen.devices, connections=chosen.connections, capacity=chosen.capacity)
    with system.workspace() as folder:
        outcome = run(folder, scale, chosen.seconds, chosen.quiet, partial(print, file=sys.stderr, flush=True))
        chosen.report.mkdir(parents=True, exist_ok=True)
        (chosen.report / "gateway.log").write_bytes((folder / "gateway.log").read_bytes())
    found = judge.findings(outcome, timing=not chosen.no_timing)
    page = report.write(chosen.report, outcome, found, shlex.join(["python", "-m", "tests.overload", *sys.argv[1:]]))
    print(page.read_text())
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
