"""The core's side of the feed: a Unix socket, any number of readers, none of which can hold the core up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from gateway.alarms.model import AlarmRecord
from gateway.contracts.command import Command, OnOutcome
from gateway.contracts.log import Log
from gateway.feed.address import listening_socket
from gateway.feed.alarmring import AlarmRing
from gateway.feed.commandwire import command_from, outcome_to
from gateway.feed.frames import (
    MAX_REQUEST_BYTES,
    FeedError,
    FrameKind,
    FrameReader,
    as_replay,
    changes_payload,
    frame,
    json_frame,
    json_payload,
    snapshot_payload,
)
from gateway.feed.ring import ChangeRing
from gateway.points.change import Changes
from gateway.points.table import PointTable

HEARTBEAT_S: Final = 0.5
GATHER_S: Final = 0.001
_BUFFER_BYTES: Final = 4 << 20
_MAX_READERS: Final = 64


class HubOwner(Protocol):
    """What the hub needs of the core."""

    def submit(self, server: str, command: Command, on_outcome: OnOutcome) -> None:
        """A command from the reader that serves `server`."""
        ...

    def publish_system(self, server: str, batch: Changes) -> None:
        """System points from the reader that serves `server`."""
        ...

    def refresh_ages(self) -> None:
        """Bring `seen_ns` of points without a device up to date, before a snapshot."""
        ...


@dataclass(slots=True)
class _Reader:
    """One connected reader: how far it has been told, and whether its socket is full."""

    transport: asyncio.Transport
    name: str = "?"
    server: str = ""
    sent_seq: int = 0
    alarm_seq: int | None = None
    """The last alarm event sent; None: it wants none."""
    records: bool = False
    """It wants the records of commands."""
    live: bool = False
    full: bool = False
    snapshot_due: bool = False
    """It asked for a snapshot while it was behind: it gets what it lacks first."""


@dataclass(slots=True)
class FeedHub:
    """Numbers, keeps and sends changes. Lives on the core's loop."""

    site: str
    table: PointTable
    ring: ChangeRing
    owner: HubOwner
    log: Log
    confirmed: dict[str, dict[str, int]] = field(default_factory=dict)
    """By server: what each of its masters has confirmed."""
    alarms: AlarmRing = field(default_factory=AlarmRing)
    counters: Callable[[], Mapping[str, Mapping[str, int]]] = dict
    """What the drivers have counted, by device."""
    devices: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
    """State of each device, why in words, and since when."""
    control: Callable[[], Mapping[str, Any]] = dict
    """What control does now."""
    _readers: set[_Link] = field(default_factory=set)
    clock_ns: Callable[[], int] = time.time_ns
    _waiting: list[Changes] = field(default_factory=list)
    _waiting_ns: int = 0
    """When the first of what waits was published."""
    _flush_handle: asyncio.Handle | None = None
    _flushed_at: float = 0.0
    _server: asyncio.Server | None = None
    _beat: asyncio.Task[None] | None = None

    async def start(self, path: Path) -> None:
        """Listen at `path` (mode 0600); a socket file left by a dead core is replaced."""
        sock = listening_socket(path)
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Link(self), sock=sock)
        self._beat = asyncio.create_task(self._heartbeat())

    async def stop(self) -> None:
        """Send what is gathered, close every reader."""
        self.flush()
        if self._beat is not None:
            self._beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._beat
        if self._server is not None:
            self._server.close()
        for link in list(self._readers):
            link.close()

    def append(self, batch: Changes) -> None:
        """Take changes; they go out with this turn of the loop, or about a millisecond after the last ones."""
        if not len(batch):
            return
        if not self._waiting:
            self._waiting_ns = self.clock_ns()
        self._waiting.append(batch)
        if self._flush_handle is None:
            loop = asyncio.get_running_loop()
            wait = self._flushed_at + GATHER_S - loop.time()
            self._flush_handle = loop.call_later(wait, self.flush) if wait > 0 else loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is gathered, now."""
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        if not self._waiting:
            return
        batch = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting.clear()
        self._flushed_at = asyncio.get_running_loop().time()
        before = self.ring.seq
        data = self.ring.append(batch, self._waiting_ns)
        for link in self._readers:
            link.send_live(before, self.ring.seq, data)

    def tell_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Tell every reader that a command was written, ahead of the changes that it causes."""
        self.flush()
        data = json_frame(FrameKind.COMMANDED, {"row": row, "feedback": feedback, "remote": remote}, self.ring.seq)
        for link in self._readers:
            link.send_beat(data)

    def tell_alarms(self, records: Sequence[AlarmRecord]) -> None:
        """Tell every reader that wants it what became of alarms, after the changes that brought it about."""
        self.flush()
        before = self.alarms.seq
        data = self.alarms.append(records)
        for link in self._readers:
            link.send_alarms(before, data)

    def tell_record(self, facts: Mapping[str, Any]) -> None:
        """Tell every reader that wants it a step of a command; after the changes before it."""
        listening = [link for link in self._readers if link.reader.records]
        if listening:
            self.flush()
            data = json.dumps(facts, separators=(",", ":"), default=str).encode()
            for link in listening:
                link.send_beat(frame(FrameKind.RECORD, data, self.ring.seq))

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            beat = frame(FrameKind.HEARTBEAT, seq=self.ring.seq, time_ns=self.clock_ns())
            for link in self._readers:
                link.send_beat(beat)

    def snapshot(self) -> bytes:
        """The table as it stands, as a frame."""
        self.flush()
        self.owner.refresh_ages()
        table = self.table
        payload = snapshot_payload(table.value, table.quality, table.time_ns, table.seen_ns)
        return frame(FrameKind.SNAPSHOT, payload, self.ring.seq, self.clock_ns())

    @property
    def readers(self) -> list[str]:
        """Names of the connected readers."""
        return sorted(link.reader.name for link in self._readers if link.reader.live)

    def admit(self, link: _Link) -> bool:
        """Whether one more reader fits."""
        if len(self._readers) >= _MAX_READERS:
            self.log.warning("feed reader refused: too many", readers=len(self._readers))
            return False
        self._readers.add(link)
        return True

    def gone(self, link: _Link) -> None:
        """A reader went away."""
        self._readers.discard(link)


