"""Five minutes of the ledger soak; `GRIDGATE_SOAK_MINUTES` (0: none) and `GRIDGATE_SOAK_SEED` (0: drawn) say others."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak.__main__ import soak

MINUTES = float(os.environ.get("GRIDGATE_SOAK_MINUTES", "5"))
SEED = int(os.environ.get("GRIDGATE_SOAK_SEED", "13")) or random.SystemRandom().randrange(1, 1_000_000)


POINTS, CHANGES_PER_S = 3_000, 400.0
"""A part of what `make soak` plays, since two cores have the other tests to do as well."""


@pytest.fixture(autouse=True)
def _first() -> Iterator[None]:
    """Where it may, it goes before the tests beside it: a machine that is too busy loses events, and says so."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, usual - 10)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, usual)


@pytest.mark.skipif(MINUTES <= 0, reason="GRIDGATE_SOAK_MINUTES says that there is to be none")
@pytest.mark.timeout(MINUTES * 60 + 900)
def test_every_book_agrees(tmp_path: Path) -> None:
    """The plant, its masters, clients, database and page, through cuts, kills, frozen devices, a full disk and a step
    of the clock: nothing is lost, doubled, out of order or wrong. What this machine cannot do is left out and said.
    """
    outcome, found, page = soak(
        tmp_path, tmp_path / "report", SEED, MINUTES, points=POINTS, changes_per_s=CHANGES_PER_S, tell=print
    )
    print(f"seed {SEED}", *outcome.missing, sep="\n")
    assert not found, page.read_text()
