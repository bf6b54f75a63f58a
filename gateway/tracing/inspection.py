"""A worker's inspection socket: what its links carried, for `gridgate trace`. Bounded, and never in the worker's way.

One request, a JSON line ``{"get": "trace", "master": NAME, "follow": false}``,
with ``"since_ns"`` for what is not older alone; the answer is JSON lines, each of one of
the forms::

    {"dropped": 12}                                   records of this master that the ring no longer holds
    {"link": 3, "local": ["127.0.0.1", 2404], "peer": ["127.0.0.1", 40312], "whole": true}
    {"link": 3, "time_ns": 1700000000000000000, "is": "opened" | "data" | "closed", "out": true, "data": "6804..."}
    {"error": "why nothing (more) comes"}

To ``{"get": "reported", "row": 12}`` the answer is ``{"reported": {MASTER: [value, quality] or null, ...}}``: what each
master was last told of a point. To ``{"get": "links"}`` it is ``{"links": {MASTER: see LinkBook.facts, ...}}``.

A link is introduced before its first record; `whole` says that its beginning is there. The end is that of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.contracts.log import Log
from gateway.feed.address import listening_socket
from gateway.tracing.trace import RECORD_COST, Happening, TraceRecord, TraceRing

BYTES_WAITING: Final = 8 << 20
"""Memory of records that wait for one reader; with more it is too slow and is dropped."""
READERS: Final = 8
_AT_ONCE: Final = 64
"""Records put into words before the worker's own business has its turn."""
_REQUEST_BYTES: Final = 65_536
_REQUEST_S: Final = 5.0
_LAST_WORD_S: Final = 2.0


def inspection_path(state_dir: Path, server: str) -> Path:
    """The inspection socket of a server's worker."""
    return state_dir / "run" / f"{server}.inspect"


class Inspection:
    """Serves a `TraceRing` on a Unix socket of mode 0600."""

    def __init__(
        self,
        path: Path,
        masters: list[str],
        ring: TraceRing,
        log: Log,
        reported: Callable[[str, int], tuple[float, int] | None] = lambda master, row: None,
    ) -> None:
        self._reported = reported
        self._path = path
        self._masters = masters
        self._ring = ring
        self._log = log
        self._server: asyncio.Server | None = None
        self._readers: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen. A socket that cannot be had is told in the log: the server itself is worth more than its trace."""
        try:
            sock = listening_socket(self._path)
        except OSError as error:
            self._log.warning("trace cannot be served", path=str(self._path), cause=str(error))
            return
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, limit=_REQUEST_BYTES)

    async def stop(self) -> None:
        """Close every reader and the socket."""
        if self._server is None:
            return
        self._server.close()
        for reader in list(self._readers):
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            return
        self._readers.add(task)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        finally:
            self._readers.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await self._asked(reader)
        if request.get("get") == "reported":
            row = request.get("row")
            told = {master: self._reported(master, row if isinstance(row, int) else -1) for master in self._masters}
            writer.write(_line(reported=told))
            await writer.drain()
            return
        if request.get("get") == "links":
            writer.write(_line(links={master: self._ring.book.facts(master) for master in self._masters}))
            await writer.drain()
            return
        master, follow, refusal = self._request(request)
        if refusal:
            writer.write(_line(error=refusal))
            await writer.drain()
            return
        since = request.get("since_ns")
        stream = _Stream(self._ring, master, follow, since if isinstance(since, int) else 0)
        # Nothing more is asked for: whatever comes on this side is its end.
        gone = asyncio.create_task(reader.read(1))
        sending = asyncio.create_task(stream.send(writer))
        too_slow = asyncio.create_task(stream.overrun.wait())
        try:
            await asyncio.wait({gone, sending, too_slow}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stream.end()
            for task in (gone, sending, too_slow):
                task.cancel()
            await asyncio.gather(gone, sending, too_slow, return_exceptions=True)
        if stream.overrun.is_set():
            await _last_word(writer, "this reader is too slow: its trace ends here")

    @staticmethod
    async def _asked(reader: asyncio.StreamReader) -> dict[str, Any]:
        """The request; empty when it is none."""
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = json.loads(await reader.readline())
        except (ValueError, RecursionError):
            return {}
        return request if isinstance(request, dict) else {}

    def _request(self, request: dict[str, Any]) -> tuple[str, bool, str]:
        """Master, whether to follow, and why not."""
        if request.get("get") != "trace":
            return "", False, 'a line like {"get": "trace", "master": "NAME", "follow": false} expected'
        master = request.get("master")
        if master not in self._masters:
            return "", False, f"no master {master!r} here: one of {', '.join(self._masters)} expected"
        if len(self._readers) > READERS:
            return "", False, f"{READERS} readers are served already"
        return str(master), request.get("follow") is True, ""


class _Stream:
    """What one reader is still to be told: a copy of the ring, and what comes meanwhile if it follows."""

    def __init__(self, ring: TraceRing, master: str, follow: bool, since_ns: int = 0) -> None:
        self._master, self._follow = master, follow
        self._waiting = deque(record for record in ring.records(master) if record.time_ns >= since_ns)
        self._dropped = 0 if since_ns else ring.dropped[master]
        self._more = asyncio.Event()
        self._bytes = sum(len(record.data) + RECORD_COST for record in self._waiting)
        self._introduced: set[int] = set()
        self.overrun = asyncio.Event()
        """This reader is too slow."""
        self._unwatch = ring.watch(self._take) if follow else None

    def end(self) -> None:
        """Take nothing more."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _take(self, record: TraceRecord) -> None:
        """A record from the hot path of the worker: kept, nothing else."""
        if record.link.master != self._master or self.overrun.is_set():
            return
        self._bytes += len(record.data) + RECORD_COST
        if self._bytes > BYTES_WAITING:
            self.overrun.set()
            self._waiting.clear()
        else:
            self._waiting.append(record)
        self._more.set()

    async def send(self, writer: asyncio.StreamWriter) -> None:
        """Until cancelled or, if the reader does not follow, it has everything."""
        if self._dropped:
            writer.write(_line(dropped=self._dropped))
        while True:
            if self._waiting:
                writer.write(self._slice())
                await writer.drain()
                await asyncio.sleep(0)
            elif self._follow:
                self._more.clear()
                await self._more.wait()
            else:
                return

    def _slice(self) -> bytes:
        lines: list[bytes] = []
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            record = self._waiting.popleft()
            self._bytes -= len(record.data) + RECORD_COST
            if record.link.number not in self._introduced:
                lines.append(self._introduction(record))
            if record.happening is Happening.CLOSED:
                self._introduced.discard(record.link.number)
            lines.append(_record_line(record))
        return b"".join(lines)

    def _introduction(self, record: TraceRecord) -> bytes:
        link = record.link
        self._introduced.add(link.number)
        return _line(link=link.number, local=link.local, peer=link.peer, whole=record.happening is Happening.OPENED)


def _record_line(record: TraceRecord) -> bytes:
    """By hand: there may be thousands a second, and no text in it needs escaping."""
    return (
        f'{{"link":{record.link.number},"time_ns":{record.time_ns},"is":"{record.happening.value}",'
        f'"out":{"true" if record.outgoing else "false"},"data":"{record.data.hex()}"}}\n'
    ).encode()


def _line(**facts: object) -> bytes:
    return json.dumps(facts).encode() + b"\n"


async def _last_word(writer: asyncio.StreamWriter, text: str) -> None:
    """Say why, if the reader still takes it; a reader that does not is cut off."""
    writer.write(_line(error=text))
    try:
        async with asyncio.timeout(_LAST_WORD_S):
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
