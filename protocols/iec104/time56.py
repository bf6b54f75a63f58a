"""Time tags: CP56Time2a and CP24Time2a, whole arrays at once.

    octet 0-1   milliseconds of the minute, little endian, 0 to 59999
    octet 2     IV | . | minute (6)
    octet 3     SU | . | . | hour (5)                     (CP24Time2a ends before this octet)
    octet 4     day of week (3: 1 Monday to 7 Sunday, 0 not used) | day of month (5)
    octet 5     month (4)
    octet 6     year (7), 0 to 99

IEC 60870-5-101 7.2.6.18 and 7.2.6.20. Two-digit years from 70 on are read as 1970 to 1999.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gateway.points import Times
from protocols.iec104.errors import Iec104Error

Octets = NDArray[np.uint8]

_NS_PER_MS: Final = 1_000_000
_MS_PER_DAY: Final = 86_400_000
_MS_PER_QUARTER: Final = 900_000
"""Every change of a zone's offset in use since 1970 falls on a quarter of an hour."""
_EARLIEST_MS: Final = _MS_PER_DAY
_LATEST_MS: Final = 3_155_760_000_000 - _MS_PER_DAY * 2
"""Within 1970 to 2069 in every zone: what two digits of the year can say."""
_CACHE_LIMIT: Final = 4_096


