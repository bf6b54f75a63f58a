"""The store as its one writer sees it: batches into the spool, from there into the day files, old days away."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from gateway.history.batch import NO_SAMPLES, Batch, by_series, newest
from gateway.history.compression import BlockError
from gateway.history.days import DAY_NS, DayFile, days_in, file_of
from gateway.history.plan import Retention
from gateway.history.spool import SeriesInfo, Spool
from gateway.history.sqlitefile import DamagedHistory, set_aside

STORE: Final = "store"
"""The cursor of the day files."""
OPEN_DAYS: Final = 4
TAKE_SAMPLES: Final = (100_000, 2_000_000)
"""The day files take the spool's tail when it holds so many samples; between the two, 600 for each series."""
PART_SAMPLES: Final = 100_000
"""Of one batch of the spool, at most: what waited while the disk was full comes at once, and is read piece by piece."""
TAKE_AGE_S: Final = 300.0
_MERGES: Final = 200


class HistoryWriter:
    """Not safe for threads: one caller. Every method that writes may raise `DiskFull`, `DamagedHistory`, `OSError`."""

    def __init__(self, folder: Path, retention: Retention) -> None:
        self._folder, self._retention = folder, retention
        self.spool = Spool(folder)
        self._days: OrderedDict[int, DayFile] = OrderedDict()
        self._infos: dict[int, SeriesInfo] = self.spool.series_info()
        self._taken = self.spool.cursors().get(STORE, 0)
        self._tail: list[tuple[int, Batch]] = []
        self._tail_since_s: float | None = None
        self.troubles: list[str] = []
        """What was found damaged, and what became of it; for the log."""
        self._unmerged: set[int] = set()
        self.damaged = 0
        """Batches of the spool that could not be read and were left out."""
        for stored in self.spool.after(self._taken):
            try:
                self._tail.append((stored.number, stored.records()))
            except BlockError:
                self.damaged += 1
        self._newest = self._newest_taken()

    def close(self) -> None:
        """Close all files; the spool's tail stays there for the next time."""
        for file in self._days.values():
            file.close()
        self._days.clear()
        self.spool.close()

    def _newest_taken(self) -> Batch:
        try:
            return self.spool.newest()
        except BlockError:
            self.damaged += 1
            return NO_SAMPLES

    def newest(self) -> Batch:
        """Of each series the sample that was recorded last, in order of series."""
        return newest(np.concatenate([self._newest, *(batch for _, batch in self._tail)]))

    def register(self, wanted: Sequence[SeriesInfo]) -> Mapping[str, int]:
        """Ids of these series."""
        ids = self.spool.register(wanted)
        self._infos = self.spool.series_info()
        return ids

    def append(self, batch: Batch, feed_seq: int, now_s: float) -> int:
        """Record: on disk when this returns. Number of the last batch of the spool that it became."""
        parts = [batch[start : start + PART_SAMPLES] for start in range(0, len(batch), PART_SAMPLES)]
        numbers = self.spool.append_all(parts, feed_seq)
        self._tail += zip(numbers, parts, strict=True)
        if self._tail_since_s is None:
            self._tail_since_s = now_s
        return numbers[-1]

    def due(self, now_s: float) -> bool:
        """Whether the day files should take the tail now."""
        held = sum(len(batch) for _, batch in self._tail)
        least, most = TAKE_SAMPLES
        enough = min(max(least, 600 * len(self._infos)), most)
        since_s = self._tail_since_s
        return held >= enough or (since_s is not None and now_s - since_s >= TAKE_AGE_S)

    def take(self) -> None:
        """The spool's tail into the day files, one transaction a day; then the cursor."""
        if not self._tail:
            return
        number = self._tail[-1][0]
        batch = np.concatenate([batch for _, batch in self._tail])
        days = batch["time_ns"] // DAY_NS
        for day in np.unique(days).tolist():
            try:
                self._take_day(day, number)
            except DamagedHistory as error:
                self._set_aside(day, str(error))
                self._take_day(day, number)
        self._newest = self.newest()
        self.spool.set_taken(STORE, number, self._newest)
        self._taken, self._tail, self._tail_since_s = number, [], None

    def _take_day(self, day: int, number: int) -> None:
        file = self._day(day)
        if file.taken() < number:
            self._add(file, self._behind(file.taken(), day), number)

    def _set_aside(self, day: int, cause: str) -> None:
        """A damaged day is kept under another name, and begun anew."""
        file = self._days.pop(day, None)
        if file is not None:
            with contextlib.suppress(OSError, DamagedHistory):
                file.close()
        aside = set_aside(file_of(self._folder, day))
        self.troubles.append(f"{cause}: set aside as {aside.name}")

    def _behind(self, taken: int, day: int) -> Batch:
        parts = [batch[batch["time_ns"] // DAY_NS == day] for number, batch in self._tail if number > taken]
        return np.concatenate(parts) if parts else NO_SAMPLES

    def _add(self, file: DayFile, batch: Batch, number: int) -> None:
        if len(batch):
            ids = np.unique(batch["series"]).tolist()
            unknown = SeriesInfo("")
            file.add(by_series(batch), [(series, self._infos.get(series, unknown)) for series in ids], number)

    def merge(self, now_ns: int, limit: int = _MERGES) -> bool:
        """Small blocks of hours that are over become one, a few hundred at a time; True when there may be more."""
        hour_ago = now_ns // (DAY_NS // 24) * (DAY_NS // 24) - 600_000_000_000
        for day in sorted(self._days, reverse=True):
            if day in self._unmerged:
                continue
            try:
                groups = self._days[day].scattered(hour_ago, limit)
                if groups:
                    self._days[day].merge(groups)
                    return True
            except (DamagedHistory, BlockError) as error:
                self._unmerged.add(day)
                self.troubles.append(f"{file_of(self._folder, day).name} is left as it is: {error}")
        return False

    def clean(self, readers: Sequence[str], today: int) -> list[str]:
        """Drop what is done with and what is too old or too much. Returns what was dropped, in words."""
        told: list[str] = []
        self.spool.clean([STORE, *readers])
        if self.spool.size_bytes() > self._retention.spool_bytes:
            told += self._drop_spool(readers)
        for day in self._too_many(today):
            self._forget_day(day)
            told.append(f"day {file_of(self._folder, day).stem}")
        return told

    def _drop_spool(self, readers: Sequence[str]) -> list[str]:
        """Readers that hold the spool beyond its size go on behind what the day files have."""
        told = []
        for who, number in self.spool.cursors().items():
            if who in readers and number < self._taken:
                lost, _ = self.spool.waiting(number)
                self.spool.set_cursor(who, self._taken)
                told.append(f"up to {lost:,} samples waiting for {who}")
        self.spool.clean([STORE, *readers])
        return told

    def _too_many(self, today: int) -> list[int]:
        days = days_in(self._folder)
        old = [day for day in days if day < today - self._retention.days + 1]
        sizes = {day: _size(file_of(self._folder, day)) for day in days if day not in old}
        total = sum(sizes.values())
        for day in sorted(sizes)[:-1]:
            if total <= self._retention.size_bytes:
                break
            total -= sizes[day]
            old.append(day)
        return old

    def _forget_day(self, day: int) -> None:
        file = self._days.pop(day, None)
        if file is not None:
            file.close()
        path = file_of(self._folder, day)
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """Of all files."""
        return self.spool.size_bytes() + sum(_size(file_of(self._folder, day)) for day in days_in(self._folder))

    def _day(self, day: int) -> DayFile:
        file = self._days.get(day)
        if file is None:
            file = self._days[day] = DayFile(self._folder, day)
            while len(self._days) > OPEN_DAYS:
                self._days.popitem(last=False)[1].close()
        self._days.move_to_end(day)
        return file


def _size(path: Path) -> int:
    total = 0
    for name in (path.name, f"{path.name}-wal"):
        with contextlib.suppress(FileNotFoundError):
            total += path.with_name(name).stat().st_size
    return total
