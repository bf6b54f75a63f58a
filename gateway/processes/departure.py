"""Processes on their way out, without anybody waiting for them: the supervisor's loop turns meanwhile."""

from __future__ import annotations

import math
import selectors
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.contracts.log import Log
    from gateway.processes.childprocess import ChildProcess


class Departure:
    """Stage after stage is asked to end; what does not within its stage's patience is killed."""

    def __init__(
        self, stages: Sequence[tuple[list[ChildProcess], float]], selector: selectors.BaseSelector, log: Log
    ) -> None:
        """`stages`: processes that end together, and how many seconds they have for it, in order."""
        self.processes = [process for stage, _ in stages for process in stage]
        self._stages, self._selector, self._log = list(stages), selector, log
        self._deadline: float | None = None
        """Of the first stage; None before it was asked."""

    def over(self, now: float) -> bool:
        """Whether all have ended. Does what is due by now, and returns at once."""
        for process in self.processes:
            if process.popen is not None and process.popen.poll() is not None:
                self._hear_no_more(process)
                process.reap(now)
        while self._stages:
            stage, patience_s = self._stages[0]
            alive = [process for process in stage if process.popen is not None]
            if alive:
                self._press(alive, patience_s, now)
                return False
            self._stages.pop(0)
            self._deadline = None
        return True

    def _press(self, alive: list[ChildProcess], patience_s: float, now: float) -> None:
        if self._deadline is None:
            self._deadline = now + patience_s
            for process in alive:
                process.ready = False
                self._hear_no_more(process)
                process.signal(signal.SIGTERM)
        elif now >= self._deadline:
            self._deadline = math.inf
            for process in alive:
                self._log.error("process did not stop: killed", child=process.title)
                process.signal(signal.SIGKILL)

    def _hear_no_more(self, process: ChildProcess) -> None:
        if process.status in self._selector.get_map():
            self._selector.unregister(process.status)
