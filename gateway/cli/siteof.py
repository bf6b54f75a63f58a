"""The site that a command is about."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from gateway.config import load_site, render
from gateway.contracts.places import ConfigError
from gateway.site.plan import SitePlan


def load(arguments: argparse.Namespace) -> SitePlan:
    """The site's plan; prints every error and exits 1 when it is wrong."""
    try:
        plan = load_site(arguments.site)
    except ConfigError as error:
        sys.stderr.write(render(error.report) + "\n")
        raise SystemExit(1) from None
    state_dir: Path | None = getattr(arguments, "state_dir", None)
    return plan if state_dir is None else replace(plan, state_dir=state_dir.absolute())
