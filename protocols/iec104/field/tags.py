"""Time tags of a controlled station, as it gave them: one that is no date is told, not fatal. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Times
from protocols.iec104 import time56
from protocols.iec104.errors import Iec104Error
from protocols.iec104.time56 import Zone

_NS_PER_MS: Final = 1_000_000
_MS_PER_HOUR: Final = 3_600_000
_AHEAD_MS: Final = 300_000
"""A short tag is of the last hour; clocks may differ by so much."""
_CACHE_LIMIT: Final = 4_096
_NO_DATE: Final = -1


@dataclass(frozen=True, slots=True)
class Stamps:
    """Source times in ns UTC; where a tag says that it is invalid; where it was no time at all."""

    times_ns: Times
    invalid: NDArray[np.bool_]
    senseless: NDArray[np.bool_]


class Tags:
    """Reads tags of one station, whose clock is in `zone`."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._minutes: dict[bytes, int] = {}

    def long(self, octets: NDArray[np.uint8], received_ns: int) -> Stamps:
        """CP56Time2a, shape (n, 7). What is no date takes the time of receipt and is invalid."""
        ms = octets[:, 0].astype(np.int64) | octets[:, 1].astype(np.int64) << 8
        minutes_ms = np.array([self._minute_ms(row.tobytes()) for row in octets[:, 2:]], np.int64)
        senseless = (ms > 59_999) | (minutes_ms == _NO_DATE)
        times = np.where(senseless, received_ns, (minutes_ms + ms) * _NS_PER_MS)
        return Stamps(times, ((octets[:, 2] & 0x80) != 0) | senseless, senseless)

    def short(self, octets: NDArray[np.uint8], received_ns: int) -> Stamps:
        """CP24Time2a, shape (n, 3): the hour is the last one in which this minute was."""
        ms = octets[:, 0].astype(np.int64) | octets[:, 1].astype(np.int64) << 8
        minute = (octets[:, 2] & 0x3F).astype(np.int64)
        received_ms = received_ns // _NS_PER_MS
        offset_ms = int(self._zone.offsets(np.array([received_ms], np.int64))[0][0])
        local_ms = received_ms + offset_ms
        latest = local_ms + _AHEAD_MS
        of_hour = minute * 60_000 + ms
        tagged = latest - (latest - of_hour) % _MS_PER_HOUR
        senseless = (ms > 59_999) | (minute > 59)
        times = np.where(senseless, received_ns, (tagged - offset_ms) * _NS_PER_MS)
        return Stamps(times, ((octets[:, 2] & 0x80) != 0) | senseless, senseless)

    def _minute_ms(self, octets: bytes) -> int:
        """ms UTC of the minute that five octets name; a minute has many events."""
        found = self._minutes.get(octets)
        if found is None:
            if len(self._minutes) >= _CACHE_LIMIT:
                self._minutes.clear()
            found = self._minutes[octets] = self._decode(octets)
        return found

    def _decode(self, octets: bytes) -> int:
        row = np.frombuffer(b"\0\0" + octets, np.uint8).reshape(1, 7)
        try:
            return int(time56.decode(row, self._zone)[0][0]) // _NS_PER_MS
        except Iec104Error:
            return _NO_DATE
