"""The order of the tests.

Stories with whole gateways wait most of their time, unit tests never wait: mixed they fill the machine. A file is one
piece of work (``--dist loadfile``), or those files that share a site; the stories come early and spread, so that none
begins when the rest is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.kit.sharing import place_of, site_of

settings.register_profile("house", deadline=None, max_examples=50)  # the machine may be busy with other tests
settings.load_profile("house")

STORIES = {"e2e", "hmi", "interop"}
"""Folders of tests that wait for processes."""
LONGEST = "test_soak.py"
"""It takes minutes whatever the machine: it begins at once."""
EARLY = 0.7
"""They have begun when so much of the rest is done."""


class Pieces(LoadFileScheduling):  # type: ignore[misc]
    """Hands out files, and those that share a site as one."""

    def _split_scope(self, nodeid: str) -> str:
        return _piece(Path(nodeid.split("::", 1)[0]))


def _piece(path: Path) -> str:
    return site_of(path) or str(path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Pieces | None:
    return Pieces(config, log) if config.getvalue("dist") == "loadfile" else None


def _pieces(items: list[pytest.Item]) -> list[list[pytest.Item]]:
    pieces: dict[str, list[pytest.Item]] = {}
    for item in items:
        pieces.setdefault(_piece(item.path), []).append(item)
    for piece in pieces.values():
        if site_of(piece[0].path):
            piece.sort(key=lambda item: place_of(item.path))
    return list(pieces.values())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    pieces = _pieces(items)
    stories = [piece for piece in pieces if STORIES & set(piece[0].path.relative_to(here).parts[:1])]
    others = [piece for piece in pieces if not STORIES & set(piece[0].path.relative_to(here).parts[:1])]
    ordered = [((number + 0.5) * EARLY / len(stories), piece) for number, piece in enumerate(stories)]
    ordered += [((number + 0.5) / len(others), piece) for number, piece in enumerate(others)]
    ordered.sort(key=lambda pair: (pair[1][0].path.name != LONGEST, pair[0]))
    items[:] = [item for _, piece in ordered for item in piece]
