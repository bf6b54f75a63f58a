"""What the devices behind one broker connection become: picklable, compiled, without objects of the checks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.points import Rows
from protocols.mqtt.jsonpath import Path
from protocols.mqtt.linkplan import LinkPlan
from protocols.mqtt.reading import Reading, Word
from protocols.mqtt.sparkplugtopic import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Where a payload says when its values were true; `path` None: it does not. `unit` as in `sourcetime.to_ns`."""

    path: Path | None = None
    unit: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonBinding:
    """A measured point in the payload of a topic. An empty `path`: the payload itself."""

    row: int
    device: int
    name: str
    path: Path
    reading: Reading
    clock: Clock = Clock()
    quality: Path | None = None
    max_age_ns: int = 0
    """0: never too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricBinding:
    """A point (measured or commanded) that is a metric of an edge node or device."""

    row: int
    device: int
    name: str
    reading: Reading
    commanded: bool = False
    max_age_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyPlan:
    """The message that tells what became of a command: on `topic`, with the command's id at `id`.

    The word at `path` is among `done` (or anything, where that is empty), among `failed`, or one that is not final.
    """

    topic: str
    id: Path
    path: Path = ()
    done: frozenset[Word] = frozenset()
    failed: frozenset[Word] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandPlan:
    """A commanded point: by JSON on `topic`, or as `metric` of `source`.

    `words` are the literal for 1 and for 0 in place of a number. `feedback`: the core watches a measured point. The
    value that is sent is (engineering - offset) / scale.
    """

    row: int
    device: int
    name: str
    topic: str = ""
    template: str = ""
    words: tuple[str, str] | None = None
    reply: ReplyPlan | None = None
    source: Source | None = None
    metric: str = ""
    feedback: bool = False
    control: bool = False
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlan:
    """One device. `silent_s` 0: silence is no loss. `status_topic`: where it, or the broker, says that it left."""

    name: str
    rows: Rows
    silent_s: float = 0.0
    command_s: float = 5.0
    status_topic: str = ""
    status_path: Path = ()
    status_offline: frozenset[Word] = frozenset()
    sources: tuple[Source, ...] = ()
    measures: bool = True
    """It has measured points; one that has none is online with its broker."""


@dataclass(slots=True, kw_only=True)
class BrokerPlan:
    """One driver: a connection, its devices, and what is bound to which topic."""

    devices: list[str]
    rows: Rows
    link: LinkPlan
    plans: list[DevicePlan]
    topics: dict[str, tuple[JsonBinding, ...]] = field(default_factory=dict)
    metrics: dict[Source, Mapping[str, tuple[MetricBinding, ...]]] = field(default_factory=dict)
    commands: dict[int, CommandPlan] = field(default_factory=dict)
    host: str = ""
    """The id of this host application of Sparkplug; empty: it tells nobody."""
    qos: int = 1
