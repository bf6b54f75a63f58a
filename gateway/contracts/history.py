"""What was recorded, as a server reads it."""

from __future__ import annotations

from typing import Protocol

from gateway.points.change import Qualities, Times, Values


class HistorySamples(Protocol):
    """Columns of one length, in order of time: ns since 1970 UTC, engineering units, `Quality` flags."""

    @property
    def time_ns(self) -> Times: ...
    @property
    def value(self) -> Values: ...
    @property
    def quality(self) -> Qualities: ...


class HistoryReader(Protocol):
    """Recorded values of points by name. Reads from disk: not for the loop, and for one thread at a time."""

    def range(self, name: str, start_ns: int, end_ns: int) -> HistorySamples:
        """All samples from `start_ns` to before `end_ns`; none for a name that was never recorded.

        Raises `OSError` or `ValueError` when the store cannot be read.
        """
        ...
