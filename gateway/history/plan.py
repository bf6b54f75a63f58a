"""What the historian's process needs, compiled: picklable, without pydantic."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points.model import PointCatalogue

SERVER: Final = "_historian"
"""Name under which the historian reads the feed and publishes its system points; no server of a site is called so."""
MASTER: Final = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept. `spool_bytes`: beyond it readers that lag are told that they lost."""

    days: int = 30
    size_bytes: int = 20 << 30
    spool_bytes: int = 10 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingPlan:
    """By table row. `limit`: deadband in engineering units, 0: every change. `interval_ns`: 0: at once."""

    recorded: NDArray[np.bool_]
    limit: NDArray[np.float64]
    interval_ns: NDArray[np.int64]
    swinging: NDArray[np.bool_]
    """The limit is the width of a swinging door."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxPlan:
    """Where and how samples are forwarded. Secrets stay out of its repr."""

    url: str
    version: int
    """2: `/api/v2/write` (also version 3), 1: `/write`."""
    org: str = ""
    bucket: str = ""
    """Of version 1: the database."""
    retention_policy: str = ""
    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    """PEM file of the authority that signed the server's certificate; None: the system's."""
    measurement: str = "gridgate"
    tags: tuple[str, ...] = ("site", "device", "point", "unit")
    batch_samples: int = 5_000
    gzip: bool = True
    timeout_s: float = 10.0
    backfill_per_s: int = 50_000
    """Samples per second while catching up; live data are younger than `live_s` and not held back."""
    live_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySystemRows:
    """Table rows of the historian's own points; `influx_*` are -1 without a forwarder."""

    recording: int
    samples: int
    lost: int
    stored_mb: int
    influx_online: int = -1
    influx_waiting: int = -1
    influx_age_s: int = -1
    influx_rate: int = -1
    influx_rejected: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPlan:
    """The historian of one site."""

    folder: Path
    """Below the state directory unless absolute."""
    recording: RecordingPlan
    retention: Retention
    commit_s: float
    memory_samples: int
    """Held in memory while nothing can be written; beyond it the oldest are lost and counted."""
    influx: InfluxPlan | None
    archive_days: int = 180
    rows: HistorySystemRows


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorianPlan:
    """What the historian's process is given."""

    site: str
    state_dir: Path
    log_level: str
    catalogue: PointCatalogue
    history: HistoryPlan
