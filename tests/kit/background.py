"""Simulated devices in a thread with a loop of its own, for tests that run a command in the foreground."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Playable(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


_Played = TypeVar("_Played", bound=Playable)


@contextmanager
def played(simulator: _Played) -> Iterator[_Played]:
    """The simulator serves while the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result(10)
        yield simulator
        asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
