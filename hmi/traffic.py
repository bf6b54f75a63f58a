"""What the links of masters carry, in words, for pages that look: read from a worker only while somebody does."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from gateway.contracts.server import LinkName
from gateway.site.plan import ServerEntry, SitePlan
from gateway.tracing.reader import Described, TraceError, describers
from hmi.following import follow_trace
from hmi.stream import Stream

HELD: Final = 500
"""Frames of a master that a page is given first."""
PER_TURN: Final = 200
"""Frames told to pages at once; with more the oldest are left out, and that is told."""
TURN_S: Final = 0.25
_RETRY_S: Final = 2.0


class Traffic:
    """Follows the masters whose topic ``traffic/SERVER/MASTER`` somebody listens to."""

    def __init__(self, site: SitePlan, stream: Stream) -> None:
        self._site, self._stream = site, stream
        self._watched: dict[str, _Watched] = {}
        for server in site.servers:
            for master in server.masters:
                watched = _Watched(site, server, master)
                self._watched[watched.topic] = watched
                stream.greetings[watched.topic] = watched.greeting

    async def run(self) -> None:
        """For ever."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await asyncio.sleep(TURN_S)
                for topic, watched in self._watched.items():
                    self._look(topic, watched, tasks)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _look(self, topic: str, watched: _Watched, tasks: dict[str, asyncio.Task[None]]) -> None:
        if not self._stream.listened(topic):
            task = tasks.pop(topic, None)
            if task is not None:
                task.cancel()
                watched.forget()
            return
        if topic not in tasks:
            tasks[topic] = asyncio.create_task(watched.follow())
        news = watched.news()
        if news is not None:
            self._stream.tell(topic, **news)


class _Watched(Described):
    """One master's frames in words."""

    def __init__(self, site: SitePlan, server: ServerEntry, master: str) -> None:
        super().__init__(describers(site, server, master, False) if _describable(site, server, master) else _silent)
        self.topic = f"traffic/{server.name}/{master}"
        self._site, self._server, self._master = site, server.name, master
        self._frames: deque[dict[str, Any]] = deque(maxlen=HELD)
        self._fresh: deque[dict[str, Any]] = deque(maxlen=PER_TURN)
        self._skipped = self._number = 0
        self._trouble = ""

    def greeting(self) -> dict[str, Any]:
        """What is held, for a page that has just begun to look."""
        return {"frames": list(self._frames), "skipped": 0, "trouble": self._trouble, "reset": True}

    def news(self) -> dict[str, Any] | None:
        """What has come since the last time."""
        if not self._fresh and not self._skipped:
            return None
        told = {"frames": list(self._fresh), "skipped": self._skipped, "trouble": self._trouble, "reset": False}
        self._fresh.clear()
        self._skipped = 0
        return told

    def forget(self) -> None:
        """Nobody looks any more."""
        self._frames.clear()
        self._fresh.clear()
        self._describers.clear()
        self._skipped = 0

    def dropped(self, records: int) -> None:
        self._keep({"note": f"{records} older records are no longer held"})

    def opened(self, link: LinkName, time_ns: int) -> None:
        self._keep({"time_ms": time_ns / 1e6, "note": f"connection {link.number} from {_end(link.peer)} opened"})

    def closed(self, link: LinkName, time_ns: int, outgoing: bool) -> None:
        super().closed(link, time_ns, outgoing)
        by = "the gateway" if outgoing else "the master"
        self._keep({"time_ms": time_ns / 1e6, "note": f"connection {link.number} closed by {by}"})

    def frame(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes, text: str) -> None:
        self._keep(
            {
                "time_ms": time_ns / 1e6,
                "link": link.number,
                "peer": _end(link.peer),
                "out": outgoing,
                "text": text[:2_000],
                "octets": len(data),
                "hex": data[:2_048].hex(),
            }
        )

    def _keep(self, frame: dict[str, Any]) -> None:
        self._number += 1
        frame["n"] = self._number
        self._frames.append(frame)
        self._skipped += len(self._fresh) == self._fresh.maxlen
        self._fresh.append(frame)

    async def follow(self) -> None:
        """Read the worker's trace; begin again when it has ended."""
        while True:
            try:
                await follow_trace(self._site, self._server, self._master, self, opened=lambda: self._say(""))
                self._say(f"server {self._server} has ended: waiting for it")
            except OSError:
                self._say(f"server {self._server} does not run: waiting for it")
            except (TraceError, ValueError) as error:
                self._say(str(error))
            await asyncio.sleep(_RETRY_S)

    def _say(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                self._keep({"note": trouble})


def _describable(site: SitePlan, server: ServerEntry, master: str) -> bool:
    try:
        describers(site, server, master, False)
    except TraceError:
        return False
    return True


class _Silent:
    """Of a protocol that cannot describe its frames."""

    def feed(self, outgoing: bool, data: bytes) -> list[Any]:
        """Nothing."""
        return []

    def why(self, outgoing: bool, data: bytes) -> list[str]:
        """Nothing."""
        return []


_silent: Callable[[], _Silent] = _Silent


def _end(end: tuple[str, int]) -> str:
    host, port = end
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
