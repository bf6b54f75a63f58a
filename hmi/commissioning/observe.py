"""What the connections of a master really carried in the moments after something was done."""

from __future__ import annotations

import asyncio

from gateway.contracts.server import LinkName
from gateway.site.plan import ServerEntry, SitePlan
from gateway.tracing.reader import Described, TraceError, describers
from hmi.commissioning.sheet import MOST_FRAMES, Sent
from hmi.following import follow_trace


class Observer(Described):
    """Keeps frames in which a point is named, and sees whether one of them goes out."""

    def __init__(self, site: SitePlan, server: ServerEntry, master: str, point: str) -> None:
        """Raises `TraceError` for a protocol that cannot describe its frames."""
        super().__init__(describers(site, server, master, True))
        self._point = f" {point} "
        self.frames: list[Sent] = []
        self.sent = asyncio.Event()

    def frame(self, link: LinkName, time_ns: int, outgoing: bool, data: bytes, text: str) -> None:
        if self._point not in f" {text} " or len(self.frames) >= MOST_FRAMES:
            return
        host, port = link.peer
        shown = _about(text, self._point)
        self.frames.append(
            Sent(time_ms=time_ns / 1e6, peer=f"{host}:{port}", out=outgoing, text=shown, octets=data[:512].hex())
        )
        if outgoing:
            self.sent.set()


def _about(text: str, point: str) -> str:
    """Of a frame with many objects: its head and the object of this point."""
    head, colon, objects = text.partition(": ")
    mine = [each for each in objects.split("; ") if point in f" {each} "]
    return f"{head}{colon}{'; '.join(mine)}"[:1_000] if mine else text[:1_000]


async def observe(
    site: SitePlan, server: ServerEntry, master: str, point: str, since_ns: int, wait_s: float, more_s: float
) -> list[Sent]:
    """Frames about the point from `since_ns` on: until `more_s` after the first that goes out, at most `wait_s`."""
    try:
        observer = Observer(site, server, master, point)
    except TraceError:
        await asyncio.sleep(more_s)
        return []
    following = asyncio.create_task(follow_trace(site, server.name, master, observer, since_ns))
    try:
        async with asyncio.timeout(wait_s):
            sent = asyncio.create_task(observer.sent.wait())
            await asyncio.wait({sent, following}, return_when=asyncio.FIRST_COMPLETED)
            sent.cancel()
            await asyncio.sleep(more_s)
    except TimeoutError:
        pass
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return observer.frames
