"""Whether what goes on for long leaves something behind in memory."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ALLOWED: Final = 2_000
"""Objects: caches of the interpreter and of numpy, filled on the way."""


@contextmanager
def leaves_nothing() -> Iterator[None]:
    """Fails when there are more than `ALLOWED` objects more after what happens within."""
    gc.collect()
    before = len(gc.get_objects())
    yield
    gc.collect()
    assert len(gc.get_objects()) - before < ALLOWED
