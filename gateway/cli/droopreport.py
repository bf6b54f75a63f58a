"""`gridgate droop-report`: excursions of the frequency as pages, from what the core kept of them."""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.control.evidence.analysis import analyse
from gateway.control.evidence.files import ExcursionFileError, folder, load
from gateway.control.evidence.report import write_report
from gateway.siteplan import SitePlan


def droop_report(plan: SitePlan, event: str, out: Path) -> int:
    """Without an event: a line for each. With one (or `last`): its page in `out`."""
    place = folder(plan.state_dir)
    paths = sorted(place.glob("*.npz"))
    if not paths:
        sys.stderr.write(f"no excursion has been kept yet in {place}\n")
        return 1
    if not event:
        return _list(paths)
    chosen = paths[-1:] if event == "last" else [path for path in paths if path.stem == event]
    if not chosen:
        sys.stderr.write(f"there is no event {event}: gridgate droop-report SITE lists them\n")
        return 1
    try:
        stored = load(chosen[0])
    except ExcursionFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    page = write_report(out / f"{chosen[0].stem}.html", stored, plan.name)
    sys.stdout.write(f"{page}\n")
    return 0


def _list(paths: list[Path]) -> int:
    failed = 0
    for path in paths:
        try:
            stored = load(path)
        except ExcursionFileError as error:
            sys.stderr.write(f"{error}\n")
            failed = 1
            continue
        found = analyse(stored.excursion, stored.grounds)
        sys.stdout.write(
            f"{path.stem}  {found.lowest_hz:.3f} to {found.highest_hz:.3f} Hz, {found.duration_s:.1f} s outside, "
            f"largest {found.largest_expected_kw:+.0f} kW, 90 % after {found.to_90_percent_s:.2f} s, "
            f"delivered {found.delivered_percent:.1f} %\n"
        )
    return failed
