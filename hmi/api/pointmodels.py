"""What the calls about points take and answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.points.model import KIND_BY_WORD
from hmi.endpoint import Answer, Body
from hmi.pointsearch import Wish

_Name = Annotated[str, Field(min_length=1, max_length=512)]
_Reason = Annotated[str, Field(min_length=3, max_length=500)]
_Kind = Literal["", "analog", "binary", "double", "counter", "setpoint", "control"]
_Quality = Literal[
    "",
    "good",
    "not good",
    "unusable",
    "held",
    "invalid",
    "not topical",
    "comm lost",
    "never reported",
    "substituted",
    "blocked",
    "over range",
    "reference error",
    "chatter",
    "time invalid",
    "test",
    "local forced",
]
"""Keys of `hmi.pointbook.QUALITIES`."""


class Filter(Body):
    """Which points. `search`: words, each of which occurs in name, description, device, source or an address."""

    search: str = Field("", max_length=200)
    prefix: str = Field("", max_length=512)
    kind: _Kind = ""
    device: str = Field("", max_length=128)
    quality: _Quality = ""

    @property
    def wish(self) -> Wish:
        prefix = self.prefix
        return Wish(
            words=Wish.words_of(self.search)[:20],
            folder=prefix if not prefix or prefix.endswith("/") else f"{prefix}/",
            kind=KIND_BY_WORD[self.kind] if self.kind else None,
            device=self.device or None,
        )


class Page(Filter):
    offset: int = Field(0, ge=0, le=10_000_000)
    limit: int = Field(100, ge=1, le=500)


class PointLine(Answer):
    name: str
    description: str
    kind: str
    unit: str
    device: str
    source: str
    """Where in the device: register, signal, channel; or the expression of a calculated point."""
    masters: list[str]
    """Each master that gets it, with the address there."""


class PointPage(Answer):
    total: int
    offset: int
    points: list[PointLine]


class FolderLine(Answer):
    path: str
    points: int
    folders: bool


class Tree(Answer):
    folders: list[FolderLine]
    cut: bool
    """There are more than are told."""


class TreeQuery(Body):
    prefix: str = Field("", max_length=512)


class Named(Body):
    name: _Name


class AlarmOfPoint(Answer):
    name: str
    message: str
    priority: str
    limit: float | None
    state: str


class MasterOfPoint(Answer):
    server: str
    protocol: str
    master: str
    address: str
    online: str
    """Name of the point that says whether it is connected; empty: there is none."""


class Reported(Answer):
    """What a master was last told of a point, by itself or because it asked."""

    server: str
    master: str
    known: bool
    """False: nothing was told, or the server does not say."""
    value: float | None = None
    quality: str = ""


class HeldPoint(Answer):
    name: str
    value: float | None
    unit: str
    kind: str
    quality: str
    by: str
    """Empty: the record does not tell."""
    reason: str
    since_ms: float


class PointFacts(Answer):
    name: str
    description: str
    kind: str
    unit: str
    commanded: bool
    device: str
    driver: str
    source: str
    place: str
    """Where it stands in the engineer's files."""
    low: float | None
    high: float | None
    limits: dict[str, float]
    """Alarm limits: ll, l, h, hh, those that are given."""
    max_age_s: float | None
    feedback: str
    feedback_tolerance: float | None
    feedback_s: float | None
    alarms: list[AlarmOfPoint]
    masters: list[MasterOfPoint]
    calculated: list[str]
    """Calculated points that use it."""
    held: HeldPoint | None
    history: bool
    """Whether the site records."""


class Force(Named):
    value: float
    reason: _Reason


class Reasoned(Named):
    reason: _Reason


class Done(Answer):
    stage: str
    text: str


class TrendQuery(Named):
    minutes: float = Field(60, ge=1, le=1440)
    buckets: int = Field(240, ge=10, le=1000)


class SmallTrend(Answer):
    """Columns of one length; null where the value was not known."""

    start_ms: list[float]
    low: list[float | None]
    high: list[float | None]
    mean: list[float | None]
    known: list[float]
    """Part of the bucket in which the value could be used, 0 to 1."""
