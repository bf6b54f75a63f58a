"""What every process under the supervisor does alike: its plan, its title, its heartbeat, its orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from setproctitle import setproctitle

BEAT_S: Final = 0.5
READY: Final = b"R"
BEAT: Final = b"B"
PLAN_FD: Final = "GRIDGATE_PLAN_FD"
STATUS_FD: Final = "GRIDGATE_STATUS_FD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlans:
    """What the supervisor needs: pickles that it hands on without reading them.

    `processes`: title -> (role of `gateway.process`, pickled plan), the core first.
    """

    site: str
    state_dir: str
    processes: dict[str, tuple[str, bytes]]
    listens: tuple[str, ...]
    digests: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each plan: equal, and the process need not be started anew."""


def read_plan() -> Any:
    """The plan that the supervisor laid into the memory file whose handle it passed on.

    It is a pickle from our own supervisor, never from outside.
    """
    handle = int(os.environ[PLAN_FD])
    with os.fdopen(os.dup(handle), "rb") as file:
        file.seek(0)
        return pickle.load(file)  # noqa: S301


class Child:
    """The supervisor's side as seen from a child."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self._status = int(os.environ[STATUS_FD])

    def ready(self) -> None:
        """Tell the supervisor that this process serves."""
        self._tell(READY)

    def _tell(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._status, word)

    async def beat(self) -> None:
        """Heartbeats from the loop itself: a loop that hangs is seen."""
        while True:
            self._tell(BEAT)
            await asyncio.sleep(BEAT_S)


async def _run(main: Callable[[Child], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    child = Child()
    loop.add_signal_handler(signal.SIGTERM, child.stopping.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    # Standard input is a pipe from the supervisor that carries nothing: its end means that the supervisor is gone.
    loop.add_reader(0, child.stopping.set)
    beat = asyncio.create_task(child.beat())
    try:
        await main(child)
    finally:
        beat.cancel()
        loop.remove_reader(0)


def run_child(title: str, main: Callable[[Child], Awaitable[None]]) -> None:
    """Run `main` until it returns; it watches `child.stopping`."""
    setproctitle(f"gridgate {title}")
    asyncio.run(_run(main))
