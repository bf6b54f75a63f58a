"""Messages of Sparkplug edge nodes into values of points. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.points import UNUSABLE, Quality
from protocols.mqtt import sourcetime
from protocols.mqtt.batch import Batch
from protocols.mqtt.errors import MqttError
from protocols.mqtt.fieldplan import MetricBinding
from protocols.mqtt.host import Died, EdgeNode, HostEvent, Told
from protocols.mqtt.quality import flags_of
from protocols.mqtt.reading import NoReading
from protocols.mqtt.sparkplug import ANSWER, AT_ONCE, DataType, Steps, decode_in_steps
from protocols.mqtt.sparkplugtopic import Source, parse_topic

INVALID: Final = int(Quality.INVALID)
TIME_INVALID: Final = int(Quality.TIME_INVALID)
_UNUSABLE: Final = int(UNUSABLE)
Bound = Mapping[Source, Mapping[str, tuple[MetricBinding, ...]]]


@dataclass(frozen=True, slots=True)
class Answered:
    """A commanded metric was told by its node: with what became of the command, where the node says so."""

    row: int
    value: float
    answer: str


@dataclass(slots=True)
class Heard:
    """What one message brought."""

    fresh: set[Source] = field(default_factory=set)
    died: list[Died] = field(default_factory=list)
    ask: list[tuple[Source, str]] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    absent: list[tuple[Source, list[MetricBinding]]] = field(default_factory=list)
    """Bound metrics that a birth does not have."""


class SparkplugView:
    """All edge nodes of one connection."""

    def __init__(self, bound: Bound, counters: Counter[str]) -> None:
        self._bound, self._counters = bound, counters
        self.nodes = {source.node: EdgeNode(source.node, counters) for source in bound}
        self.types: dict[tuple[Source, str], int] = {}
        """Types of metrics by their births: what a command is sent as."""
        self.shown: dict[int, float] = {}
        """By row: what an alive source says of a point, as long as it may be used."""
        self.answering: set[int] = set()
        """Rows whose node said in its birth that it answers commands: nothing else is its word on them."""
        self._last: dict[int, float] = {}

    def message(self, topic: str, data: bytes, retained: bool, now: float, now_ns: int, batch: Batch) -> Steps[Heard]:
        """One message below ``spBv1.0/``, in small steps. Raises `MqttError` for what is no Sparkplug."""
        kind, source = parse_topic(topic)
        node = self.nodes.get(source.node)
        heard = Heard()
        if node is None or retained or kind.endswith("CMD"):
            return heard
        self._counters["messages"] += 1
        try:
            payload = yield from decode_in_steps(data)
        except MqttError:
            self._counters["malformed"] += 1
            raise
        events = node.message(kind, source, payload, now)
        for start in range(0, len(events), AT_ONCE):
            self._act(node, events[start : start + AT_ONCE], now_ns, batch, heard)
            if start:
                yield
        if kind.endswith("BIRTH") and node.born:
            self._compare(source, events, heard)
        return heard

    def overdue(self, now: float, now_ns: int, batch: Batch) -> Heard:
        """Nodes that are to be asked for their births, and devices that were not born with them."""
        heard = Heard()
        for node in self.nodes.values():
            self._act(node, node.overdue(now), now_ns, batch, heard)
        return heard

    def lost(self) -> None:
        """The broker is gone."""
        self.shown.clear()
        for node in self.nodes.values():
            node.lost()

    def _act(self, node: EdgeNode, events: list[HostEvent], now_ns: int, batch: Batch, heard: Heard) -> None:
        for event in events:
            if isinstance(event, Told):
                self._told(event, now_ns, batch, heard)
            elif isinstance(event, Died):
                heard.died.append(event)
                self._forget(event.source)
            else:
                heard.ask.append((node.node, event.why))

    def _forget(self, died: Source) -> None:
        for source, metrics in self._bound.items():
            if source == died or (not died.device and source.node == died):
                for bindings in metrics.values():
                    for binding in bindings:
                        self.shown.pop(binding.row, None)

    def _told(self, told: Told, now_ns: int, batch: Batch, heard: Heard) -> None:
        if told.birth:
            self.types[told.source, told.name] = told.datatype
        heard.fresh.add(told.source)
        bindings = self._bound.get(told.source, {}).get(told.name, ())
        if not bindings:
            return
        if told.metric.historical:
            self._counters["historical"] += 1
            return
        for binding in bindings:
            self._bind(binding, told, now_ns, batch, heard)

    def _bind(self, binding: MetricBinding, told: Told, now_ns: int, batch: Batch, heard: Heard) -> None:
        metric = told.metric
        flags = flags_of(metric.properties, metric.null)
        value = self._last.get(binding.row, 0.0)
        if not metric.null:
            try:
                value = binding.reading.value(metric.typed(told.datatype))
            except NoReading:
                self._counters["unreadable"] += 1
                flags |= INVALID
        time_ns = (metric.time_ms or 0) * 1_000_000
        if not 0 < time_ns < 1 << 63:
            time_ns, flags = now_ns, flags | TIME_INVALID
        elif sourcetime.doubtful(time_ns, now_ns):
            flags |= TIME_INVALID
        answer = metric.properties.get(ANSWER)
        if told.birth and binding.commanded:
            (self.answering.discard if answer is None else self.answering.add)(binding.row)
        usable = not flags & _UNUSABLE
        if binding.commanded and not told.birth and (usable or answer is not None):
            heard.answers.append(Answered(binding.row, value, answer if isinstance(answer, str) else ""))
        self._last[binding.row] = value
        if usable:
            self.shown[binding.row] = value
        else:
            self.shown.pop(binding.row, None)
        batch.add(binding.row, value, flags, time_ns)

    def _compare(self, source: Source, events: list[HostEvent], heard: Heard) -> None:
        told = {event.name for event in events if isinstance(event, Told)}
        missing = [
            binding
            for name, bindings in self._bound.get(source, {}).items()
            if name not in told
            for binding in bindings
        ]
        if missing:
            heard.absent.append((source, missing))


def command_type(found: int | None, control: bool) -> int:
    """The type a command is sent as: the metric's own where its birth has come."""
    if found:
        return found
    return DataType.BOOLEAN if control else DataType.DOUBLE
