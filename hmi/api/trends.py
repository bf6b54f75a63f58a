"""Any points over any time: buckets for the chart, samples for a file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from starlette.responses import Response

from gateway.history.compression import BlockError
from gateway.history.reader import HistoryReader
from gateway.history.rows import BUCKET_HEAD, SAMPLE_HEAD, bucket_rows, iso, sample_rows
from gateway.history.sqlitefile import DamagedHistory
from hmi.csvfile import csv_file, csv_text
from hmi.desk import Desk
from hmi.endpoint import Answer, Body, Endpoint, Topic, Visit
from hmi.refusal import Refusal
from hmi.trending import long_buckets, numbers, unrecorded

_POINTS: Final = 20
_LONGEST_MS: Final = 400 * 86_400_000
_SAMPLES: Final = 20_000_000
"""Read for one call."""
_FILE_ROWS: Final = 100_000
_FILE_BUCKETS: Final = 2_000
_LATEST_MS: Final = 4e12
_NO_HISTORY: Final = (
    "this site records no history (section history: of site.yaml): only what comes from now on is shown"
)
Parts = NDArray[np.float64]
_TROUBLES: Final = {404: "a point is not known", 409: "nothing is recorded", 503: "the history cannot be read"}


class Span(Body):
    """What is asked: names with a comma between them, from and to in ms since 1970 UTC."""

    points: str = Field(min_length=1, max_length=5_000)
    start_ms: float = Field(ge=0, le=_LATEST_MS)
    end_ms: float = Field(ge=0, le=_LATEST_MS)


class TrendQuery(Span):
    count: int = Field(default=600, ge=10, le=2_000)


class Search(Body):
    text: str = Field(default="", max_length=200)
    limit: int = Field(default=30, ge=1, le=200)


class FoundPoint(Answer):
    name: str
    kind: str
    unit: str
    description: str


class TrendSeries(Answer):
    """Lists of one length, a place for each bucket; null where the value was not known at any moment of it.

    A value stands until the next one; `mean` is over time. Empty `known` (part of the bucket in which the value could
    be used): 1 everywhere; empty `quality` (every flag that stood in the bucket): 0 everywhere.
    """

    point: str
    unit: str
    kind: str
    description: str
    mean: list[float | None] = Field(default_factory=list)
    low: list[float | None] = Field(default_factory=list)
    high: list[float | None] = Field(default_factory=list)
    known: list[float] = Field(default_factory=list)
    quality: list[int] = Field(default_factory=list)
    note: str = ""
    """Why nothing is shown of this point; empty: something is."""


class Trend(Answer):
    start_ms: float
    step_ms: float
    count: int
    history: bool
    note: str = ""
    series: list[TrendSeries]


async def _search(visit: Visit) -> list[FoundPoint]:
    catalogue, words = visit.desk.catalogue, visit.query.text.lower().split()
    found = []
    for row, name in enumerate(catalogue.names):
        text = f"{name} {catalogue.descriptions[row]}".lower()
        if all(word in text for word in words):
            found.append(FoundPoint(**_facts(visit.desk, name) | {"name": name}))
            if len(found) >= visit.query.limit:
                break
    return found


def _facts(desk: Desk, name: str) -> dict[str, str]:
    row = desk.catalogue.rows.get(name)
    if row is None:
        return {"unit": "", "kind": "analog", "description": "no longer a point of this site"}
    return {
        "unit": desk.catalogue.units[row],
        "kind": desk.catalogue.kind(row).word,
        "description": desk.catalogue.descriptions[row],
    }


def _names(span: Span) -> list[str]:
    names = list(dict.fromkeys(filter(None, span.points.split(","))))
    if not 0 < len(names) <= _POINTS:
        raise Refusal(422, f"from 1 to {_POINTS} points are expected")
    if not 1 <= span.end_ms - span.start_ms <= _LONGEST_MS:
        raise Refusal(422, "end_ms must come after start_ms, 400 days at most")
    return names


async def _trend(visit: Visit) -> Trend:
    query: TrendQuery = visit.query
    desk, names = visit.desk, _names(query)
    start_ns, end_ns = int(query.start_ms * 1e6), int(query.end_ms * 1e6)
    head = {"start_ms": start_ns / 1e6, "step_ms": (end_ns - start_ns) / 1e6 / query.count, "count": query.count}
    if desk.history_folder is None:
        for name in names:
            desk.row(name)
        series = [TrendSeries(point=name, **_facts(desk, name)) for name in names]
        return Trend(**head, history=False, note=_NO_HISTORY, series=series)
    await desk.on_disk(_known, desk, names)
    dark = await desk.on_disk(_dark, desk, start_ns, end_ns, query.count)
    left, series = _SAMPLES, list[TrendSeries]()
    for name in names:  # one by one: others who wait for the disk get their turn between
        found, left = await desk.on_disk(_series, desk, name, start_ns, end_ns, dark, left)
        series.append(found)
    return Trend(**head, history=True, series=series)


def _opened(desk: Desk) -> HistoryReader:
    try:
        return desk.history()
    except (DamagedHistory, OSError) as error:
        raise Refusal(503, f"the history cannot be read: {error}") from None


def _known(desk: Desk, names: list[str]) -> None:
    recorded = None
    for name in names:
        if name not in desk.catalogue.rows:
            recorded = set(_opened(desk).names()) if recorded is None else recorded
            if name not in recorded:
                raise Refusal(404, f"there is no point {name}, nor was one ever recorded")


def _dark(desk: Desk, start_ns: int, end_ns: int, count: int) -> Parts:
    try:
        return unrecorded(_opened(desk), start_ns, end_ns, time.time_ns(), count)
    except (DamagedHistory, BlockError, OSError):
        return np.zeros(count)  # each point tells for itself that it cannot be read


def _series(desk: Desk, name: str, start_ns: int, end_ns: int, dark: Parts, left: int) -> tuple[TrendSeries, int]:
    """On the disk's thread: one point's series, and how many samples the call may still read."""
    reader, facts = _opened(desk), _facts(desk, name)
    try:
        samples = reader.count(name, start_ns, end_ns)
        if samples > left:
            note = f"about {samples:,} samples lie in this range, too many for one call: choose a shorter one"
            return TrendSeries(point=name, **facts, note=note), left
        found = long_buckets(reader, name, start_ns, end_ns, len(dark))
    except (DamagedHistory, BlockError, OSError) as error:
        return TrendSeries(point=name, **facts, note=f"the history cannot be read: {error}"), left
    past = found.start_ns < time.time_ns()  # what holds now need not hold in future
    known, quality = np.where(past, np.minimum(found.known, 1.0 - dark), 0.0), np.where(past, found.quality, 0)
    past &= (known > 0) | (dark == 0)
    low, mean, high = (numbers(np.where(past, values, np.nan)) for values in (found.low, found.mean, found.high))
    series = TrendSeries(
        point=name,
        **facts,
        mean=mean,
        low=low,
        high=high,
        known=[] if (known >= 1.0).all() else known.round(4).tolist(),
        quality=quality.tolist() if quality.any() else [],
    )
    return series, left - samples


async def _export(visit: Visit) -> Response:
    span: Span = visit.query
    names = _names(span)
    text, raw = await visit.desk.on_disk(_file, visit.desk, names, int(span.start_ms * 1e6), int(span.end_ms * 1e6))
    return csv_file("trend-samples" if raw else f"trend-{_FILE_BUCKETS}-buckets", text)


def _file(desk: Desk, names: list[str], start_ns: int, end_ns: int) -> tuple[str, bool]:
    """The text, and whether it has every sample."""
    _known(desk, names)
    reader = _opened(desk)
    try:
        counted = sum(reader.count(name, start_ns, end_ns) for name in names)
        if counted <= _FILE_ROWS * 2:  # whole blocks were counted
            ranges = {name: reader.range(name, start_ns, end_ns) for name in names}
            if sum(map(len, ranges.values())) <= _FILE_ROWS:
                rows = (row for name in names for row in sample_rows(ranges[name], name, _facts(desk, name)["unit"]))
                return csv_text(SAMPLE_HEAD, _dated(rows)), True
        if counted > _SAMPLES:
            raise Refusal(422, f"about {counted:,} samples lie in this range: choose a shorter one, or gridgate export")
        buckets = (
            row
            for name in names
            for row in bucket_rows(
                long_buckets(reader, name, start_ns, end_ns, _FILE_BUCKETS), name, _facts(desk, name)["unit"]
            )
        )
        return csv_text(BUCKET_HEAD, _dated(buckets)), False
    except (DamagedHistory, BlockError, OSError) as error:
        raise Refusal(503, f"the history cannot be read: {error}") from None


def _dated(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    return ((iso(time_ns), *rest) for time_ns, *rest in rows)


TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/trends",
            handler=_trend,
            query=TrendQuery,
            answer=Trend,
            tag="trends",
            summary="Lowest, highest and mean value of points in equal pieces of time.",
            responses=_TROUBLES,
        ),
        Endpoint(
            method="GET",
            path="/api/trends/points",
            handler=_search,
            query=Search,
            answer=list[FoundPoint],
            tag="trends",
            summary="Points whose name or description has all of these words.",
        ),
        Endpoint(
            method="GET",
            path="/api/trends/file",
            handler=_export,
            query=Span,
            media="text/csv",
            tag="trends",
            summary="Every sample as CSV; above 100,000 of them 2,000 buckets a point, which the file's name says.",
            responses=_TROUBLES,
        ),
    ]
)
