"""A reader's side of the feed: connect, mirror, resume, and commands the other way."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.mirror import AlarmMirror
from gateway.contracts.command import Command, OnOutcome, Outcome, Reason, Stage
from gateway.contracts.log import Log
from gateway.feed.address import short_path
from gateway.feed.alarmring import read_alarms
from gateway.feed.commandwire import command_to, outcome_from
from gateway.feed.frames import (
    MAX_FRAME_BYTES,
    FeedError,
    FrameKind,
    FrameReader,
    changes_payload,
    frame,
    json_frame,
    json_payload,
    read_snapshot,
)
from gateway.feed.listener import AlarmListener, FeedListener, LossListener, RecordListener
from gateway.feed.mirror import Mirror
from gateway.points.change import Changes

SILENCE_S: Final = 3.0
"""A core that says nothing for so long is gone."""
STALE_AFTER_S: Final = 2.0
"""How long a reader stays without a core before everything it knows becomes not topical."""
_RETRY_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
_OVERTIME_S: Final = 2.0
"""How long after its deadline a command waits for the core's word."""


class FeedClient:
    """Keeps `mirror` equal to the core's table and tells `listener`; survives the core.

    Also the `CommandPort` of its process.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        server: str,
        size: int,
        listener: FeedListener,
        log: Log,
        masters: Sequence[str] = (),
        alarms: AlarmCatalogue | None = None,
    ) -> None:
        """`masters` of this server: what each needs no more is kept by the core, from the first welcome on.

        `alarms`: of the site, if this reader wants to know of them (see `AlarmListener`).
        """
        self.mirror = Mirror(size)
        self.alarms = None if alarms is None else AlarmMirror(alarms)
        self.alarms_differ = False
        """The core runs with another set of alarms than this reader knows."""
        self.seq = 0
        self.told_ns = 0
        """The core's clock when it published what the listener is being told; without a core, its last word."""
        self._path, self._name, self._server = path, name, server
        self._listener, self._log, self._masters = listener, log, masters
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[OnOutcome, asyncio.TimerHandle]] = {}
        self._link: _Connection | None = None
        self._ready = False
        self._asking: dict[FrameKind, asyncio.Future[dict[str, Any]]] = {}
        self._stale_handle: asyncio.TimerHandle | None = None
        self._stale = False
        self._handlers: dict[FrameKind, Callable[[int, bytes], None]] = {
            FrameKind.WELCOME: self._welcome,
            FrameKind.SNAPSHOT: self._snapshot,
            FrameKind.CHANGES: self._changes,
            FrameKind.REPLAY: self._replay,
            FrameKind.REPLAYED: self._replayed,
            FrameKind.HEARTBEAT: lambda seq, payload: None,
            FrameKind.OVERRUN: self._overrun,
            FrameKind.OUTCOME: self._outcome,
            FrameKind.COMMANDED: self._commanded,
            FrameKind.ALARMS: self._alarms,
            FrameKind.COUNTERS: lambda seq, payload: self._told(FrameKind.COUNTERS, payload),
            FrameKind.DEVICES: lambda seq, payload: self._told(FrameKind.DEVICES, payload),
            FrameKind.CONTROL: self._told_control,
            FrameKind.RECORD: self._record,
        }

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def heard_s(self) -> float | None:
        """Seconds since the core last said anything; None without a connection."""
        return None if self._link is None else self._link.heard_s

    async def run(self) -> None:
        """Connect and stay connected until cancelled."""
        loop = asyncio.get_running_loop()
        tries = 0
        try:
            while True:
                with contextlib.suppress(OSError):
                    with short_path(self._path) as address:
                        _, link = await loop.create_unix_connection(lambda: _Connection(self), address)
                    tries = 0
                    await link.closed
                await asyncio.sleep(_RETRY_S[min(tries, len(_RETRY_S) - 1)])
                tries += 1
        finally:
            if self._link is not None:
                link, self._link = self._link, None
                link.abort()
            if self._stale_handle is not None:
                self._stale_handle.cancel()

    def on_connected(self, link: _Connection) -> None:
        self._link = link
        resume = self.seq if self._ready else 0
        hello: dict[str, Any] = {
            "name": self._name,
            "server": self._server,
            "resume": resume,
            "replay": not self._ready,
        }
        if self.alarms is not None:
            hello["alarms"] = self.alarms.seq
        if isinstance(self._listener, RecordListener):
            hello["records"] = True
        link.write(json_frame(FrameKind.HELLO, hello))

    def on_lost(self, link: _Connection, cause: str) -> None:
        if self._link is not link:
            return
        self._link = None
        self._log.warning("feed lost", cause=cause)
        if self._stale_handle is None:  # it counts from the first loss: a core that dies may be lost more than once
            self._stale_handle = asyncio.get_running_loop().call_later(STALE_AFTER_S, self._went_stale)
        for command_id in list(self._pending):
            text = "the core went away before it gave a result; whether the device acted is not known"
            self._finish(Outcome(id=command_id, stage=Stage.FAILED, reason=Reason.CORE_LOST, text=text))

    def on_frame(self, kind: FrameKind, seq: int, time_ns: int, payload: bytes) -> None:
        """One frame from the core; `FeedError` closes the link."""
        handler = self._handlers.get(kind)
        if handler is None:
            raise FeedError(f"a core does not send {kind.name}")
        self.told_ns = time_ns or self.told_ns
        handler(seq, payload)

    def _went_stale(self) -> None:
        self._stale_handle, self._stale = None, True
        batch = self.mirror.lose()
        if len(batch):
            self._log.warning("no core: all points not topical", points=len(batch))
            self._listener.feed_changes(batch, self.seq)

    def _welcome(self, seq: int, payload: bytes) -> None:
        welcome = json_payload(payload)
        if welcome.get("points") != len(self.mirror):
            raise FeedError(f"the core has {welcome.get('points')} points, {len(self.mirror)} were expected")
        if self._stale_handle is not None:
            self._stale_handle.cancel()
            self._stale_handle = None
        if self._stale:  # a core that was only held up goes on where it was: of what stands it would say nothing
            self._stale = False
            self.refresh()
        confirmed = {str(k): int(v) for k, v in welcome.get("confirmed", {}).items()}
        for master in self._masters:
            # A core that knows nothing of this master: from here on it keeps what comes, for the next process.
            if master not in confirmed:
                confirmed[master] = seq
                self.confirm(master, seq)
        if not self._ready:
            self._listener.feed_confirmed(confirmed)
        else:
            self._log.info("feed resumed", seq=self.seq, core_seq=seq)

    def _snapshot(self, seq: int, payload: bytes) -> None:
        batch = self.mirror.merge(*read_snapshot(payload))
        self.seq = seq
        if self._ready and len(batch):
            self._listener.feed_changes(batch, seq)

    def _changes(self, seq: int, payload: bytes) -> None:
        batch = self.mirror.apply(changes_payload(payload, len(self.mirror)))
        self.seq = seq
        self._listener.feed_changes(batch, seq)

    def _replay(self, seq: int, payload: bytes) -> None:
        self._listener.feed_changes(changes_payload(payload, len(self.mirror)), seq)

    def _replayed(self, seq: int, payload: bytes) -> None:
        if not self._ready:
            self._ready = True
            self._listener.feed_ready()

    def _overrun(self, seq: int, payload: bytes) -> None:
        lost = json_payload(payload).get("lost")
        if not isinstance(lost, int):
            raise FeedError("an overrun without its count")
        self._log.error("feed overrun: changes lost on the way to this process", lost=lost)
        if isinstance(self._listener, LossListener):
            self._listener.feed_lost(lost)

    def _outcome(self, seq: int, payload: bytes) -> None:
        self._finish(outcome_from(json_payload(payload)))

    def _commanded(self, seq: int, payload: bytes) -> None:
        told = json_payload(payload)
        try:
            row, feedback, remote = int(told["row"]), int(told["feedback"]), bool(told["remote"])
        except (KeyError, TypeError, ValueError) as error:
            raise FeedError(f"not a commanded point: {error}") from None
        self._listener.feed_commanded(row, feedback, remote)

    def _alarms(self, seq: int, payload: bytes) -> None:
        if self.alarms is None:
            raise FeedError("alarms came that were not asked for")
        catalogue = self.alarms.catalogue
        found = read_alarms(payload, len(catalogue), catalogue.digest)
        if found is None:
            if not self.alarms_differ:
                self._log.error("the core has other alarms: the site file has changed since it started")
            self.alarms_differ = True
            return
        reset, records = found
        fresh = self.alarms.reset(records, seq) if reset else self.alarms.apply(records)
        if fresh and isinstance(self._listener, AlarmListener):
            self._listener.feed_alarms(fresh)

    def confirm(self, master: str, seq: int) -> None:
        """Tell the core how far a master has confirmed; lost without harm when there is no core."""
        if self._link is not None:
            self._link.write(json_frame(FrameKind.CONFIRM, {master: seq}))

    def publish(self, batch: Changes) -> None:
        """Set system points; lost without harm when there is no core."""
        if self._link is not None:
            self._link.write(frame(FrameKind.PUBLISH, batch.tobytes()))

    def refresh(self) -> None:
        """Ask for a snapshot, for the ages of values that did not change."""
        if self._link is not None:
            self._link.write(frame(FrameKind.GET_SNAPSHOT))

    async def counters(self, timeout_s: float) -> dict[str, dict[str, int]]:
        """What the drivers have counted since the core's start, by device. Raises `TimeoutError`."""
        told = await self._ask(FrameKind.GET_COUNTERS, FrameKind.COUNTERS, timeout_s)
        return {name: {key: int(n) for key, n in by.items()} for name, by in told.items()}

    async def devices(self, timeout_s: float) -> dict[str, dict[str, Any]]:
        """Of each device `state`, `cause` in words and `since_ns`. Raises `TimeoutError`."""
        return await self._ask(FrameKind.GET_DEVICES, FrameKind.DEVICES, timeout_s)

    async def _ask(self, question: FrameKind, answer: FrameKind, timeout_s: float) -> dict[str, Any]:
        """One question to the core; several who ask the same share the answer."""
        told = self._asking.get(answer)
        if told is None or told.done():
            told = self._asking[answer] = asyncio.get_running_loop().create_future()
        if self._link is not None:
            self._link.write(frame(question))
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(told)

    def _told(self, answer: FrameKind, payload: bytes) -> None:
        asked = self._asking.pop(answer, None)
        told = json_payload(payload)
        if not all(isinstance(by, dict) for by in told.values()):
            raise FeedError(f"not {answer.name.lower()} by device")
        if asked is not None and not asked.done():
            asked.set_result(told)

    async def control(self, timeout_s: float) -> dict[str, Any]:
        """What control does now, see `gateway.control.view`. Raises `TimeoutError`."""
        return await self._ask(FrameKind.GET_CONTROL, FrameKind.CONTROL, timeout_s)

    def _told_control(self, seq: int, payload: bytes) -> None:
        if (asked := self._asking.pop(FrameKind.CONTROL, None)) is not None and not asked.done():
            asked.set_result(json_payload(payload))

    def _record(self, seq: int, payload: bytes) -> None:
        if isinstance(self._listener, RecordListener):
            self._listener.feed_record(json_payload(payload))

    def next_id(self) -> int:
        """A fresh command id."""
        return next(self._ids)

    def submit(self, command: Command, on_outcome: OnOutcome) -> None:
        """Send a command to the broker; see `gateway.contracts.CommandPort`."""
        if self._link is None:
            text = "the core is not running"
            on_outcome(Outcome(id=command.id, stage=Stage.REFUSED, reason=Reason.CORE_LOST, text=text))
            return
        wait_s = max(0.0, (command.deadline_ns - time.time_ns()) / 1e9) + _OVERTIME_S
        timer = asyncio.get_running_loop().call_later(wait_s, self._overdue, command.id)
        self._pending[command.id] = (on_outcome, timer)
        self._link.write(json_frame(FrameKind.COMMAND, command_to(command)))

    def _overdue(self, command_id: int) -> None:
        text = "no result came before the deadline; whether the device acted is not known"
        self._finish(Outcome(id=command_id, stage=Stage.FAILED, reason=Reason.TIMEOUT, text=text))

    def _finish(self, outcome: Outcome) -> None:
        entry = self._pending.get(outcome.id)
        if entry is None:
            return
        on_outcome, timer = entry
        if outcome.stage.final:
            timer.cancel()
            del self._pending[outcome.id]
        on_outcome(outcome)


class _Connection(asyncio.Protocol):
    """The socket under a `FeedClient`, with a watch on the core's silence."""

    def __init__(self, client: FeedClient) -> None:
        loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._client = client
        self._loop = loop
        self._frames = FrameReader(MAX_FRAME_BYTES)
        self._cause = "the core closed the feed"
        self._transport: asyncio.Transport | None = None
        self._heard = loop.time()
        self._watch = loop.call_later(SILENCE_S, self._check_silence)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("the feed needs a stream transport")
        self._transport = transport
        self._client.on_connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        self._client.on_lost(self, self._cause)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, seq, time_ns, payload in self._frames.feed(data):
                self._client.on_frame(kind, seq, time_ns, payload)
        except FeedError as error:
            self._cause = str(error)
            self.abort()
        self._heard = self._loop.time()  # the time that this took was ours, not the core's silence

    @property
    def heard_s(self) -> float:
        """Seconds since the core last said anything."""
        return self._loop.time() - self._heard

    def _check_silence(self) -> None:
        left = self._heard + SILENCE_S - self._loop.time()
        if left <= 0:
            self._cause = f"the core was silent for {SILENCE_S:g} s"
            self.abort()
        else:
            self._watch = self._loop.call_later(left, self._check_silence)

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
