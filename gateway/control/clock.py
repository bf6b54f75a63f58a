"""When the next cycle begins: an absolute moment of the monotonic clock, kept to within tens of microseconds.

The timers of asyncio wait in `epoll` whole milliseconds, rounded up: a cycle of 20 ms would begin half a millisecond
late on average. A Linux timer that is read like a socket (timerfd) has no such grain. Where there is none the loop's
own timer does.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from typing import Final, Protocol

_CLOCK_MONOTONIC: Final = 1
_ABSOLUTE: Final = 1
_S: Final = 1_000_000_000


class _TimeSpec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class Clock(Protocol):
    """Calls back once at the moment that was set last."""

    def set(self, at_ns: int) -> None:
        """`at_ns`: monotonic; a moment that has passed is now."""
        ...

    def close(self) -> None: ...


class TimerFd:
    """See timerfd_create(2). Raises `OSError` or `AttributeError` where the system has none."""

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[], None]) -> None:
        self._loop, self._due = loop, due
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._spec = _TimerSpec()
        self._handle = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self._handle, self._expired)

    def set(self, at_ns: int) -> None:
        value = self._spec.value
        value.s, value.ns = divmod(max(at_ns, 1), _S)
        if self._settime(self._handle, _ABSOLUTE, ctypes.byref(self._spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        if self._handle >= 0:
            self._loop.remove_reader(self._handle)
            os.close(self._handle)
            self._handle = -1

    def _expired(self) -> None:
        try:
            os.read(self._handle, 8)
        except BlockingIOError:
            return  # it was set anew in the meantime
        self._due()


class LoopTimer:
    """The loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, due: Callable[[], None]) -> None:
        self._loop, self._due = loop, due
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        self.close()
        self._timer = self._loop.call_at(at_ns / 1e9, self._due)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def make_clock(due: Callable[[], None]) -> Clock:
    """The best clock of this system, on the running loop."""
    loop = asyncio.get_running_loop()
    try:
        return TimerFd(loop, due)
    except (OSError, AttributeError, NotImplementedError):
        return LoopTimer(loop, due)
