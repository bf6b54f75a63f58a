"""A test sheet: what is to be tried, what was tried, what came of it. Pure; JSON in and out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_FRAMES: Final = 20
"""Frames kept of one drive."""

Text = Annotated[str, Field(max_length=400)]


class Verdict(StrEnum):
    """What people found of a point."""

    OPEN = "open"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)


class Sent(_Part):
    """One frame that a connection of the master carried after the drive. `octets` hexadecimal, `text` in words."""

    time_ms: float
    peer: str
    out: bool
    text: str
    octets: str


class Drive(_Part):
    """One try: the value put in (or awaited as a command), by whom, when, and what went over the wire."""

    time_ms: float
    by: str
    value: float | None = None
    test: bool = False
    outcome: str
    """In words: what the broker said, or what command came."""
    frames: list[Sent] = Field(default_factory=list)


class Item(_Part):
    """One point of the list. `address` in the words of the protocol."""

    point: str
    description: str = ""
    unit: str = ""
    kind: str
    address: str
    used_by: list[str] = Field(default_factory=list)
    """What in the gateway acts on it by itself: a value put in there is acted upon."""
    verdict: Verdict = Verdict.OPEN
    comment: Text = ""
    seen: Text = ""
    """What the master's operator says that it shows."""
    by: str = ""
    time_ms: float = 0.0
    """Of the verdict."""
    drives: list[Drive] = Field(default_factory=list)

    @property
    def commanded(self) -> bool:
        """Whether the master is to command it, rather than to be told of it."""
        return self.kind in ("setpoint", "control")


class Report(_Part):
    """A test of the whole, such as the SOE buffer test."""

    name: str
    time_ms: float
    by: str
    passed: bool
    text: str


class Sheet(_Part):
    """One acceptance test of one master."""

    id: str
    title: Text
    kind: Literal["FAT", "SAT"]
    site: str
    server: str
    protocol: str
    master: str
    listen: str
    version: str
    """Of the gateway when it began."""
    began_ms: float
    began_by: str
    tester: Text = ""
    witness: Text = ""
    operator: Text = ""
    """Who sits at the master."""
    remark: Text = ""
    items: list[Item]
    reports: list[Report] = Field(default_factory=list)
    closed_ms: float = 0.0
    closed_by: str = ""

    def counts(self) -> dict[str, int]:
        """Points by verdict."""
        return {verdict.value: sum(item.verdict is verdict for item in self.items) for verdict in Verdict}


def tick(item: Item, verdict: Verdict, comment: str, seen: str, by: str, time_ms: float) -> None:
    """A person's verdict on a point; `OPEN` takes it back. Raises `ValueError` for a failure without a comment."""
    if verdict in (Verdict.FAILED, Verdict.SKIPPED) and not comment.strip():
        raise ValueError(f"a point that is {verdict.value} needs a comment: why")
    item.verdict, item.comment, item.seen, item.by, item.time_ms = verdict, comment, seen, by, time_ms


def values_to_drive(kind: str, value: float, low: float, high: float) -> list[float]:
    """Values worth driving: the other state of a binary, both of a double; bounds and middle of a range."""
    if kind == "binary":
        return [1.0 - float(bool(value)), float(bool(value))]
    if kind == "double":
        return [2.0, 1.0] if value == 1.0 else [1.0, 2.0]
    if low < high and low != float("-inf") and high != float("inf"):
        return [low, round((low + high) / 2, 6), high]
    if kind == "counter":
        return [float(int(value) + 1), 0.0]
    return [round(value + max(1.0, abs(value) * 0.1), 6), 0.0]
