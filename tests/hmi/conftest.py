"""One browser and one small gateway for the stories of a module."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.kit.hmikit import HmiSite, chromium, hmi_site

expect.set_options(timeout=20_000)  # the machine may be busy


@pytest.fixture(scope="module")
def hmi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HmiSite]:
    """The small demo plant (PCS and meter) with its gateway and HMI."""
    with hmi_site(Path(tmp_path_factory.mktemp("hmi"))) as site:
        yield site


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HmiSite]:
    """The whole demo plant: battery, inverter, PMU, droop and history too."""
    with hmi_site(Path(tmp_path_factory.mktemp("whole")), whole=True) as site:
        yield site


_OPEN: list[tuple[ExitStack, Browser]] = []
"""The one browser of this process, while it is at these tests."""


@pytest.fixture(scope="module")
def browser() -> Browser:
    """Chromium, shared by all modules here."""
    if not _OPEN:
        stack = ExitStack()
        _OPEN.append((stack, stack.enter_context(chromium())))
    return _OPEN[0][1]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Close it before other tests: while it is there this thread has a running event loop, and they begin their own."""
    yield
    if _OPEN and (nextitem is None or Path(__file__).parent not in nextitem.path.parents):
        _OPEN.pop()[0].close()