class _Link(asyncio.Protocol):
    """One reader's socket."""

    def __init__(self, hub: FeedHub) -> None:
        self._hub = hub
        self._frames = FrameReader(MAX_REQUEST_BYTES)
        self._handlers: dict[FrameKind, Callable[[int, bytes], None]] = {
            FrameKind.HELLO: self._hello,
            FrameKind.COMMAND: self._command,
            FrameKind.CONFIRM: self._confirm,
            FrameKind.PUBLISH: self._publish,
            FrameKind.GET_SNAPSHOT: self._get_snapshot,
            FrameKind.GET_COUNTERS: self._get_counters,
            FrameKind.GET_DEVICES: self._get_devices,
            FrameKind.GET_CONTROL: self._get_control,
            FrameKind.HEARTBEAT: lambda seq, payload: None,
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("the feed needs a stream transport")
        self.reader = _Reader(transport)
        transport.set_write_buffer_limits(high=_BUFFER_BYTES)
        if not self._hub.admit(self):
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._hub.gone(self)

    def pause_writing(self) -> None:
        self.reader.full = True

    def resume_writing(self) -> None:
        self.reader.full = False
        self._catch_up()

    def close(self) -> None:
        self.reader.transport.close()

    def data_received(self, data: bytes) -> None:
        try:
            for kind, seq, _, payload in self._frames.feed(data):
                handler = self._handlers.get(kind)
                if handler is None:
                    raise FeedError(f"a reader does not send {kind.name}")
                handler(seq, payload)
        except FeedError as error:
            self._hub.log.warning("feed reader closed", reader=self.reader.name, cause=str(error))
            self.reader.transport.abort()

    def send_live(self, before: int, seq: int, data: bytes) -> None:
        """A fresh frame for a reader that is up to date; one that is behind finds it in the ring."""
        reader = self.reader
        if reader.live and not reader.full and reader.sent_seq == before:
            reader.sent_seq = seq
            reader.transport.write(data)

    def send_alarms(self, before: int, data: bytes) -> None:
        """Alarm events for a reader that had all before them; one that is behind finds them in the ring."""
        reader = self.reader
        if reader.live and not reader.full and reader.alarm_seq == before:
            reader.alarm_seq = self._hub.alarms.seq
            reader.transport.write(data)

    def _catch_up_alarms(self) -> None:
        reader, alarms = self.reader, self._hub.alarms
        if reader.alarm_seq is None or reader.alarm_seq == alarms.seq:
            return
        for data in alarms.after(reader.alarm_seq):
            reader.transport.write(data)
        reader.alarm_seq = alarms.seq

    def send_beat(self, beat: bytes) -> None:
        if self.reader.live and not self.reader.full:
            self.reader.transport.write(beat)

    def _catch_up(self) -> None:
        """Send from the ring until the socket is full again; a snapshot when the ring has moved on."""
        reader, hub = self.reader, self._hub
        if not reader.live:
            return
        if not hub.ring.holds(reader.sent_seq):
            self._overrun(hub.ring.unseen(reader.sent_seq))
            self._catch_up_alarms()
            return
        for last, data in hub.ring.after(reader.sent_seq):
            reader.sent_seq = last
            reader.transport.write(data)
            if reader.full:
                return
        self._catch_up_alarms()
        if reader.snapshot_due:
            self._send_snapshot()

    def _overrun(self, lost: int) -> None:
        reader = self.reader
        self._hub.log.warning("feed reader overrun", reader=reader.name, lost=lost)
        reader.transport.write(json_frame(FrameKind.OVERRUN, {"lost": lost}))
        self._send_snapshot()

    def _send_snapshot(self) -> None:
        data = self._hub.snapshot()
        self.reader.sent_seq, self.reader.snapshot_due = self._hub.ring.seq, False
        self.reader.transport.write(data)

    def _hello(self, seq: int, payload: bytes) -> None:
        hello = json_payload(payload)
        hub, reader = self._hub, self.reader
        hub.flush()
        reader.name = str(hello.get("name", "?"))[:64]
        reader.server = str(hello.get("server", ""))[:64]
        resume = hello.get("resume", 0)
        if not isinstance(resume, int) or resume < 0:
            raise FeedError("resume is not a sequence number")
        wanted = hello.get("alarms")
        reader.alarm_seq = wanted if isinstance(wanted, int) and wanted >= 0 else None
        reader.records = hello.get("records") is True
        confirmed = hub.confirmed.get(reader.server, {})
        welcome = {"site": hub.site, "points": len(hub.table), "confirmed": confirmed}
        reader.transport.write(json_frame(FrameKind.WELCOME, welcome, hub.ring.seq))
        if resume and hub.ring.holds(resume):
            reader.sent_seq = resume
            reader.live = True
            self._catch_up()
            return
        if resume and hub.ring.whole and not hub.ring.of_this_epoch(resume):
            # It knew another core: it hears all that this one has told, and then how things stand.
            reader.sent_seq, reader.snapshot_due, reader.live = hub.ring.start, True, True
            self._catch_up()
            return
        lost = hub.ring.unseen(resume) if resume else 0
        if lost:
            self._overrun(lost)
        else:
            self._send_snapshot()
        self._catch_up_alarms()
        if hello.get("replay") and confirmed:
            self._replay(min(confirmed.values()))
        reader.transport.write(frame(FrameKind.REPLAYED, seq=hub.ring.seq, time_ns=hub.clock_ns()))
        reader.live = True

    def _replay(self, seq: int) -> None:
        """What came after `seq` again, for a reader that lost its events but whose masters had not confirmed them.

        It is at most the ring, and goes out at once: the reader asked for all of it.
        """
        ring = self._hub.ring
        lost = ring.lost_since(seq)
        if lost:
            self._hub.log.warning("changes to replay are gone", reader=self.reader.name, lost=lost)
            self.reader.transport.write(json_frame(FrameKind.OVERRUN, {"lost": lost}))
        for _, data in ring.after(max(seq, ring.start)):
            self.reader.transport.write(as_replay(data))

    def _command(self, seq: int, payload: bytes) -> None:
        command = command_from(json_payload(payload))
        transport = self.reader.transport
        self._hub.owner.submit(
            self.reader.server,
            command,
            lambda outcome: transport.write(json_frame(FrameKind.OUTCOME, outcome_to(outcome))),
        )

    def _confirm(self, seq: int, payload: bytes) -> None:
        for master, number in json_payload(payload).items():
            if not isinstance(number, int):
                raise FeedError("a confirmation is not a sequence number")
            held = self._hub.confirmed.setdefault(self.reader.server, {})
            held[master] = max(number, held.get(master, 0))

    def _publish(self, seq: int, payload: bytes) -> None:
        self._hub.owner.publish_system(self.reader.server, changes_payload(payload, len(self._hub.table)))

    def _get_counters(self, seq: int, payload: bytes) -> None:
        counters = {device: dict(figures) for device, figures in self._hub.counters().items()}
        self.reader.transport.write(json_frame(FrameKind.COUNTERS, counters))

    def _get_devices(self, seq: int, payload: bytes) -> None:
        self.reader.transport.write(json_frame(FrameKind.DEVICES, dict(self._hub.devices())))

    def _get_control(self, seq: int, payload: bytes) -> None:
        self.reader.transport.write(json_frame(FrameKind.CONTROL, dict(self._hub.control())))

    def _get_snapshot(self, seq: int, payload: bytes) -> None:
        self._hub.flush()
        if self.reader.live and self.reader.sent_seq != self._hub.ring.seq:
            self.reader.snapshot_due = True
        else:
            self._send_snapshot()
