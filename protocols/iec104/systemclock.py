"""The machine's clock: whether the kernel trusts it, and setting it. For the shell alone."""

from __future__ import annotations

import asyncio
import ctypes
import time
from typing import Final

from gateway.contracts import Log
from protocols.iec104.clock import EventClock

LOOK_EVERY_S: Final = 5.0
_STA_UNSYNC: Final = 0x40
"""Of `status` in adjtimex(2): no discipline of the clock is at work."""
_TIME_ERROR: Final = 5
"""Of adjtimex(2): the clock is not synchronised."""


class _Timex(ctypes.Structure):
    """The head of `struct timex`, and more room than any kernel writes behind it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_ubyte * 512),
    )


def kernel_synchronised() -> bool:
    """Whether the kernel says that its clock is synchronised; False where it cannot be asked."""
    timex = _Timex()
    try:
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)))
    except (OSError, AttributeError):
        return False
    return 0 <= state != _TIME_ERROR and not timex.status & _STA_UNSYNC


def set_system_clock(time_ns: int) -> None:
    """Set the machine's clock to ns UTC. Raises `OSError` without the right (CAP_SYS_TIME)."""
    time.clock_settime_ns(time.CLOCK_REALTIME, time_ns)


class ClockWatch:
    """Looks every few seconds whether the kernel trusts its clock, and says so when that changes."""

    def __init__(self, clock: EventClock, log: Log) -> None:
        self._clock, self._log = clock, log
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look now and from now on."""
        trusted = kernel_synchronised()
        if trusted != self._clock.trusted:
            self._clock.trusted = trusted
            words = "clock synchronised" if trusted else "clock not synchronised: time tags are marked invalid"
            (self._log.info if trusted else self._log.warning)(words)
        self._timer = loop.call_later(LOOK_EVERY_S, self.start, loop)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
