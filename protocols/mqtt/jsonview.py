"""Payloads of JSON (or a bare number or word) into values of points. Pure.

A point that a payload does not carry keeps what it has: publishers may send parts. One that it carries as nothing
(null) or as something that means nothing is invalid, with the value before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.points import Quality
from protocols.mqtt import sourcetime
from protocols.mqtt.batch import Batch
from protocols.mqtt.fieldplan import JsonBinding
from protocols.mqtt.jsonpath import MAX_DOCUMENT, MISSING, lookup, read_json
from protocols.mqtt.quality import flags_of
from protocols.mqtt.reading import NoReading
from protocols.mqtt.sparkplug import QUALITY

INVALID: Final = int(Quality.INVALID)
NOT_TOPICAL: Final = int(Quality.NOT_TOPICAL)
TIME_INVALID: Final = int(Quality.TIME_INVALID)


@dataclass(slots=True)
class Seen:
    """What a message was: devices of which something fresh came, and what is to be told, once each."""

    devices: set[int] = field(default_factory=set)
    troubles: list[tuple[object, str, dict[str, object]]] = field(default_factory=list)


class _Topic:
    """The bindings of one topic, found by the keys that a payload has: most may carry few of them."""

    def __init__(self, bindings: tuple[JsonBinding, ...]) -> None:
        self.devices = {binding.device for binding in bindings}
        self.structured = any(binding.path for binding in bindings)
        self._by_key: dict[str, list[JsonBinding]] = {}
        self._others: list[JsonBinding] = []
        for binding in bindings:
            first = binding.path[0] if binding.path else None
            (self._by_key.setdefault(first, []) if isinstance(first, str) else self._others).append(binding)

    def candidates(self, document: Any) -> list[JsonBinding]:
        """Those whose path may lead somewhere in this document."""
        if not isinstance(document, dict):
            return self._others
        by_key = self._by_key
        found = [binding for key in document if key in by_key for binding in by_key[key]]
        return found + self._others if self._others else found


class JsonView:
    """All topics of one connection."""

    def __init__(self, topics: Mapping[str, tuple[JsonBinding, ...]], counters: list[Counter[str]]) -> None:
        """`counters` per device."""
        self._topics = {topic: _Topic(bindings) for topic, bindings in topics.items()}
        self._counters = counters
        self._last: dict[int, float] = {}

    def message(self, topic: str, payload: bytes, retained: bool, now_ns: int, batch: Batch) -> Seen:
        """One message on a mapped topic into `batch`."""
        seen = Seen()
        bound = self._topics[topic]
        for device in bound.devices:
            self._counters[device]["messages"] += 1
        try:
            document = _document(payload, bound.structured)
        except ValueError as error:
            for device in bound.devices:
                self._counters[device]["malformed"] += 1
            seen.troubles.append(
                (("malformed", topic), "payload cannot be read", {"topic": topic, "cause": str(error)})
            )
            return seen
        for binding in bound.candidates(document):
            found = lookup(document, binding.path)
            if found is not MISSING:
                self._take(binding, found, document, retained, now_ns, batch, seen)
        return seen

    def _take(
        self, binding: JsonBinding, found: Any, document: Any, retained: bool, now_ns: int, batch: Batch, seen: Seen
    ) -> None:
        time_ns, flags, dated = _time(binding, document, now_ns)
        if binding.quality is not None:
            flags |= quality_flags(lookup(document, binding.quality))
        try:
            value = binding.reading.value(found) if found is not None else math.nan
        except NoReading as error:
            value = math.nan
            self._counters[binding.device]["unreadable"] += 1
            facts: dict[str, object] = {"point": binding.name, "cause": str(error)}
            seen.troubles.append((("unreadable", binding.row), "value cannot be read", facts))
        if math.isnan(value):
            value, flags = self._last.get(binding.row, 0.0), flags | INVALID
        self._last[binding.row] = value
        fresh = not retained or (dated and bool(binding.max_age_ns) and now_ns - time_ns <= binding.max_age_ns)
        if not fresh or (binding.max_age_ns and dated and now_ns - time_ns > binding.max_age_ns):
            flags |= NOT_TOPICAL
        if fresh and not flags & INVALID:
            seen.devices.add(binding.device)
        batch.add(binding.row, value, flags, time_ns)


def _document(payload: bytes, structured: bool) -> Any:
    """The JSON document; where points are the payload itself, a bare word will do."""
    if structured:
        return read_json(payload)
    if len(payload) > MAX_DOCUMENT:
        raise ValueError(f"{len(payload):,} octets")
    try:
        return read_json(payload)
    except ValueError:
        return payload.decode("utf-8").strip()


def _time(binding: JsonBinding, document: Any, now_ns: int) -> tuple[int, int, bool]:
    """(time, flags about it, whether the payload gave it)."""
    if binding.clock.path is None:
        return now_ns, 0, False
    found = lookup(document, binding.clock.path)
    try:
        time_ns = sourcetime.to_ns(found, binding.clock.unit)
    except ValueError:
        return now_ns, TIME_INVALID, False
    return time_ns, TIME_INVALID if sourcetime.doubtful(time_ns, now_ns) else 0, True


_WORDS: Final[Mapping[str, int]] = {
    **{flag.words: int(flag) for flag in Quality},
    **dict.fromkeys(("good", "ok", "valid", "true", ""), 0),
    **dict.fromkeys(("bad", "error", "fault", "false"), INVALID),
    **dict.fromkeys(("uncertain", "stale", "old", "questionable"), NOT_TOPICAL),
}


def quality_flags(found: Any) -> int:
    """Flags of what a payload says about quality: words, a truth, or a number as OPC has it. Unknown is invalid."""
    if isinstance(found, str):
        flags = 0
        for word in found.split(","):
            flags |= _WORDS.get(word.strip().lower(), INVALID)
        return flags
    if isinstance(found, bool):
        return 0 if found else INVALID
    if isinstance(found, int):
        return flags_of({QUALITY: found}, null=False)
    return INVALID
