"""The last alarm events, as the frames in which they were sent, and the alarms as they stand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.alarms.model import AlarmRecord
from gateway.alarms.wire import WireError, record_from, record_to
from gateway.feed.frames import FeedError, FrameKind, json_frame, json_payload

_EVENTS_HELD: Final = 20_000


class AlarmRing:
    """Alarm events for readers; one that was away too long gets all alarms that are not normal instead."""

    def __init__(self) -> None:
        self.seq = 0
        """Number of the newest event."""
        self.standing: Callable[[], Iterable[AlarmRecord]] = tuple
        """The alarms that are not normal."""
        self.digest = 0
        """Of the alarms that the records are about: `AlarmCatalogue.digest`."""
        self._start = 0
        self._held = 0
        self._frames: deque[tuple[int, int, bytes]] = deque()

    def begin(self, seq: int, standing: Callable[[], Iterable[AlarmRecord]], digest: int = 0) -> None:
        """Where the numbers of this core's life begin."""
        self.digest = digest
        self.seq = self._start = seq
        self.standing = standing

    def append(self, records: Sequence[AlarmRecord]) -> bytes:
        """Events in order, as a ready frame."""
        self.seq = records[-1].seq
        data = self._frame(records, reset=False)
        self._frames.append((self.seq, len(records), data))
        self._held += len(records)
        while self._held > _EVENTS_HELD and len(self._frames) > 1:
            self._start, count, _ = self._frames.popleft()
            self._held -= count
        return data

    def after(self, seq: int) -> list[bytes]:
        """What a reader needs that has had everything up to `seq` (0: nothing)."""
        if seq == 0 or not self._start <= seq <= self.seq:
            return [self._frame(self.standing(), reset=True)]
        return [data for last, _, data in self._frames if last > seq]

    def _frame(self, records: Iterable[AlarmRecord], *, reset: bool) -> bytes:
        content = {"reset": reset, "of": self.digest, "records": [record_to(record) for record in records]}
        return json_frame(FrameKind.ALARMS, content, self.seq)


def read_alarms(payload: bytes, alarms: int, digest: int) -> tuple[bool, list[AlarmRecord]] | None:
    """(whether it is a snapshot, records); None when it is about other alarms; `FeedError` for anything else."""
    content = json_payload(payload)
    records = content.get("records")
    if content.get("of", digest) != digest:
        return None
    if not isinstance(records, list):
        raise FeedError("no alarm records")
    try:
        return bool(content.get("reset")), [record_from(record, alarms) for record in records]
    except WireError as error:
        raise FeedError(str(error)) from None
