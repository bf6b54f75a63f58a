"""The store as anybody else sees it: ranges, last values, values at a time; while it is being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.history import batch as batches
from gateway.history.days import DayFile, day_of, days_in
from gateway.history.downsample import Buckets, downsample
from gateway.history.samples import Samples
from gateway.history.spool import SeriesInfo, Spool
from gateway.history.writer import STORE


class HistoryReader:
    """Read only; one thread at a time. Methods raise `DamagedHistory`, `BlockError` or `OSError`.

    A name that was never recorded has no samples: that is no error.
    """

    def __init__(self, folder: Path) -> None:
        """Raises `FileNotFoundError` when nothing was ever recorded here."""
        self._folder = folder
        self._spool = Spool(folder, read_only=True)
        self._ids = self._spool.series()
        self._days: dict[int, DayFile] = {}

    def close(self) -> None:
        for file in self._days.values():
            file.close()
        self._days.clear()
        self._spool.close()

    def names(self) -> list[str]:
        """Every series ever recorded, also of points that are gone from the site."""
        self._ids = self._spool.series()
        return sorted(self._ids)

    def infos(self) -> dict[str, SeriesInfo]:
        """What each series is."""
        return {info.name: info for info in self._spool.series_info().values()}

    def range(self, name: str, start_ns: int, end_ns: int) -> Samples:
        """All samples from `start_ns` to before `end_ns`, in order of time."""
        series = self._id(name)
        if series is None or end_ns <= start_ns:
            return Samples.none()
        return self._steady(lambda taken: self._range(series, start_ns, end_ns, taken))

    def _range(self, series: int, start_ns: int, end_ns: int, taken: int) -> Samples:
        parts = [
            block
            for day in self._days_between(day_of(start_ns), day_of(end_ns - 1))
            for block in self._blocks(day, series, start_ns, end_ns, taken)
        ]
        found = Samples.joined([*parts, *self._tail(series, taken)]).between(start_ns, end_ns)
        return found.without_repeats()

    def _blocks(self, day: int, series: int, start_ns: int, end_ns: int, taken: int) -> Iterator[Samples]:
        file = self._day(day)
        return iter(()) if file is None else file.read(series, start_ns, end_ns, taken)

    def count(self, name: str, start_ns: int, end_ns: int) -> int:
        """About how many samples `range` would read: whole blocks count, what is in the spool alone does not."""
        series = self._id(name)
        if series is None or end_ns <= start_ns:
            return 0
        files = (self._day(day) for day in self._days_between(day_of(start_ns), day_of(end_ns - 1)))
        return sum(file.count(series, start_ns, end_ns) for file in files if file is not None)

    def before(self, name: str, time_ns: int) -> Samples:
        """The newest sample before this time: one, or none."""
        series = self._id(name)
        if series is None:
            return Samples.none()
        return self._steady(lambda taken: self._before(series, time_ns, taken))

    def _before(self, series: int, time_ns: int, taken: int) -> Samples:
        found = Samples.joined(self._tail(series, taken)).between(-(1 << 62), time_ns)
        for day in reversed(self._days_between(-(1 << 62), day_of(time_ns))):
            if len(found) and day_of(int(found.time_ns[-1])) > day:
                break
            file = self._day(day)
            part = None if file is None else file.last_before(series, time_ns, taken)
            if part is not None:
                found = Samples.joined([part, found]).between(-(1 << 62), time_ns)
                break
        return found.at(slice(max(0, len(found) - 1), len(found)))

    def last(self, name: str) -> Samples:
        """The newest sample: one, or none."""
        return self.before(name, 1 << 62)

    def at_time(self, name: str, time_ns: int) -> Samples:
        """What held at this time: the newest sample up to and including it."""
        return self.before(name, time_ns + 1)

    def buckets(self, name: str, start_ns: int, end_ns: int, count: int) -> Buckets:
        """The range cut into `count` equal buckets; see `gateway.history.downsample`."""
        held = self.before(name, start_ns)
        return downsample(Samples.joined([held, self.range(name, start_ns, end_ns)]), start_ns, end_ns, count)

    def _steady(self, read: Callable[[int], Samples]) -> Samples:
        """Read until nothing moved from the spool into the day files meanwhile: then nothing is missed nor doubled.

        Blocks are merged only behind the cursor, so that one that stands still is enough.
        """
        while True:
            taken = self._taken()
            found = read(taken)
            if self._taken() == taken:
                return found

    def _taken(self) -> int:
        return self._spool.cursors().get(STORE, 0)

    def _tail(self, series: int, taken: int) -> list[Samples]:
        """The series' samples that are in the spool alone."""
        parts = (batches.unpack_series(stored.data, series) for stored in self._spool.after(taken))
        return [Samples.joined([part]) for part in parts if part is not None]

    def _id(self, name: str) -> int | None:
        if name not in self._ids:
            self._ids = self._spool.series()
        return self._ids.get(name)

    def _days_between(self, first: int, last: int) -> list[int]:
        return [day for day in days_in(self._folder) if first <= day <= last]

    def _day(self, day: int) -> DayFile | None:
        file = self._days.get(day)
        if file is not None and not file.path.exists():
            file.close()
            del self._days[day]
            return None
        if file is None:
            try:
                file = self._days[day] = DayFile(self._folder, day, read_only=True)
            except FileNotFoundError:
                return None
        return file
