"""From the spool to the server: the newest at once, beside it what was missed, at a bounded rate.

Two lanes read the spool. The *live* lane follows its end. What piled up while the server was away is the *gap*: the
cursor on disk stands at its beginning until all of it was accepted. A crash between acceptance and cursor sends again
what the server has already: the same series, time and value, which is the same point.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from gateway.contracts.log import Log
from gateway.history.batch import NO_SAMPLES, Batch
from gateway.history.compression import BlockError
from gateway.history.influx.answers import Answer, Course, course, pause_s, words
from gateway.history.influx.lines import lines_of
from gateway.history.influx.quarantine import Quarantine
from gateway.history.influx.sender import Sender
from gateway.history.plan import InfluxPlan
from gateway.history.spool import Spool

READER: Final = "influx"
"""The cursor of the forwarder."""
IDLE_S: Final = 0.2
_WHOLE_BATCH_TRIES: Final = 5
"""A batch of which every line is refused is no matter of single lines: tried so often before it is set aside."""


class Prefixes(Protocol):
    """Measurement and tags by series; may have to look up a series that is new."""

    def __call__(self, series: int) -> str: ...


@dataclass(slots=True)
class ForwarderState:
    """What a person and the system points see."""

    online: bool = False
    trouble: str = ""
    sent: int = 0
    rejected: int = 0
    waiting: int = 0
    oldest_ns: int = 0


@dataclass(slots=True)
class Forwarder:
    """One step at a time: `step` sends at most one batch and says how long to wait. Used by one thread."""

    plan: InfluxPlan
    spool: Spool
    sender: Sender
    prefix: Prefixes
    quarantine: Quarantine
    log: Log
    state: ForwarderState = field(default_factory=ForwarderState)
    chance: random.Random = field(default_factory=random.Random)
    _done: int = -1
    _gap_end: int = 0
    _live: int = 0
    _tries: int = 0
    _whole_tries: int = 0
    _told: str = ""
    _gap_free_s: float = 0.0
    _batch_samples: int = 0

    def step(self, now_s: float, now_ns: int) -> float:
        """Send what is due. Returns seconds until the next step. Raises `OSError` when the spool cannot be used."""
        if self._done < 0:
            self._begin()
        wait_s = self._advance_live(now_ns)
        if wait_s is None and now_s >= self._gap_free_s:
            wait_s = self._advance_gap(now_s)
        self.state.waiting, self.state.oldest_ns = self._waiting()
        if wait_s is not None:
            return wait_s
        return min(IDLE_S, max(0.0, self._gap_free_s - now_s)) if self._gap_end > self._done else IDLE_S

    def _begin(self) -> None:
        self._done = self.spool.cursors().get(READER, 0)
        self.spool.set_cursor(READER, self._done)
        self._gap_end = self._live = self.spool.last_number()
        self._batch_samples = self.plan.batch_samples

    def _waiting(self) -> tuple[int, int]:
        behind, oldest = self.spool.waiting(self._done)
        if self._gap_end > self._done and self._live > self._gap_end:
            after_gap, _ = self.spool.waiting(self._gap_end)
            live, _ = self.spool.waiting(self._live)
            behind -= after_gap - live
        return behind, oldest if behind else 0

    def _advance_live(self, now_ns: int) -> float | None:
        """None: nothing to be sent live."""
        numbers, batch = self._gather(self._live, 1 << 60)
        if not numbers:
            return None
        if self._tries and now_ns - int(batch["time_ns"].max(initial=0)) > self.plan.live_s * 1e9 * 3:
            # It is live no more: what waits becomes part of the gap and goes at the gap's rate.
            self._gap_end = self._live = self.spool.last_number()
            return None
        pause = self._send(batch)
        if pause is None:
            self._live = numbers[-1]
            if self._done >= self._gap_end:
                self._finish(self._live)
            return 0.0
        return pause

    def _advance_gap(self, now_s: float) -> float | None:
        if self._done >= self._gap_end:
            return None
        numbers, batch = self._gather(self._done, self._gap_end)
        if not numbers:
            self._finish(max(self._gap_end, self._live))
            return 0.0
        pause = self._send(batch)
        if pause is not None:
            return pause
        self._gap_free_s = now_s + len(batch) / self.plan.backfill_per_s
        self._finish(numbers[-1] if numbers[-1] < self._gap_end else max(self._gap_end, self._live))
        return 0.0

    def _finish(self, number: int) -> None:
        self._done = number
        self.spool.set_cursor(READER, number)

    def _gather(self, after: int, last: int) -> tuple[list[int], Batch]:
        """Batches behind `after`, up to `last`, until there are enough samples."""
        numbers: list[int] = []
        parts: list[Batch] = []
        size = 0
        for stored in self.spool.after(after, 256):
            if stored.number > last or (numbers and size + stored.count > self._batch_samples):
                break
            try:
                parts.append(stored.records())
            except BlockError as error:
                self.log.error("samples of the spool cannot be read and are not forwarded", cause=str(error))
            numbers.append(stored.number)
            size += stored.count
        return numbers, np.concatenate(parts) if parts else NO_SAMPLES

    def _send(self, batch: Batch) -> float | None:
        """None when all of it is accepted or set aside; else the pause before the next try."""
        lines = lines_of(batch, self.prefix)
        for start in range(0, len(lines), self.plan.batch_samples):
            answer = self._send_lines(lines[start : start + self.plan.batch_samples])
            if answer is not None:
                return self._trouble(answer)
        self._tries = self._whole_tries = 0
        self.state.sent += len(lines)
        self._well()
        return None

    def _send_lines(self, lines: list[str]) -> Answer | None:
        """None when the server has them, or those that it refuses one by one are set aside."""
        if not lines:
            return None
        answer = self.sender.send("\n".join(lines).encode())
        way = course(answer)
        if way is Course.DONE:
            return None
        if way not in (Course.SPLIT, Course.ISOLATE):
            return answer
        refused: list[tuple[str, Answer]] = []
        stopped = self._isolate(lines, answer, refused)
        if stopped is not None:
            return stopped
        if len(refused) == len(lines) > 1 and self._whole_tries < _WHOLE_BATCH_TRIES:
            self._whole_tries += 1
            return refused[0][1]
        for line, why in refused:
            self.quarantine.put(line, words(why))
        self.state.rejected += len(refused)
        if refused:
            self.log.error("samples refused and set aside", count=len(refused), cause=words(refused[0][1]))
        return None

    def _isolate(self, lines: list[str], answer: Answer, refused: list[tuple[str, Answer]]) -> Answer | None:
        """Halves until what is wrong stands alone. An answer when the server cannot go on now."""
        if len(lines) == 1:
            refused.append((lines[0], answer))
            return None
        middle = len(lines) // 2
        for half in (lines[:middle], lines[middle:]):
            told = self.sender.send("\n".join(half).encode())
            way = course(told)
            if way is Course.DONE:
                continue
            if way not in (Course.SPLIT, Course.ISOLATE):
                return told
            stopped = self._isolate(half, told, refused)
            if stopped is not None:
                return stopped
        return None

    def _trouble(self, answer: Answer) -> float:
        pause = pause_s(answer, self._tries, self.chance)
        self._tries += 1
        self.state.online = False
        self.state.trouble = words(answer)
        if self._told != str(answer.status):
            self._told = str(answer.status)
            self.log.warning("samples are not forwarded", cause=self.state.trouble, url=self.plan.url)
        return pause

    def _well(self) -> None:
        if not self.state.online:
            self.state.online, self.state.trouble, self._told = True, "", ""
            self.log.info("samples are forwarded", url=self.plan.url)
