"""What a reader of the feed is told."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from gateway.alarms.model import AlarmRecord
from gateway.points.change import Changes


@runtime_checkable
class LossListener(Protocol):
    """A reader that tells others what it missed."""

    def feed_lost(self, count: int) -> None:
        """So many changes, of all points together, never reached this process; what stands now follows."""
        ...


class FeedListener(Protocol):
    """What a reader is told."""

    def feed_confirmed(self, confirmed: dict[str, int]) -> None:
        """Once, at the first welcome: what each master had confirmed before this process started."""
        ...

    def feed_changes(self, batch: Changes, seq: int) -> None:
        """Changes, in order; `seq` is the number of the last."""
        ...

    def feed_ready(self) -> None:
        """Once: the mirror is right and the replay is through."""
        ...

    def feed_commanded(self, row: int, feedback: int, remote: bool) -> None:
        """A command was written to the field; see `OutputServer.commanded`."""
        ...


@runtime_checkable
class AlarmListener(Protocol):
    """What a reader is told that asked for alarms."""

    def feed_alarms(self, records: list[AlarmRecord]) -> None:
        """Alarm events in order, or, after an absence, the alarms that stand otherwise than before."""
        ...


@runtime_checkable
class RecordListener(Protocol):
    """What a reader is told that wants to know of commands."""

    def feed_record(self, record: dict[str, Any]) -> None:
        """A step of a command, or of what control does by itself, as `gateway.commanding.record` has it."""
        ...
