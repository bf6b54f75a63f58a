"""The small site as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.sitekit import Site, small_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        yield made
