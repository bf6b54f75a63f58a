"""The host's side of Sparkplug B for one edge node: births, aliases, sequence, deaths (Sparkplug 3.0, chapter 5). Pure.

NBIRTH  seq begins, aliases of the node, every device is unknown until its DBIRTH
DBIRTH  aliases of the device
xDATA   the next seq; a gap, an unknown alias or a device without a birth: nothing is believed until a rebirth
NDEATH  counts when its bdSeq is that of the birth; a will that was overtaken by a new birth does not
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from protocols.mqtt.sparkplug import BD_SEQ, Metric, Payload
from protocols.mqtt.sparkplugtopic import Source

REBIRTH_PAUSE_S: Final = 5.0
"""Between two requests: a node needs a moment to answer, and must not be stormed."""
SEQUENCES: Final = 256


@dataclass(frozen=True, slots=True)
class Told:
    """A metric with a name and a type; `source` is the node or device that it belongs to."""

    source: Source
    name: str
    datatype: int
    metric: Metric
    birth: bool


@dataclass(frozen=True, slots=True)
class Died:
    """A node with all its devices, or one device, is no more; `why` in words.

    `doubt`: it may well be there, but something that it said was missed.
    """

    source: Source
    why: str
    doubt: bool = False


@dataclass(frozen=True, slots=True)
class AskRebirth:
    """The node is to be asked for its births; `why` in words."""

    why: str


HostEvent = Told | Died | AskRebirth


@dataclass(slots=True)
class _Member:
    """A node's own metrics, or those of a device, by name and alias."""

    types: dict[str, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


class EdgeNode:
    """What a host knows of one edge node. Times are in s of any clock that only goes forward."""

    def __init__(self, node: Source, counters: Counter[str]) -> None:
        self.node = node
        self._counters = counters
        self._members: dict[str, _Member] = {}
        self._awaited: dict[str, float] = {}
        """Devices whose node was born anew, and until when they must be."""
        self._seq: int | None = None
        self._bd_seq: int | None = None
        self._asked = False
        self._ask_again = -1.0

    @property
    def born(self) -> bool:
        """The birth of the node has come and nothing is missing since."""
        return self._seq is not None

    def lost(self) -> None:
        """The broker is gone: what comes next is not what comes after."""
        self._members.clear()
        self._awaited.clear()
        self._seq = self._bd_seq = None
        self._asked, self._ask_again = False, -1.0

    def message(self, kind: str, source: Source, payload: Payload, now: float) -> list[HostEvent]:
        """One message of this node, of a kind that the node sends."""
        handler = {"BIRTH": self._birth, "DATA": self._data, "DEATH": self._death}.get(kind[1:])
        return [] if handler is None else handler(source, payload, now)

    def overdue(self, now: float) -> list[HostEvent]:
        """Births that did not come: of the node it is asked for, once in a while; devices without one are gone."""
        if not self.born:
            return self._ask("no birth has come", now)
        late = [name for name, until in self._awaited.items() if now >= until]
        for name in late:
            del self._awaited[name]
        node = self.node
        return [Died(Source(node.group, node.edge, name), "its node was born anew without it") for name in late]

    def _birth(self, source: Source, payload: Payload, now: float) -> list[HostEvent]:
        out: list[HostEvent] = []
        if not source.device:
            # Devices are born again after their node: those that are not in time are gone.
            self._awaited.update(dict.fromkeys((name for name in self._members if name), now + REBIRTH_PAUSE_S))
            self._members.clear()
            self._seq = payload.seq if payload.seq is not None else 0
            self._bd_seq = _bd_seq(payload)
            self._asked, self._ask_again = False, -1.0
        elif not self._in_order(payload):
            return self._doubt("messages are missing", now)
        self._counters["births"] += 1
        self._awaited.pop(source.device, None)
        member = self._members[source.device] = _Member()
        for metric in payload.metrics:
            if not metric.name:
                continue
            member.types[metric.name] = metric.datatype
            if metric.alias is not None:
                member.names[metric.alias] = metric.name
            if metric.name != BD_SEQ:
                out.append(Told(source, metric.name, metric.datatype, _dated(metric, payload), True))
        return out

    def _data(self, source: Source, payload: Payload, now: float) -> list[HostEvent]:
        if not self._in_order(payload):
            return self._doubt("messages are missing", now)
        member = self._members.get(source.device)
        if member is None:
            return self._doubt(f"data of {source}, of which no birth has come", now)
        out: list[HostEvent] = []
        for metric in payload.metrics:
            name = metric.name or (member.names.get(metric.alias, "") if metric.alias is not None else "")
            if name not in member.types:
                self._counters["unknown_metrics"] += 1
                what = f"name {metric.name}" if metric.name else f"alias {metric.alias}"
                return out + self._doubt(f"{what} of {source} is not in its birth", now)
            datatype = metric.datatype or member.types[name]
            out.append(Told(source, name, datatype, _dated(metric, payload), False))
        return out

    def _death(self, source: Source, payload: Payload, now: float) -> list[HostEvent]:
        if source.device:
            if not self._in_order(payload):
                return self._doubt("messages are missing", now)
            self._members.pop(source.device, None)
            self._awaited.pop(source.device, None)
        else:
            bd_seq = _bd_seq(payload)
            if self._bd_seq is not None and bd_seq is not None and bd_seq != self._bd_seq:
                self._counters["old_deaths"] += 1
                return []
            self.lost()
        self._counters["deaths"] += 1
        return [Died(source, "it said that it is gone, or the broker said so for it")]

    def _in_order(self, payload: Payload) -> bool:
        if self._seq is None or payload.seq is None:
            return False
        expected = (self._seq + 1) % SEQUENCES
        if payload.seq != expected:
            return False
        self._seq = expected
        return True

    def _doubt(self, why: str, now: float) -> list[HostEvent]:
        """What is known may be wrong from here on: everything is lost until a birth."""
        if self._seq is None:
            return self._ask(why, now)
        self._counters["out_of_sequence"] += 1
        self._seq = None
        self._members.clear()
        self._awaited.clear()
        return [Died(self.node, why, doubt=True), *self._ask(why, now)]

    def _ask(self, why: str, now: float) -> list[HostEvent]:
        if self._asked and now < self._ask_again:
            return []
        self._asked, self._ask_again = True, now + REBIRTH_PAUSE_S
        self._counters["rebirths_asked"] += 1
        return [AskRebirth(why)]


def _bd_seq(payload: Payload) -> int | None:
    for metric in payload.metrics:
        if metric.name == BD_SEQ and isinstance(metric.value, int):
            return metric.value
    return None


def _dated(metric: Metric, payload: Payload) -> Metric:
    if metric.time_ms is None:
        metric.time_ms = payload.time_ms
    return metric
