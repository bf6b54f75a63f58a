"""Alarms as news: the topics `alarms` (all that stands, then each change) and `alarm_counts` (for every page's bar)."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import Any, Final

from hmi.alarmlist import SHOWN, AlarmList
from hmi.desk import Desk
from hmi.refusal import Refusal

_TELL_S: Final = 0.2
_CUT_TELL_S: Final = 2.0
_MANY: Final = 300
"""More alarms than this at one time are told as a whole snapshot."""
_lists: Final[weakref.WeakKeyDictionary[Desk, AlarmList]] = weakref.WeakKeyDictionary()


def alarms_of(desk: Desk) -> AlarmList:
    """The alarms of this process. Raises `Refusal` (409)."""
    found = _lists.get(desk)
    if found is None or desk.client.alarms_differ:
        raise Refusal(409, "the gateway runs with other alarms than this page knows: the site file has changed")
    return found


def begin(desk: Desk) -> None:
    """Listen and tell from now on."""
    mirror = desk.client.alarms
    if mirror is None:
        return
    alarms = _lists[desk] = AlarmList(mirror)
    woken = asyncio.Event()

    def heard(records: list[Any]) -> None:
        alarms.take(records, time.monotonic_ns())
        woken.set()

    async def tell() -> None:
        while True:
            try:
                async with asyncio.timeout(5.0):
                    await woken.wait()
            except TimeoutError:
                alarms.settle(time.monotonic_ns())
            woken.clear()
            changed = alarms.drain()
            if changed:
                desk.stream.tell("alarm_counts", **_counts(desk, alarms))
                await asyncio.sleep(_tell(desk, alarms, changed))

    desk.stream.greetings["alarms"] = alarms.snapshot
    desk.stream.greetings["alarm_counts"] = lambda: _counts(desk, alarms)
    desk.on_alarms.append(heard)
    desk.background.append(tell)


def _counts(desk: Desk, alarms: AlarmList) -> dict[str, Any]:
    return alarms.counts() | {"differ": desk.client.alarms_differ}


def _tell(desk: Desk, alarms: AlarmList, changed: list[int]) -> float:
    """Tell the change; returns how long to gather before the next one."""
    if not desk.stream.listened("alarms"):
        return _TELL_S
    total = len(alarms.mirror.records)
    if len(changed) > _MANY or total > SHOWN:
        desk.stream.tell("alarms", **alarms.snapshot())
        return _CUT_TELL_S
    news = [alarms.facts(index).model_dump() for index in changed]
    desk.stream.tell("alarms", snapshot=False, alarms=news, total=total, now_ms=time.time_ns() / 1e6)
    return _TELL_S
