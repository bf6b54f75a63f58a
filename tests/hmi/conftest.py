"""One browser and one small gateway for the stories of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.kit.hmikit import HmiSite, chromium, hmi_site


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found
