"""Changes of the plant's states as news: the topic `events`; the newest ones are kept for who comes later."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gateway.history.events import Events
from gateway.points.change import Changes
from gateway.points.model import Kind, PointCatalogue
from hmi.desk import Desk
from hmi.recordfiles import Line

KEPT: Final = 5_000
_GREETING: Final = 300
_AT_ONCE: Final = 500
"""Told at one time; of more the newest, with the number of those left out."""
_TELL_S: Final = 0.1
_DOUBLE: Final = ("intermediate", "open", "closed", "faulty")
_heard: Final[weakref.WeakKeyDictionary[Desk, deque[Line]]] = weakref.WeakKeyDictionary()


def heard_of(desk: Desk) -> list[Line]:
    """Events since this process began, the oldest first: the newest `KEPT` of them."""
    return list(_heard.get(desk, ()))


def state_words(catalogue: PointCatalogue, row: int | None, value: float) -> str:
    """What a binary or double point is: on, off, open, closed."""
    if row is not None and catalogue.kind(row) is Kind.DOUBLE:
        return _DOUBLE[int(value)] if value in (0, 1, 2, 3) else f"{value:g}"
    return {0.0: "off", 1.0: "on"}.get(value, f"{value:g}")


def begin(desk: Desk, shown: Callable[[Line], dict[str, Any]]) -> None:
    """Listen and tell from now on; `shown` makes of a line what a page is told."""
    events, kept, waiting = Events(desk.catalogue), deque[Line](maxlen=KEPT), list[Line]()
    woken = asyncio.Event()
    _heard[desk] = kept

    def changes(batch: Changes, seq: int) -> None:
        if not desk.client.connected:
            return  # values that went stale here for want of a core are no events of the plant
        events.take(batch)
        fresh = [json.loads(text) for _, text in events.drain()]
        if fresh:
            kept.extend(fresh)
            waiting.extend(fresh[-_AT_ONCE:])
            del waiting[: -2 * _AT_ONCE]
            woken.set()

    def greeting() -> dict[str, Any]:
        return {"events": [shown(line) for line in list(kept)[-_GREETING:]], "missed": 0, "greeting": True}

    async def tell() -> None:
        while True:
            await woken.wait()
            woken.clear()
            fresh = waiting[-_AT_ONCE:]
            missed = len(waiting) - len(fresh)
            waiting.clear()
            if desk.stream.listened("events"):
                desk.stream.tell("events", events=[shown(line) for line in fresh], missed=missed, greeting=False)
            await asyncio.sleep(_TELL_S)

    desk.stream.greetings["events"] = greeting
    desk.on_changes.append(changes)
    desk.background.append(tell)
