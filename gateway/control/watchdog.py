"""Watches the beat of the control cycle from a thread of its own.

A loop that hangs cannot write: the heartbeat to the devices stops with it and they fall back by themselves. What is
left to do from here is to leave a mark for the next core, which trips, and to end this process so that there is one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from gateway.contracts.log import Log

KILL_AFTER: Final = 2.5
"""Times `watchdog_s`: then the process is ended and the supervisor starts another."""


class Watchdog:
    """`limit_s` without a beat is a stall."""

    def __init__(self, limit_s: float, mark: Callable[[], None], log: Log) -> None:
        self._limit_s, self._mark, self._log = limit_s, mark, log
        self._beat = time.monotonic()
        self._stalled = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="control watchdog", daemon=True)

    def start(self) -> None:
        self._beat = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def beat(self) -> bool:
        """The cycle runs; True once after a stall that ended by itself."""
        self._beat = time.monotonic()
        stalled, self._stalled = self._stalled, False
        return stalled

    def _watch(self) -> None:
        while not self._stop.wait(self._limit_s / 8):
            silent_s = time.monotonic() - self._beat
            if silent_s > self._limit_s and not self._stalled:
                self._stalled = True
                self._mark()
                self._log.error("control cycle stalled", silent_s=round(silent_s, 2))
            if silent_s > self._limit_s * KILL_AFTER:
                self._log.error("control cycle does not come back: the core is ended")
                os.kill(os.getpid(), signal.SIGKILL)
