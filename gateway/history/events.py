"""The sequence of events: every change of a binary or double point, in the order in which it happened."""

from __future__ import annotations

import json
from typing import Final

import numpy as np

from gateway.history.archive import Line
from gateway.points.change import Changes
from gateway.points.model import Kind, PointCatalogue
from gateway.points.quality import Quality

SOE: Final = "feed"
"""The archive's source of events."""
MOST: Final = 200_000
"""Held while the archive cannot be written: about 60 MB."""
_NEVER: Final = np.uint32(Quality.NEVER_REPORTED)


class Events:
    """Gathers lines until they are archived: of more than `most` the oldest are lost, and counted.

    Points of the gateway itself (`system/...`) are no plant's events.
    """

    def __init__(self, catalogue: PointCatalogue, most: int = MOST) -> None:
        self._names = catalogue.names
        self._told = np.isin(catalogue.kinds, (Kind.BINARY, Kind.DOUBLE))
        self._told &= np.array([not name.startswith("system/") for name in catalogue.names], np.bool_)
        self._lines: list[Line] = []
        self._most = most
        self.lost = 0

    def take(self, batch: Changes) -> None:
        """Keep the events of these changes."""
        batch = batch[self._told[batch["row"]] & ((batch["quality"] & _NEVER) == 0)]
        self._lines += [self._line(*change.tolist()) for change in batch]
        self._trim()

    def _line(self, row: int, quality: int, value: float, time_ns: int) -> Line:
        content = {"time_ns": time_ns, "point": self._names[row], "value": value, "quality": Quality(quality).words}
        return time_ns, json.dumps(content, separators=(",", ":"))

    def drain(self) -> list[Line]:
        """What waits; it is the caller's from now on."""
        lines, self._lines = self._lines, []
        return lines

    def put_back(self, lines: list[Line]) -> None:
        """They could not be archived yet."""
        self._lines = lines + self._lines
        self._trim()

    def _trim(self) -> None:
        if (over := len(self._lines) - self._most) > 0:
            del self._lines[:over]
            self.lost += over
