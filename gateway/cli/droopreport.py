"""`gridgate droop-report`: excursions of the frequency as pages, from what the core kept of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from gateway.control.evidence.analysis import analyse
from gateway.control.evidence.files import ExcursionFileError, folder, load
from gateway.control.evidence.report import write_report
from gateway.site.plan import SitePlan
from gateway.terminal import answer, complain, refuse

_LISTED: Final = (
    "lowest_hz",
    "highest_hz",
    "duration_s",
    "largest_expected_kw",
    "to_90_percent_s",
    "delivered_percent",
)


def droop_report(plan: SitePlan, event: str, out: Path, as_json: bool = False) -> int:
    """Without an event: a line for each. With one (or `last`): its page in `out`."""
    place = folder(plan.state_dir)
    paths = sorted(place.glob("*.npz"))
    if not paths:
        return refuse(f"no excursion has been kept yet in {place}")
    if not event:
        return _list(paths, as_json)
    chosen = paths[-1:] if event == "last" else [path for path in paths if path.stem == event]
    if not chosen:
        return refuse(f"there is no event {event}: gridgate droop-report SITE lists them")
    try:
        stored = load(chosen[0])
    except ExcursionFileError as error:
        return refuse(error)
    out.mkdir(parents=True, exist_ok=True)
    page = write_report(out / f"{chosen[0].stem}.html", stored, plan.name)
    answer(str(page), {"page": str(page)}, as_json)
    return 0


def _list(paths: list[Path], as_json: bool) -> int:
    failed = 0
    for path in paths:
        try:
            stored = load(path)
        except ExcursionFileError as error:
            complain(error)
            failed = 1
            continue
        found = analyse(stored.excursion, stored.grounds)
        words = (
            f"{path.stem}  {found.lowest_hz:.3f} to {found.highest_hz:.3f} Hz, {found.duration_s:.1f} s outside, "
            f"largest {found.largest_expected_kw:+.0f} kW, 90 % after {found.to_90_percent_s:.2f} s, "
            f"delivered {found.delivered_percent:.1f} %"
        )
        answer(words, {"event": path.stem, **{name: _number(getattr(found, name)) for name in _LISTED}}, as_json)
    return failed


def _number(value: float) -> float | None:
    """JSON has no word for what is not known."""
    return value if math.isfinite(value) else None
