"""Growth of a process is a failure: what it used late in the run against what it used when it had settled."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from bench.watch import Sample

JUDGED_S: Final = 240.0
"""A shorter run is shown and not judged."""
MORE: Final = {"rss_mb": (1.15, 16.0), "fds": (1.0, 12.0), "threads": (1.0, 4.0)}
"""By figure: how many times and how many more it may be in the end than in the middle."""
NAMES: Final = {"rss_mb": "MB", "fds": "fds", "threads": "threads"}


def rows(samples: Mapping[str, Sequence[Sample]]) -> Iterator[dict[str, Any]]:
    """A line of the table for each process."""
    for title, found in samples.items():
        row: dict[str, Any] = {"process": title, "lives": len({sample.pid for sample in found})}
        for figure, name in NAMES.items():
            first, last = _ends(found, figure)
            row |= {f"{name} middle": round(first, 1), f"{name} end": round(last, 1)}
            row[f"{name} most"] = round(max(getattr(sample, figure) for sample in found), 1)
        yield row | {"CPU %": round(_cpu(found), 1)}


def findings(samples: Mapping[str, Sequence[Sample]]) -> Iterator[str]:
    """Processes that grew, in words."""
    for title, found in samples.items():
        if found[-1].at_ns - found[0].at_ns < JUDGED_S * 1e9:
            continue
        for figure, (times, more) in MORE.items():
            first, last = _ends(found, figure)
            if last > first * times + more:
                yield f"{title} grew: {NAMES[figure]} {first:.1f} in the middle, {last:.1f} at the end"


def _ends(found: Sequence[Sample], figure: str) -> tuple[float, float]:
    """Median of the third and fourth tenth of the time, and of the last one."""
    times = np.array([sample.at_ns for sample in found], np.float64)
    values = np.array([getattr(sample, figure) for sample in found], np.float64)
    part = (times - times[0]) / max(1.0, times[-1] - times[0])
    middle, end = values[(part >= 0.3) & (part <= 0.5)], values[part >= 0.9]
    return (float(np.median(middle)) if len(middle) else float(values[0]), float(np.median(end)))


def _cpu(found: Sequence[Sample]) -> float:
    """Of one core, over all lives of the process."""
    used = sum(
        max(0.0, later.cpu_s - sample.cpu_s) for sample, later in itertools.pairwise(found) if sample.pid == later.pid
    )
    return 100.0 * used / max(1.0, (found[-1].at_ns - found[0].at_ns) / 1e9)
