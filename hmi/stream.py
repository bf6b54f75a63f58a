"""The live stream over a WebSocket: values of the points that a page shows, and news by topic.

Values are binary, newest only: what changed twice between two frames is sent once, so that a slow browser is never
behind. A frame is ``kind u4, count u4, time_ms f8`` and then columns, little endian: kind 1 (values): ``row u4[n],
quality u4[n], value f8[n], time_ms f8[n]``; kind 2 (ages, when a point was last seen): ``row u4[n]``, padding to 8
octets, ``seen_ms f8[n]``. Everything else is JSON text: ``{"topic": ..., ...}``.

A client sends ``{"points": ["bess1/pcs/soc", "poi/*"], "period_ms": 250}`` (it replaces what was asked for before; the
answer is topic ``points`` with row, name, kind, unit of each) and ``{"topics": ["alarms", "events"]}``; with
``"again": ["alarms"]`` it is told once more what a newcomer to the topic is told first.
"""

from __future__ import annotations

import asyncio
import fnmatch
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.feed.client import FeedClient
from gateway.points.change import Changes
from gateway.points.model import PointCatalogue
from hmi.access.person import Person

VALUES: Final = 1
AGES: Final = 2
_AGES_EVERY_S: Final = 2.0
_NEWS_HELD: Final = 2_000
_SEND_S: Final = 10.0
_MESSAGE_CHARS: Final = 256 << 10
_PERIODS_MS: Final = (50, 10_000)
_PATTERNS: Final = 20
"""That one client may ask for at a time: each is a look at every name."""


class _Site(Protocol):
    """Of the desk: what the stream reads."""

    client: FeedClient
    catalogue: PointCatalogue


class Subscriber:
    """One WebSocket: which rows it shows, which of them have changed, and news that wait."""

    def __init__(self, size: int, person: Person) -> None:
        self.person = person
        self.wanted: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.dirty: NDArray[np.bool_] = np.zeros(size, np.bool_)
        self.topics: frozenset[str] = frozenset()
        self.news: deque[str] = deque()
        self.period_s = 0.25
        self.woken = asyncio.Event()
        self.too_slow = False

    def changed(self, rows: NDArray[np.uint32]) -> None:
        """These rows have changed."""
        shown = rows[self.wanted[rows]]
        if len(shown):
            self.dirty[shown] = True
            self.woken.set()

    def tell(self, text: str) -> None:
        """One piece of news; a browser that does not take them is cut off rather than kept in memory."""
        if len(self.news) >= _NEWS_HELD:
            self.too_slow = True
        else:
            self.news.append(text)
        self.woken.set()

    def take_rows(self) -> NDArray[np.uint32]:
        """Rows to be sent now."""
        rows = np.flatnonzero(self.dirty).astype(np.uint32)
        self.dirty[rows] = False
        return rows


