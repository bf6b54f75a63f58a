"""The `history:` section of site.yaml and its optional map of points. Imported only while a site is checked."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import Field, field_validator

from gateway.contracts.places import Report
from gateway.contracts.settings import Cell, Strict
from gateway.history.archive import LEAST_DAYS
from gateway.history.influx.lines import TAGS
from gateway.history.plan import HistoryPlan, HistorySystemRows, InfluxPlan, RecordingPlan, Retention
from gateway.points.model import Kind, PointCatalogue
from gateway.site.maps import CheckedMap, MapReader
from gateway.site.section import Section

_GB: Final = 1 << 30
Tag = Literal["site", "device", "point", "unit", "kind"]
_LAYOUT_WORDS: Final = re.compile(r"\{([^{}]*)\}")


def _default_tags() -> list[Tag]:
    return ["site", "device", "point", "unit"]


class StoreSettings(Strict):
    """`store:`, the embedded store."""

    folder: Annotated[str, Field(min_length=1)] = "history"
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = 30
    size_gb: Annotated[float, Field(gt=0)] = 20
    spool_gb: Annotated[float, Field(gt=0)] = 10
    commit_ms: Annotated[int, Field(ge=20, le=60_000)] = 500
    archive_days: Annotated[int, Field(ge=LEAST_DAYS, le=36_500)] = 400
    memory_samples: Annotated[int, Field(ge=1_000, le=100_000_000)] = 2_000_000


class InfluxSettings(Strict):
    """`influxdb:`, the forwarder."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")]
    version: Literal[1, 2, 3] = 2
    org: str = ""
    bucket: str = ""
    database: str = ""
    retention_policy: str = ""
    token: str = ""
    username: str = ""
    password: str = ""
    ca: str | None = None
    measurement: Annotated[str, Field(min_length=1)] = "gridgate"
    tags: list[Tag] = Field(default_factory=_default_tags)
    batch_samples: Annotated[int, Field(ge=1, le=100_000)] = 5_000
    gzip: bool = True
    timeout_s: Annotated[float, Field(ge=0.1, le=300)] = 10
    backfill_per_s: Annotated[int, Field(ge=1)] = 50_000
    live_s: Annotated[float, Field(gt=0)] = 10

    @field_validator("measurement")
    @classmethod
    def _known_words(cls, value: str) -> str:
        unknown = [word for word in _LAYOUT_WORDS.findall(value) if word not in TAGS]
        if unknown or "{" in _LAYOUT_WORDS.sub("", value) or "}" in _LAYOUT_WORDS.sub("", value):
            raise ValueError(f"expected text in which {', '.join(f'{{{word}}}' for word in TAGS)} may stand")
        return value


class HistorySettings(Strict):
    """`history:`."""

    store: StoreSettings = StoreSettings()
    points: str | None = None
    influxdb: InfluxSettings | None = None


class HistoryRow(Strict):
    """Columns of the map of recorded points. `point` may hold `*` and `?`; a later row goes before an earlier one."""

    point: Annotated[str, Field(min_length=1, max_length=200)]
    record: bool = True
    deadband: Annotated[Annotated[float, Field(ge=0)] | None, Cell] = None
    deadband_percent: Annotated[Annotated[float, Field(ge=0, le=100)] | None, Cell] = None
    interval_s: Annotated[Annotated[float, Field(gt=0, le=86_400)] | None, Cell] = None
    swinging_door: bool = False


class CheckedHistory:
    """A sound `history:` section, to be compiled once all points are known."""

    def __init__(self, settings: HistorySettings, section: Section) -> None:
        self.settings, self.section = settings, section

    @property
    def system_points(self) -> dict[str, tuple[Kind, str]]:
        """Names below `system/history/`, what they are and say."""
        return _OWN_POINTS | (_INFLUX_POINTS if self.settings.influxdb is not None else {})

    def compile(
        self, rows: dict[str, int], catalogue: PointCatalogue, maps: MapReader, folder: Path, report: Report
    ) -> HistoryPlan:
        """`rows`: table rows of the system points. Problems go to the report."""
        settings, store = self.settings, self.settings.store
        found = None
        if settings.points is not None:
            found = maps.master_map(folder / settings.points, HistoryRow, self.section.key_place("points"))
        return HistoryPlan(
            folder=Path(store.folder),
            recording=_recording(found, catalogue, report),
            retention=Retention(
                days=store.retention_days,
                size_bytes=int(store.size_gb * _GB),
                spool_bytes=int(store.spool_gb * _GB),
            ),
            commit_s=store.commit_ms / 1000,
            memory_samples=store.memory_samples,
            archive_days=store.archive_days,
            influx=None if settings.influxdb is None else self._influx(settings.influxdb, folder, report),
            rows=HistorySystemRows(**rows),
        )

    def _influx(self, influx: InfluxSettings, folder: Path, report: Report) -> InfluxPlan:
        section = self.section.inner("influxdb")
        old = influx.version == 1
        _check_fit(influx, section, report)
        ca = None if influx.ca is None else folder / influx.ca
        if ca is not None and not ca.is_file():
            report.error(section.key_place("ca"), f"there is no file {ca}")
        if influx.token and influx.url.startswith("http://") and not _loopback(influx.url):
            report.warning(section.key_place("url"), "the token goes over the network unprotected: use https")
        return InfluxPlan(
            url=influx.url,
            version=1 if old else 2,
            org=influx.org,
            bucket=influx.database if old else influx.bucket,
            retention_policy=influx.retention_policy,
            token=influx.token,
            username=influx.username,
            password=influx.password,
            ca=ca,
            measurement=influx.measurement,
            tags=tuple(influx.tags),
            batch_samples=influx.batch_samples,
            gzip=influx.gzip,
            timeout_s=influx.timeout_s,
            backfill_per_s=influx.backfill_per_s,
            live_s=influx.live_s,
        )


