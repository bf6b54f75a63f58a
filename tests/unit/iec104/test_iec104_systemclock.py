"""The shell's look at the kernel's clock."""

from __future__ import annotations

import asyncio
import time

import pytest

from protocols.iec104 import systemclock
from protocols.iec104.clock import EventClock
from protocols.iec104.systemclock import ClockWatch, kernel_synchronised
from tests.contract.server_suite import QuietLog


def test_the_kernel_can_be_asked() -> None:
    assert kernel_synchronised() in (True, False)


def test_a_library_without_adjtimex_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemclock.ctypes, "CDLL", lambda *_, **__: object())
    assert kernel_synchronised() is False


def test_the_log_hears_of_changes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, log = EventClock(), QuietLog()
    answers = iter([False, False, True, True])
    monkeypatch.setattr(systemclock, "kernel_synchronised", lambda: next(answers))

    async def watch() -> None:
        watch = ClockWatch(clock, log)
        for _ in range(4):
            watch.stop()
            watch.start(asyncio.get_running_loop())
        watch.stop()

    asyncio.run(watch())
    assert [text for _, text, _ in log.lines] == [
        "clock not synchronised: time tags are marked invalid",
        "clock synchronised",
    ]
    assert clock.trusted


def test_setting_the_clock_without_the_right_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(clock: int, ns: int) -> None:
        raise PermissionError("not permitted")

    monkeypatch.setattr(time, "clock_settime_ns", refuse)
    with pytest.raises(OSError, match="not permitted"):
        systemclock.set_system_clock(1)
