"""What the HMI's package implements: the gateway starts it, and knows no more of it than this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

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