_OWN_POINTS: Final = {
    "recording": (Kind.BINARY, "History is recorded"),
    "samples": (Kind.COUNTER, "Samples recorded since start"),
    "lost": (Kind.COUNTER, "Samples lost because they could not be written"),
    "stored_mb": (Kind.ANALOG, "Size of the history on disk, MB"),
}
_INFLUX_POINTS: Final = {
    "influx_online": (Kind.BINARY, "InfluxDB takes the samples"),
    "influx_waiting": (Kind.ANALOG, "Samples that InfluxDB has not taken yet"),
    "influx_age_s": (Kind.ANALOG, "Age of the oldest of them, s"),
    "influx_rate": (Kind.ANALOG, "Samples forwarded per second"),
    "influx_rejected": (Kind.COUNTER, "Samples that InfluxDB refused, set aside"),
}


def check_history(top: Section, report: Report) -> CheckedHistory | None:
    """The section if it is there and sound."""
    if not isinstance(top.value.get("history"), dict):
        return None
    section = top.inner("history")
    settings = section.validate(HistorySettings, report)
    return None if settings is None else CheckedHistory(settings, section)


def _check_fit(influx: InfluxSettings, section: Section, report: Report) -> None:
    needed, other = ("database", "bucket") if influx.version == 1 else ("bucket", "database")
    if not getattr(influx, needed):
        report.error(section.key_place(needed), f"version {influx.version} needs a {needed}")
    if getattr(influx, other):
        report.error(section.key_place(other), f"version {influx.version} has no {other}: expected {needed}")
    if influx.username and influx.token:
        report.error(section.key_place("username"), "either a token or a user, not both")
    if influx.version != 1 and influx.username:
        report.error(section.key_place("username"), f"version {influx.version} takes a token")


def _loopback(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition(":")[0] or url.partition("://")[2].partition("/")[0]
    return host.startswith(("127.", "[::1]", "localhost"))


def _recording(found: CheckedMap | None, catalogue: PointCatalogue, report: Report) -> RecordingPlan:
    size = len(catalogue)
    recorded, swinging = np.ones(size, np.bool_), np.zeros(size, np.bool_)
    limit, interval_ns = np.zeros(size), np.zeros(size, np.int64)
    span = catalogue.high - catalogue.low
    for row, place in zip(found.models, found.places, strict=True) if found else ():
        which = _matching(row.point, catalogue)
        if not len(which):
            report.error(place.at("point"), f"no point is called {row.point}")
            continue
        if row.deadband is not None and row.deadband_percent is not None:
            report.error(place.at("deadband"), "either deadband or deadband_percent")
        if row.deadband_percent is not None and np.isnan(span[which]).any():
            name = catalogue.names[int(which[np.isnan(span[which])][0])]
            report.error(place.at("deadband_percent"), f"{name} has no range (low, high) to take a part of")
        if row.swinging_door and not (row.deadband or row.deadband_percent):
            report.error(place.at("swinging_door"), "a swinging door needs a deadband as its width")
        recorded[which], swinging[which] = row.record, row.swinging_door
        percent = 0.0 if row.deadband_percent is None else row.deadband_percent
        limit[which] = np.nan_to_num(span[which] * percent / 100) if row.deadband is None else row.deadband
        interval_ns[which] = 0 if row.interval_s is None else round(row.interval_s * 1e9)
    return RecordingPlan(recorded=recorded, limit=limit, interval_ns=interval_ns, swinging=swinging)


def _matching(pattern: str, catalogue: PointCatalogue) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Rows whose name fits. Brackets are part of names, so they are no wildcards here."""
    if not set(pattern) & set("*?"):
        row = catalogue.rows.get(pattern)
        return np.array([] if row is None else [row], np.intp)
    fits = re.compile(fnmatch.translate(pattern.replace("[", "[[]"))).match
    return np.array([row for row, name in enumerate(catalogue.names) if fits(name)], np.intp)