class Zone:
    """UTC to the local time of one zone and back, for arrays. `day_of_week`: whether tags say it, else 0.

    Raises `zoneinfo.ZoneInfoNotFoundError` or `ValueError` for a name that is no zone.
    """

    def __init__(self, name: str = "UTC", *, day_of_week: bool = True) -> None:
        self.name = name
        self.day_of_week = day_of_week
        self._info = ZoneInfo(name)
        self._by_utc: dict[int, tuple[int, bool]] = {}

    def __reduce__(self) -> tuple[Callable[[str, bool], Zone], tuple[str, bool]]:
        return (_zone, (self.name, self.day_of_week))

    def offsets(self, utc_ms: Times) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Offset to UTC in ms and whether summer time is in force, one each per instant."""
        quarters = utc_ms // _MS_PER_QUARTER
        if len(quarters) and quarters.min() == quarters.max():
            offset, summer = self._at_quarter(int(quarters[0]))
            return np.full(len(utc_ms), offset, np.int64), np.full(len(utc_ms), summer, np.bool_)
        distinct, inverse = np.unique(quarters, return_inverse=True)
        pairs = [self._at_quarter(int(quarter)) for quarter in distinct]
        offsets = np.array([pair[0] for pair in pairs], np.int64)
        summers = np.array([pair[1] for pair in pairs], np.bool_)
        return offsets[inverse], summers[inverse]

    def utc_ms(self, local: datetime.datetime, summer: bool) -> int:
        """ms since 1970 UTC of a local wall-clock time; `summer` decides in the hour that happens twice."""
        aware = local.replace(tzinfo=self._info, fold=0 if summer else 1)
        return round(aware.timestamp() * 1000)

    def _at_quarter(self, quarter: int) -> tuple[int, bool]:
        found = self._by_utc.get(quarter)
        if found is None:
            if len(self._by_utc) >= _CACHE_LIMIT:
                self._by_utc.clear()
            found = self._by_utc[quarter] = self._compute(quarter)
        return found

    def _compute(self, quarter: int) -> tuple[int, bool]:
        seconds = quarter * _MS_PER_QUARTER // 1000
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).astimezone(self._info)
        offset = self._offset_s(moment)
        # Not dst(): the zone data count Irish winter time as the exception, the grid counts summer time.
        standard = min(self._offset_s(moment.replace(month=month, day=1)) for month in (1, 7))
        return offset * 1000, offset > standard

    @staticmethod
    def _offset_s(moment: datetime.datetime) -> int:
        return round((moment.utcoffset() or datetime.timedelta()).total_seconds())


def _zone(name: str, day_of_week: bool) -> Zone:
    return Zone(name, day_of_week=day_of_week)


def encode(times_ns: Times, invalid: NDArray[np.bool_], zone: Zone) -> Octets:
    """CP56Time2a of ns since 1970 UTC, cut to the ms: shape (n, 7).

    IV is set where `invalid` says so and where two digits cannot say the year (nothing before 1970 or after 2069).
    """
    utc_ms = times_ns // _NS_PER_MS
    inside = (utc_ms >= _EARLIEST_MS) & (utc_ms <= _LATEST_MS)
    utc_ms = np.clip(utc_ms, _EARLIEST_MS, _LATEST_MS)
    offset, summer = zone.offsets(utc_ms)
    days, ms_of_day = np.divmod(utc_ms + offset, _MS_PER_DAY)
    minutes, ms = np.divmod(ms_of_day, 60_000)
    hour, minute = np.divmod(minutes, 60)
    dates = days.view("datetime64[D]")
    months = dates.astype("datetime64[M]")
    day = (dates - months).view(np.int64) + 1
    year, month = np.divmod(months.view(np.int64), 12)
    out = np.empty((len(times_ns), 7), np.uint8)
    out[:, 0] = ms & 0xFF
    out[:, 1] = ms >> 8
    out[:, 2] = minute | ((invalid | ~inside) * 0x80)
    out[:, 3] = hour | (summer * 0x80)
    out[:, 4] = day | (((days + 3) % 7 + 1) << 5 if zone.day_of_week else 0)
    out[:, 5] = month + 1
    out[:, 6] = (year + 70) % 100
    return out


def encode_cp24(times_ns: Times, invalid: NDArray[np.bool_], zone: Zone) -> Octets:
    """CP24Time2a: shape (n, 3). The hour is lost, as the format has it."""
    return encode(times_ns, invalid, zone)[:, :3]


def decode(octets: Octets, zone: Zone) -> tuple[Times, NDArray[np.bool_]]:
    """ns since 1970 UTC and the IV bits of CP56Time2a tags of shape (n, 7).

    Raises `Iec104Error` when a field is outside its range or the date does not exist.
    """
    _check_ranges(octets)
    times = [_decode_one([int(octet) for octet in row], zone) for row in octets]
    return np.array(times, np.int64).reshape(len(octets)), (octets[:, 2] & 0x80) != 0


def _check_ranges(octets: Octets) -> None:
    if octets.ndim != 2 or octets.shape[1] != 7:
        raise Iec104Error(f"a CP56Time2a has 7 octets, not {octets.shape[-1] if octets.ndim else 0}")
    fields = (
        ("milliseconds", octets[:, 0].astype(np.int64) | octets[:, 1].astype(np.int64) << 8, 59_999),
        ("minute", octets[:, 2] & 0x3F, 59),
        ("hour", octets[:, 3] & 0x1F, 23),
        ("year", octets[:, 6] & 0x7F, 99),
    )
    for name, column, highest in fields:
        if np.any(column > highest):
            raise Iec104Error(f"time tag with {name} {int(column.max())}: 0 to {highest} expected")


def _decode_one(octets: list[int], zone: Zone) -> int:
    ms = octets[0] | octets[1] << 8
    year = octets[6] & 0x7F
    try:
        local = datetime.datetime(  # noqa: DTZ001 - the wall clock of the configured zone, resolved just below
            year + (1900 if year >= 70 else 2000),
            octets[5] & 0x0F,
            octets[4] & 0x1F,
            octets[3] & 0x1F,
            octets[2] & 0x3F,
            ms // 1000,
            ms % 1000 * 1000,
        )
        return zone.utc_ms(local, bool(octets[3] & 0x80)) * _NS_PER_MS
    except (ValueError, OverflowError) as error:
        raise Iec104Error(f"time tag that is no date: {bytes(octets).hex()}") from error
