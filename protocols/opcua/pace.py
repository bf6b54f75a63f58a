"""Long work on the loop, in turns that nobody notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import Final, TypeVar

TURN_S: Final = 0.005

T = TypeVar("T")


async def paced(elements: Iterable[T]) -> AsyncIterator[T]:
    """The elements; whoever else waits is let in every few ms."""
    since = time.perf_counter()
    for element in elements:
        yield element
        if time.perf_counter() - since > TURN_S:
            await asyncio.sleep(0)
            since = time.perf_counter()
