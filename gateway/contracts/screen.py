"""What the HMI's package implements: the gateway starts it, and knows no more of it than this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.contracts.places import Report
    from gateway.contracts.settings import Strict
    from gateway.points.model import PointCatalogue
    from gateway.sitesection import Section

SCREEN: Final = "_hmi"
"""Name under which the HMI reads the feed and commands; no server of a site is called so.

It speaks for people: `Origin.master` is the role of the person who asks, `Origin.peer` who and from where.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What the package's ``__init__`` names; each value is ``module:attribute``, imported only when needed."""

    settings: str
    main: str
    """``main(plan: ScreenPlan, child: Child)``, the process from start to orderly end."""


class ScreenSettings(Protocol):
    """How the section `hmi:` is read."""

    model: type[Strict]

    def compile(self, settings: Any, section: Section, folder: Path, catalogue: PointCatalogue, report: Report) -> Any:
        """Check; return a picklable plan with a `listen: str`. `folder` is that of the site file."""
        ...
