"""The last changes that the core still holds, as the frames in which they were sent."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice

from gateway.feed.frames import EPOCH_SHIFT, FrameKind, frame
from gateway.points.change import Changes


class ChangeRing:
    """Numbers changes and keeps at most about `capacity` of them, oldest dropped first."""

    def __init__(self, epoch: int, capacity: int) -> None:
        self.seq = epoch << EPOCH_SHIFT
        """Number of the newest change."""
        self._start = self.seq
        self._capacity = capacity
        self._held = 0
        self._frames: deque[tuple[int, int, bytes]] = deque()

    @property
    def start(self) -> int:
        """Changes numbered above this are still held."""
        return self._start

    @property
    def whole(self) -> bool:
        """Whether every change of this epoch is still held."""
        return self._start == self._start >> EPOCH_SHIFT << EPOCH_SHIFT

    def of_this_epoch(self, seq: int) -> bool:
        """Whether this core gave the number."""
        return seq >> EPOCH_SHIFT == self.seq >> EPOCH_SHIFT

    def append(self, batch: Changes, time_ns: int) -> bytes:
        """Number the batch, published at `time_ns`; returns it as a ready `CHANGES` frame."""
        count = len(batch)
        self.seq += count
        data = frame(FrameKind.CHANGES, batch.tobytes(), self.seq, time_ns)
        self._frames.append((self.seq, count, data))
        self._held += count
        while self._held > self._capacity and len(self._frames) > 1:
            last, dropped, _ = self._frames.popleft()
            self._held -= dropped
            self._start = last
        return data

    def holds(self, seq: int) -> bool:
        """Whether every change after `seq` is still here (and `seq` is of this epoch)."""
        return self._start <= seq <= self.seq

    def lost_since(self, seq: int) -> int:
        """How many changes after `seq` are gone; 0 for another epoch's number, where counting means nothing."""
        return max(0, self._start - seq) if self.of_this_epoch(seq) else 0

    def unseen(self, seq: int) -> int:
        """What a reader that has seen `seq` misses by going on with the state as it is: 0 while nothing is gone."""
        return self.seq - seq if self.lost_since(seq) else 0

    def after(self, seq: int) -> Iterator[tuple[int, bytes]]:
        """Frames whose last change is numbered above `seq`, in order, as (last number, bytes).

        Do not append while iterating.
        """
        if not self._frames or seq >= self.seq:
            return iter(())
        first = bisect_right(_LastSeqs(self._frames), seq) if seq > self._start else 0
        return ((last, data) for last, _, data in islice(self._frames, first, None))


class _LastSeqs:
    """The ring's last numbers as a sequence for bisect."""

    def __init__(self, frames: deque[tuple[int, int, bytes]]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> int:
        return self._frames[index][0]
