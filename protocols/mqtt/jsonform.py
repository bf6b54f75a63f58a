"""The JSON form of output (the seeds' topics `vpp/telemetry/{node}`, `vpp/commands/{node}`, `vpp/status/{node}`). Pure.

point    {"point":"poi/power","value":180.2,"unit":"kW","quality":"good","flags":0,"time":"...Z","time_ms":1764...}
group    {"node":"site","time":"...Z","points":{"poi/power":{"value":180.2,...},...}}
state    {"type":"state","node":"site","online":true,"time":"...Z"}   (retained; the will)
answer   {"type":"answer","node":"site","id":"17","point":"...","value":5,"stage":"completed","reason":"ok",...}
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Final

from gateway.contracts import Outcome
from gateway.events import Events
from gateway.points import ALL_FLAGS, Kind, PointCatalogue, Quality
from protocols.mqtt.form import Effects, Outgoing, Request
from protocols.mqtt.gridplan import JsonPlan, MasterPlan
from protocols.mqtt.jsoncommand import parse_command
from protocols.mqtt.linkplan import Will
from protocols.mqtt.timetext import iso_ms, iso_texts

_STATES: Final = (Kind.BINARY, Kind.CONTROL)
_BITS: Final = int(ALL_FLAGS)
_NEVER: Final = int(Quality.NEVER_REPORTED)
_GROUP_MOST: Final = 500
"""Points of one payload."""


def number_text(value: float) -> str:
    """A number as JSON; null for what is none."""
    return repr(value) if math.isfinite(value) else "null"


def state_text(value: float) -> str:
    """A state as JSON."""
    return "true" if value else "false"


class JsonForm:
    """Implements `protocols.mqtt.form.Form`."""

    ready = True

    def __init__(self, plan: MasterPlan, form: JsonPlan, catalogue: PointCatalogue) -> None:
        columns = plan.bindings
        self._plan, self._form, self._rules = plan, form, plan.rules
        self._topics, self._retain = columns.topic, columns.retain.tolist()
        kinds = [Kind(int(catalogue.kinds[row])) for row in columns.row.tolist()]
        self._value: list[Callable[[float], str]] = [state_text if kind in _STATES else number_text for kind in kinds]
        self._tails = [f',"unit":{json.dumps(catalogue.units[row])},"quality":' for row in columns.row.tolist()]
        self._names = [json.dumps(name) for name in columns.name]
        self._by_name = {name: position for position, name in enumerate(columns.name)}
        self._words: dict[int, str] = {}
        self._head = f'{{"node":{json.dumps(form.node)},"time":'

    def will(self, now_ns: int) -> Will | None:
        """Offline, retained."""
        topic = self._form.status_topic
        return Will(topic, self._state(False, now_ns), 1, retain=True) if topic else None

    def filters(self) -> list[str]:
        """The command topic, and one below it per point."""
        topic = self._form.command_topic
        return [f"{topic}/#"] if topic and self._rules.allowed else []

    def opened(self, now_ns: int, waiting: int) -> list[Outgoing]:
        """Online, retained."""
        topic = self._form.status_topic
        return [Outgoing(topic, self._state(True, now_ns), retain=True)] if topic else []

    def closing(self, now_ns: int) -> list[Outgoing]:
        """Offline, retained: a connection that is closed in order has no will."""
        topic = self._form.status_topic
        return [Outgoing(topic, self._state(False, now_ns), retain=True)] if topic else []

    def before(self, now_ns: int, waiting: int) -> list[Outgoing]:
        """Nothing: every payload speaks for itself."""
        return []

    def dropped(self, count: int) -> None:
        """Nothing depends on it."""

    def messages(self, events: Events, now_ns: int) -> list[Outgoing]:
        """One payload per event, or per topic and group."""
        return self._grouped(events, now_ns) if self._form.grouped else self._single(events)

    def _single(self, events: Events) -> list[Outgoing]:
        return [
            Outgoing(
                self._topics[binding], f'{{"point":{self._names[binding]},{body}}}'.encode(), 1, self._retain[binding]
            )
            for binding, body in self._bodies(events)
        ]

    def _grouped(self, events: Events, now_ns: int) -> list[Outgoing]:
        """Points of a topic together; a point that comes again, or a full group, begins a new payload.

        Groups of several topics run side by side: all of the events are told with the last payload.
        """
        out: list[Outgoing] = []
        groups: dict[str, dict[int, str]] = {}
        for binding, body in self._bodies(events):
            topic = self._topics[binding]
            group = groups.setdefault(topic, {})
            if binding in group or len(group) >= _GROUP_MOST:
                out.append(self._group(topic, group, now_ns))
                group = groups[topic] = {}
            group[binding] = body
        out += [self._group(topic, group, now_ns) for topic, group in groups.items()]
        if out:
            out[-1].events = len(events)
        return out

    def _group(self, topic: str, group: Mapping[int, str], now_ns: int) -> Outgoing:
        points = ",".join(f"{self._names[binding]}:{{{body}}}" for binding, body in group.items())
        payload = f'{self._head}"{iso_ms(now_ns)}","points":{{{points}}}}}'
        return Outgoing(topic, payload.encode(), 0, all(self._retain[binding] for binding in group))

    def _bodies(self, events: Events) -> list[tuple[int, str]]:
        times = events["time_ns"]
        columns = zip(
            events["binding"].tolist(),
            events["value"].tolist(),
            events["quality"].tolist(),
            iso_texts(times),
            (times // 1_000_000).tolist(),
            strict=True,
        )
        return [
            (
                binding,
                f'"value":{"null" if quality & _NEVER else self._value[binding](value)}{self._tails[binding]}'
                f'{self._quality(quality)},"time":"{text}","time_ms":{ms}',
            )
            for binding, value, quality, text, ms in columns
        ]

    def _quality(self, flags: int) -> str:
        text = self._words.get(flags)
        if text is None:
            known = flags & _BITS
            text = self._words[flags] = f'"{Quality(known).words}","flags":{known}'
        return text

    def message(self, topic: str, payload: bytes, retained: bool, repeated: bool, now_ns: int, waiting: int) -> Effects:
        """A command. What the broker kept is not one: nobody knows how old it is."""
        if retained:
            return Effects()
        below = topic[len(self._form.command_topic) + 1 :]
        request = parse_command(payload, below, self._by_name, repeated, self._rules, now_ns)
        return Effects(requests=[request])

    def answer(self, request: Request, outcome: Outcome, now_ns: int) -> list[Outgoing]:
        """What became of a command, on the status topic, not retained."""
        topic = self._form.status_topic
        if not topic:
            return []
        said = {
            "type": "answer",
            "node": self._form.node,
            "id": request.id,
            "point": request.name,
            "value": request.value if math.isfinite(request.value) else None,
            "stage": str(outcome.stage),
            "reason": str(outcome.reason),
            "text": outcome.text,
            "time": iso_ms(now_ns),
        }
        return [Outgoing(topic, json.dumps(said, separators=(",", ":")).encode())]

    def _state(self, online: bool, now_ns: int) -> bytes:
        said = {"type": "state", "node": self._form.node, "online": online, "time": iso_ms(now_ns)}
        return json.dumps(said, separators=(",", ":")).encode()
