"""Stories that are told on one running site, one after another, since each leaves it as it found it or the next can do
with what is left: a start costs more than most of them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SHARED: Final = {
    "small": (
        "test_frame.py",
        "test_overview.py",
        "test_points.py",
        "test_without_history.py",
        "test_commands_page.py",
        "test_communications_page.py",
    ),
    "whole": ("test_trends_page.py", "test_events_page.py", "test_alarms_page.py"),
}
"""By site: files of ``tests/hmi`` in their order. The emergency stop and the lost plant come last."""

_PLACES: Final = {name: (site, place) for site, names in SHARED.items() for place, name in enumerate(names)}


def site_of(path: Path) -> str:
    """The site that a file's stories share with others; "" when they do not."""
    return _PLACES[path.name][0] if path.parent.name == "hmi" and path.name in _PLACES else ""


def place_of(path: Path) -> int:
    """Of a file that shares: its place among the others."""
    return _PLACES[path.name][1]
