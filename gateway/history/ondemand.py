"""The store as a server process reads it: opened when somebody asks, since most servers are never asked."""

from __future__ import annotations

from pathlib import Path

from gateway.history.compression import BlockError
from gateway.history.reader import HistoryReader
from gateway.history.samples import Samples
from gateway.history.sqlitefile import DamagedHistory


class HistoryOnDemand:
    """A `gateway.contracts.history.HistoryReader` over a folder that the historian may not have made yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader: HistoryReader | None = None

    def range(self, name: str, start_ns: int, end_ns: int) -> Samples:
        """See the contract."""
        try:
            if self._reader is None:
                self._reader = HistoryReader(self._folder)
            return self._reader.range(name, start_ns, end_ns)
        except FileNotFoundError:
            return Samples.none()
        except (DamagedHistory, BlockError) as error:
            raise OSError(str(error)) from None
