"""One browser for all stories here, and one gateway for those of a module, or of several that share it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.kit.hmikit import HmiSite, chromium, hmi_site
from tests.kit.sharing import site_of

expect.set_options(timeout=20_000)  # the machine may be busy


_SHARED: dict[str, tuple[ExitStack, HmiSite]] = {}
"""The site that several files tell their stories on, while this process is at them."""


def _site(request: pytest.FixtureRequest, folder: Path, whole: bool) -> Iterator[HmiSite]:
    shared = site_of(request.path)
    if shared != ("whole" if whole else "small"):
        with hmi_site(folder, whole=whole) as site:
            yield site
        return
    if shared not in _SHARED:
        stack = ExitStack()
        _SHARED[shared] = stack, stack.enter_context(hmi_site(folder, whole=whole))
    yield _SHARED[shared][1]


@pytest.fixture(scope="module")
def hmi(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HmiSite]:
    """The small demo plant (PCS and meter) with its gateway and HMI."""
    yield from _site(request, tmp_path_factory.mktemp("hmi"), whole=False)


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HmiSite]:
    """The whole demo plant: battery, inverter, PMU, droop and history too."""
    yield from _site(request, tmp_path_factory.mktemp("whole"), whole=True)


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
    """Close both before other tests: while the browser is there this thread has a running event loop, and they begin
    their own."""
    yield
    following = "" if nextitem is None else site_of(nextitem.path)
    for name in [name for name in _SHARED if name != following]:
        _SHARED.pop(name)[0].close()
    if _OPEN and (nextitem is None or Path(__file__).parent not in nextitem.path.parents):
        _OPEN.pop()[0].close()
