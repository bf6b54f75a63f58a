"""`gridgate archive`: what happened, who did what; and whether it is still as it was written."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

from gateway.history.archive import Archive
from gateway.site.plan import SitePlan
from gateway.terminal import answer, refuse


def _folder(plan: SitePlan) -> Path:
    if plan.history is None:
        raise ValueError("the site has no history: nothing is archived")
    return plan.state_dir / plan.history.folder


def _open(plan: SitePlan) -> Archive:
    folder = _folder(plan)
    try:
        return Archive(folder, read_only=True)
    except FileNotFoundError:
        raise ValueError(f"nothing has been archived yet in {folder}") from None


def verify(plan: SitePlan, as_json: bool = False) -> int:
    """Walk the chain; 0 when it holds."""
    archive = _open(plan)
    try:
        verdict = archive.verify()
    finally:
        archive.close()
    if verdict.trouble:
        return refuse(f"the archive was edited: {verdict.trouble}")
    words = f"{verdict.entries:,} entries with {verdict.lines:,} lines, unbroken\nhead {verdict.head}"
    answer(words, {"entries": verdict.entries, "lines": verdict.lines, "head": str(verdict.head)}, as_json)
    return 0


def list_events(plan: SitePlan, kind: str, start_ns: int, end_ns: int, as_json: bool) -> int:
    """Print the events of a kind."""
    archive = _open(plan)
    try:
        events = sorted(archive.read(kind, start_ns, end_ns), key=lambda event: int(event["time_ns"]))
    finally:
        archive.close()
    if as_json:
        sys.stdout.writelines(json.dumps(event) + "\n" for event in events)
        return 0
    columns = list(dict.fromkeys(key for event in events for key in event))
    writer = csv.DictWriter(sys.stdout, columns or ["time_ns"])
    writer.writeheader()
    writer.writerows(events)
    return 0