class Stream:
    """All WebSockets. `changes` and `tell` are cheap: the work is each subscriber's own."""

    def __init__(self, desk: _Site) -> None:
        self._desk = desk
        self._subscribers: set[Subscriber] = set()
        self.greetings: dict[str, Callable[[], Any]] = {}
        """What a subscriber to a topic is told first."""

    def __len__(self) -> int:
        return len(self._subscribers)

    def changes(self, batch: Changes) -> None:
        """A batch of the feed."""
        rows = batch["row"]
        for subscriber in self._subscribers:
            subscriber.changed(rows)

    def tell(self, topic: str, **facts: Any) -> None:
        """News for those who asked for this topic."""
        listening = [each for each in self._subscribers if topic in each.topics]
        if listening:
            text = json.dumps({"topic": topic, **facts})
            for subscriber in listening:
                subscriber.tell(text)

    def listened(self, topic: str) -> bool:
        """Whether anybody asked for this topic."""
        return any(topic in each.topics for each in self._subscribers)

    async def serve(self, socket: WebSocket, person: Person, holds: Callable[[], bool]) -> None:
        """One accepted WebSocket until it ends; `holds`: whether the session behind it still does."""
        subscriber = Subscriber(len(self._desk.catalogue), person)
        self._subscribers.add(subscriber)
        tasks = [
            asyncio.create_task(self._hear(socket, subscriber)),
            asyncio.create_task(self._send(socket, subscriber, holds)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._subscribers.discard(subscriber)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh_ages(self) -> None:
        """Keep the core's ages coming while anybody looks; for ever."""
        while True:
            await asyncio.sleep(_AGES_EVERY_S)
            if any(each.wanted.any() for each in self._subscribers):
                self._desk.client.refresh()

    # -- what a client asks ----------------------------------------------------------------------------------------

    async def _hear(self, socket: WebSocket, subscriber: Subscriber) -> None:
        while True:
            try:
                text = await socket.receive_text()
            except (WebSocketDisconnect, KeyError, RuntimeError):  # KeyError: octets where text is expected
                return
            began_s = time.perf_counter()
            problem = self._asked(subscriber, text)
            # Who asks without end hears more slowly, and takes a fifth of the process at most.
            await asyncio.sleep(4 * (time.perf_counter() - began_s))
            if problem:
                subscriber.tell(json.dumps({"topic": "error", "error": problem}))

    def _asked(self, subscriber: Subscriber, text: str) -> str:
        """Take over what a client asks; returns what is wrong with it."""
        try:
            asked = json.loads(text) if len(text) <= _MESSAGE_CHARS else None
        except (ValueError, RecursionError):
            asked = None
        if not isinstance(asked, dict):
            return 'a line like {"points": ["NAME", ...], "topics": ["alarms"]} is expected'
        period = asked.get("period_ms")
        if isinstance(period, int | float) and not isinstance(period, bool):
            low, high = _PERIODS_MS
            subscriber.period_s = min(max(period, low), high) / 1e3
        if isinstance(asked.get("topics"), list):
            if isinstance(asked.get("again"), list):
                subscriber.topics -= {str(topic) for topic in asked["again"]}
            self._topics(subscriber, [str(topic) for topic in asked["topics"]])
        if isinstance(asked.get("points"), list):
            self._points(subscriber, [str(name) for name in asked["points"]])
        return ""

    def _topics(self, subscriber: Subscriber, topics: list[str]) -> None:
        fresh = set(topics) - subscriber.topics
        subscriber.topics = frozenset(topics)
        for topic in sorted(fresh & self.greetings.keys()):
            subscriber.tell(json.dumps({"topic": topic, **self.greetings[topic]()}))

    def _points(self, subscriber: Subscriber, names: list[str]) -> None:
        catalogue, wanted = self._desk.catalogue, np.zeros(len(self._desk.catalogue), np.bool_)
        patterns = [name for name in dict.fromkeys(names) if "*" in name and name not in catalogue.rows]
        unknown = patterns[_PATTERNS:]
        for pattern in patterns[:_PATTERNS]:
            wanted[_matching(pattern, catalogue)] = True
        for name in names:
            row = catalogue.rows.get(name)
            if row is not None:
                wanted[row] = True
            elif "*" not in name:
                unknown.append(name)
        subscriber.wanted = wanted
        subscriber.dirty = wanted.copy()
        rows = np.flatnonzero(wanted).tolist()
        points = [[row, catalogue.names[row], catalogue.kind(row).word, catalogue.units[row]] for row in rows]
        subscriber.tell(json.dumps({"topic": "points", "points": points, "unknown": unknown[:100]}))

    # -- what it is told -------------------------------------------------------------------------------------------

    async def _send(self, socket: WebSocket, subscriber: Subscriber, holds: Callable[[], bool]) -> None:
        loop, aged_s, sent_s = asyncio.get_running_loop(), 0.0, 0.0
        while not subscriber.too_slow:
            try:
                async with asyncio.timeout(_AGES_EVERY_S):
                    await subscriber.woken.wait()
            except TimeoutError:
                pass
            if not subscriber.news:
                await asyncio.sleep(max(0.0, sent_s + subscriber.period_s - loop.time()))
            if not holds():
                await socket.close(4401, "the session has ended")
                return
            subscriber.woken.clear()
            sent_s = loop.time()
            async with asyncio.timeout(_SEND_S):
                while subscriber.news:
                    await socket.send_text(subscriber.news.popleft())
                rows = subscriber.take_rows()
                if len(rows):
                    await socket.send_bytes(self._values(rows))
                if sent_s - aged_s >= _AGES_EVERY_S:
                    aged_s = sent_s
                    await socket.send_bytes(self._ages(np.flatnonzero(subscriber.wanted).astype(np.uint32)))
        await socket.close(1008, "too slow")

    def _values(self, rows: NDArray[np.uint32]) -> bytes:
        mirror = self._desk.client.mirror
        columns = (rows, mirror.quality[rows], mirror.value[rows], mirror.time_ns[rows] / 1e6)
        return _head(VALUES, len(rows)) + b"".join(column.tobytes() for column in columns)

    def _ages(self, rows: NDArray[np.uint32]) -> bytes:
        padding = b"" if len(rows) % 2 == 0 else bytes(4)
        seen_ms = self._desk.client.mirror.seen_ns[rows] / 1e6
        return _head(AGES, len(rows)) + rows.tobytes() + padding + seen_ms.tobytes()


def _head(kind: int, count: int) -> bytes:
    return np.array([kind, count], np.uint32).tobytes() + np.array([time.time() * 1e3]).tobytes()


def _matching(pattern: str, catalogue: PointCatalogue) -> list[int]:
    """Rows of the names that match; a star stands for anything, every other sign for itself."""
    begin, _, rest = pattern.partition("*")
    found = [name for name in catalogue.names if name.startswith(begin)]
    if rest:
        found = fnmatch.filter(found, pattern.replace("[", "[[]").replace("?", "[?]"))
    return [catalogue.rows[name] for name in found]
