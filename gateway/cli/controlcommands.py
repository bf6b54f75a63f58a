"""The commands about the frequency response: report and test; their arguments and their mains."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from gateway.terminal import refuse

# Each command imports what it needs when it runs.
# ruff: noqa: PLC0415

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]
AddSite = Callable[[argparse.ArgumentParser], None]


def add_control_commands(add: Add, add_site: AddSite) -> None:
    """Put the commands into the command line's parser."""
    report = add("droop-report", _report, "list excursions of the frequency, or write the page of one")
    add_site(report)
    report.add_argument("event", nargs="?", default="", help="as listed, or last (default: list them)")
    report.add_argument("--out", type=Path, default=Path("reports"), metavar="DIR", help="folder (default: reports)")
    report.add_argument("--json", action="store_true", help="one JSON object an excursion")
    test = add("droop-test", _test, "show the droop a synthetic frequency and judge the plant's answer by clause")
    add_site(test)
    test.add_argument("--unit", default="", help="which unit, where there are several")
    test.add_argument("--profile", default="iegc", metavar="P", help="whose clauses: its name or a file (iegc)")
    test.add_argument("--out", type=Path, metavar="FILE", help="write the verdicts as a page too")
    test.add_argument("--json", action="store_true", help="one JSON object a clause")


def _report(arguments: argparse.Namespace) -> int:
    from gateway.cli.droopreport import droop_report
    from gateway.cli.siteof import load

    try:
        return droop_report(load(arguments), arguments.event, arguments.out, arguments.json)
    except OSError as error:
        return refuse(error)


def _test(arguments: argparse.Namespace) -> int:
    from gateway.cli.drooptest import DroopTestError, DroopTestOptions, droop_test
    from gateway.cli.session import NotRunningError
    from gateway.cli.siteof import load
    from gateway.log import setup

    setup("cli", "error")
    options = DroopTestOptions(
        unit=arguments.unit, profile=arguments.profile, out=arguments.out, as_json=arguments.json
    )
    try:
        return droop_test(load(arguments), options)
    except (DroopTestError, NotRunningError, OSError) as error:
        return refuse(error)
