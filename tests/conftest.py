"""The order of the tests.

Stories with whole gateways wait most of their time, unit tests never wait: mixed they fill the machine. A file is one
piece of work (``--dist loadfile``), the stories come early and spread, so that none begins when the rest is done.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, max_examples=50)  # the machine may be busy with other tests
settings.load_profile("house")

STORIES = {"e2e", "hmi", "interop"}
"""Folders of tests that wait for processes."""
LONGEST = "test_soak.py"
"""It takes minutes whatever the machine: it begins at once."""
EARLY = 0.7
"""They have begun when so much of the rest is done."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    files = [list(group) for _, group in itertools.groupby(items, lambda item: item.path)]
    stories = [file for file in files if STORIES & set(file[0].path.relative_to(here).parts[:1])]
    others = [file for file in files if not STORIES & set(file[0].path.relative_to(here).parts[:1])]
    if stories and others:
        places = [(number + 0.5) * EARLY / len(stories) for number in range(len(stories))]
        ordered = [*zip(places, stories, strict=True)]
        ordered += [((number + 0.5) / len(others), file) for number, file in enumerate(others)]
        ordered.sort(key=lambda pair: (pair[1][0].path.name != LONGEST, pair[0]))
        items[:] = [item for _, file in ordered for item in file]
