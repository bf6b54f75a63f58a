"""The historian's process: the feed on one side, the store and the forwarder on the other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gateway.contracts.log import Log
from gateway.feed.address import socket_path
from gateway.feed.client import FeedClient
from gateway.history.archive import Line
from gateway.history.batch import NO_SAMPLES, Batch
from gateway.history.days import DAY_NS
from gateway.history.events import MOST, SOE, Events
from gateway.history.influx.forwarder import READER
from gateway.history.influx.thread import ForwarderThread
from gateway.history.opening import open_archive, open_writer
from gateway.history.plan import MASTER, SERVER, HistorianPlan
from gateway.history.recorder import Recorder
from gateway.history.spool import SeriesInfo
from gateway.history.sqlitefile import DamagedHistory
from gateway.history.tails import follow
from gateway.history.writer import HistoryWriter
from gateway.log import get_log
from gateway.points.change import Changes, changes
from gateway.points.quality import Quality
from gateway.processes.child import Child

NICE: Final = 10
_RETRY_S: Final = 5.0
_CLEAN_EVERY_S: Final = 60.0
_SHOW_EVERY_S: Final = 1.0
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)


@dataclass(slots=True)
class _Waiting:
    """Samples that are not on disk yet, and how far the feed is with them."""

    batches: list[Batch] = field(default_factory=list)
    size: int = 0
    seq: int = 0
    lost: int = 0

    def put(self, batch: Batch, limit: int) -> None:
        if not len(batch):
            return
        self.batches.append(batch)
        self.size += len(batch)
        while self.size > limit and len(self.batches) > 1:
            gone = len(self.batches.pop(0))
            self.size -= gone
            self.lost += gone


class Historian:
    """Records what the feed tells. Listens to its `FeedClient`; one thread beside the loop works on the disk."""

    def __init__(self, plan: HistorianPlan, log: Log) -> None:
        self.plan, self.log = plan, log
        self._history = plan.history
        self.folder = plan.state_dir / plan.history.folder
        catalogue = plan.catalogue
        self.client = FeedClient(
            socket_path(plan.state_dir), "historian", SERVER, len(catalogue), self, log.bind(part="feed"), (MASTER,)
        )
        self._writer: HistoryWriter = open_writer(self.folder, plan.history.retention, log)
        infos = [
            SeriesInfo(name, unit, catalogue.kind(row).word)
            for row, (name, unit) in enumerate(zip(catalogue.names, catalogue.units, strict=True))
        ]
        ids = self._writer.register(infos)
        self._recorder = Recorder(plan.history.recording, np.array([ids[info.name] for info in infos], np.uint32))
        new_reader = plan.history.influx is not None and READER not in self._writer.spool.cursors()
        self._recorder.restore(self._writer.newest(), again=new_reader)
        self._done_seq = self._writer.spool.feed_seq()
        self._archive = open_archive(self.folder, log)
        self._events = Events(catalogue, min(MOST, plan.history.memory_samples))
        self._archived_seq = self._archive.positions().get(SOE, 0)
        self._head_day = -1
        self._ready = asyncio.Event()
        self._waiting = _Waiting(seq=self._done_seq)
        self._recording, self._appended = True, False
        self._samples = 0
        self._stored_bytes = self._writer.size_bytes()
        self._disk = ThreadPoolExecutor(1, "history-disk")
        self._forwarder = self._make_forwarder()

    def _make_forwarder(self) -> ForwarderThread | None:
        influx = self._history.influx
        if influx is None:
            self._writer.spool.drop_cursor(READER)
            return None
        catalogue = self.plan.catalogue
        devices: Mapping[str, str] = {
            name: catalogue.devices[int(catalogue.device[row])]
            for row, name in enumerate(catalogue.names)
            if catalogue.device[row] >= 0
        }
        return ForwarderThread(influx, self.folder, self.plan.site, devices, self.log.bind(part="influxdb"))

    # -- the feed --------------------------------------------------------------------------------------------------

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """What the core holds for us begins there; what the spool has of it is left out."""

    def feed_changes(self, batch: Changes, seq: int) -> None:
        if self._ready.is_set():
            self._events.take(batch)
        else:
            # A replay: `seq` counts its records, and some of them may be on disk already.
            self._events.take(_behind(batch, seq, self._archived_seq))
            batch = _behind(batch, seq, self._done_seq)
            # A link that is lost meanwhile begins the replay again.
            self._archived_seq, self._done_seq = max(self._archived_seq, seq), max(self._done_seq, seq)
        self._waiting.seq = max(self._waiting.seq, seq)
        self._take(batch)

    def feed_ready(self) -> None:
        """The table as it stands is the first sample of what was not recorded yet."""
        self._ready.set()
        mirror = self.client.mirror
        rows = np.flatnonzero((mirror.quality & _NEVER) == 0).astype(np.uint32)
        self._waiting.seq = max(self._waiting.seq, self.client.seq)
        self._take(changes(rows, mirror.value[rows], mirror.quality[rows], mirror.time_ns[rows]))

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """Nothing to record: a set-point's own change tells."""

    def _take(self, batch: Changes) -> None:
        self._waiting.put(self._recorder.take(batch, self.client.told_ns), self._history.memory_samples)

    # -- the disk --------------------------------------------------------------------------------------------------

    async def run(self, child: Child) -> None:
        """Record until told to stop."""
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(self.client.run())]
        try:
            ready, stopping = asyncio.create_task(self._ready.wait()), asyncio.create_task(child.stopping.wait())
            tasks += [ready, stopping]
            await asyncio.wait({*tasks}, return_when=asyncio.FIRST_COMPLETED)
            child.ready()
            if self._forwarder is not None:
                self._forwarder.start()
            tasks += [asyncio.create_task(self._commit_often()), asyncio.create_task(self._show_often())]
            done, _ = await asyncio.wait({*tasks} - {ready}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # none of them is to end: whatever it is, the process ends with it and is started again
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._stop()

    async def _stop(self) -> None:
        self._waiting.put(self._recorder.flush(time.time_ns()), self._history.memory_samples)
        await self._commit()
        if self._forwarder is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._forwarder.stop)
        self._disk.shutdown(wait=True)
        with contextlib.suppress(OSError, DamagedHistory):
            self._archive.close()
            self._writer.close()

    async def _commit_often(self) -> None:
        cleaned_s = 0.0
        while True:
            await asyncio.sleep(self._history.commit_s if self._recording else _RETRY_S)
            self._waiting.put(self._recorder.tick(time.time_ns()), self._history.memory_samples)
            now_s = time.monotonic()
            clean = now_s - cleaned_s >= _CLEAN_EVERY_S
            if await self._commit() and await self._on_disk(self._look_after, now_s, clean) and clean:
                cleaned_s = now_s

    async def _commit(self) -> bool:
        """What waits goes to disk, then the core may forget it. False when it could not be written: it waits on."""
        waiting, self._waiting = self._waiting, _Waiting(seq=self._waiting.seq, lost=self._waiting.lost)
        events = self._events.drain()
        if not waiting.batches and not events:
            self.client.confirm(MASTER, waiting.seq)
            return True
        batch = np.concatenate([NO_SAMPLES, *waiting.batches])
        written = await self._on_disk(self._write, batch, events, waiting.seq)
        if not written:
            self._events.put_back(events)
            newer = self._waiting
            if self._appended:  # it was the archive that failed
                return False
            self._waiting = _Waiting(waiting.batches, waiting.size, newer.seq, newer.lost)
            for late in newer.batches:
                self._waiting.put(late, self._history.memory_samples)
            return False
        self._samples += len(batch)
        self.client.confirm(MASTER, waiting.seq)
        return True

    def _write(self, batch: Batch, events: list[Line], seq: int) -> None:
        self._appended = False
        if len(batch):
            self._writer.append(batch, seq, time.monotonic())
            self._appended = True
        if events:
            self._archive.append("soe", events, SOE, seq)

    @property
    def _lost(self) -> int:
        return self._waiting.lost + self._events.lost

    def _look_after(self, now_s: float, clean: bool) -> None:
        writer, readers = self._writer, [READER] if self._history.influx is not None else []
        if writer.due(now_s):
            writer.take()
        else:
            writer.merge(time.time_ns())
        for trouble in writer.troubles:
            self.log.error("history was found damaged", cause=trouble)
        writer.troubles.clear()
        follow(self.plan.state_dir, self._archive)
        if clean:
            self._look_after_archive(time.time_ns())
            for dropped in writer.clean(readers, time.time_ns() // DAY_NS):
                self.log.info("history dropped", what=dropped)
            self._stored_bytes = writer.size_bytes()

    def _look_after_archive(self, now_ns: int) -> None:
        """Old entries go; the head of the chain leaves the machine with the log once a day."""
        self._archive.clean(now_ns - self._history.archive_days * DAY_NS)
        if now_ns // DAY_NS != self._head_day:
            self._head_day = now_ns // DAY_NS
            self.log.info("archive", head=self._archive.head)

    async def _on_disk(self, work: object, *arguments: object) -> bool:
        """Disk work in its thread; a disk that cannot be written is told once, and once when it can again."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._disk, work, *arguments)  # type: ignore[arg-type]
        except (OSError, DamagedHistory) as error:
            if self._recording:
                self._recording = False
                self.log.error("history is not recorded: it cannot be written", cause=str(error))
            return False
        if not self._recording:
            self._recording = True
            self.log.info("history is recorded again", lost=self._lost)
        return True

    # -- what others see -------------------------------------------------------------------------------------------

    async def _show_often(self) -> None:
        sent_before, at_s = 0, time.monotonic()
        while True:
            await asyncio.sleep(_SHOW_EVERY_S)
            values = self._own_values()
            if self._forwarder is not None:
                state, now_s = self._forwarder.state, time.monotonic()
                values |= self._influx_values((state.sent - sent_before) / max(now_s - at_s, 1e-3))
                sent_before, at_s = state.sent, now_s
            rows = np.array(list(values), np.uint32)
            times = np.full(len(rows), time.time_ns(), np.int64)
            self.client.publish(changes(rows, np.array(list(values.values())), np.zeros(len(rows), np.uint32), times))

    def _own_values(self) -> dict[int, float]:
        rows = self._history.rows
        return {
            rows.recording: float(self._recording),
            rows.samples: float(self._samples),
            rows.lost: float(self._lost),
            rows.stored_mb: round(self._stored_bytes / 1e6, 1),
        }

    def _influx_values(self, rate: float) -> dict[int, float]:
        rows, state = self._history.rows, self._forwarder.state if self._forwarder is not None else None
        if state is None:
            return {}
        age_s = (time.time_ns() - state.oldest_ns) / 1e9 if state.oldest_ns else 0.0
        return {
            rows.influx_online: float(state.online),
            rows.influx_waiting: float(state.waiting),
            rows.influx_age_s: round(max(0.0, age_s), 1),
            rows.influx_rate: round(rate, 1),
            rows.influx_rejected: float(state.rejected),
        }


def _behind(batch: Changes, seq: int, done: int) -> Changes:
    """The records of a replay numbered above `done`; `seq` is the number of the last."""
    fresh = min(len(batch), max(0, seq - done))
    return batch[len(batch) - fresh :]


async def historian_main(plan: HistorianPlan, child: Child) -> None:
    """The process from start to orderly end. It gives way to everything else on the machine."""
    os.nice(NICE)
    log = get_log(process="historian")
    try:
        await Historian(plan, log).run(child)
    except OSError as error:
        log.error("historian cannot start", cause=str(error))
        raise SystemExit(1) from None
