"""Alarms as the page shows them, and what has become of them since it was last told."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, Final

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.mirror import AlarmMirror
from gateway.alarms.model import AlarmEvent, AlarmRecord, AlarmState, Priority
from gateway.alarms.statistics import AlarmStatistics
from gateway.points.quality import Quality
from hmi.endpoint import Answer

SHOWN: Final = 2_000
"""Alarms of one snapshot: the most urgent ones. Nobody can look at more."""
_ANNOUNCING: Final = (AlarmEvent.RAISED, AlarmEvent.ANNOUNCED)


class AlarmFacts(Answer):
    """One alarm. Times are ms since 1970 UTC, 0: never; `time_ms` is that of the last event.

    `seq` differs after each event of the alarm.
    `area` is the first part of the point's name, `group` the first-out group, `number_in_group` its number there.
    """

    alarm: str
    point: str
    condition: str
    priority: str
    message: str
    area: str
    group: str
    number_in_group: int
    limit: float | None
    unit: str
    state: str
    active: bool
    acknowledged: bool
    confirmed: bool
    hidden: bool
    first_out: bool
    chattering: bool
    value: float | None
    quality: str
    event: str
    seq: str
    time_ms: float
    raised_ms: float
    returned_ms: float
    count: int
    shelved_until_ms: float
    one_shot: bool
    by: str
    text: str


class AlarmList:
    """What the page is told of a mirror. Fed with every event, in order."""

    def __init__(self, mirror: AlarmMirror) -> None:
        self.mirror, self.catalogue = mirror, mirror.catalogue
        self._statistics = AlarmStatistics(mirror.catalogue.rules)
        self._changed: dict[int, None] = {}
        self._chattering: frozenset[int] = frozenset()
        self.announced_ms = 0.0
        """When the newest alarm asked for a person (ms since 1970 UTC): a sound silenced before begins anew."""

    def take(self, records: Iterable[AlarmRecord], now_ns: int) -> None:
        """What has happened; `now_ns` is monotonic."""
        for record in records:
            self._changed[record.index] = None
            if record.event in _ANNOUNCING and record.active and not record.hidden:
                self._statistics.announced(record.index, now_ns)
                self.announced_ms = time.time() * 1e3
        self.settle(now_ns)

    def settle(self, now_ns: int) -> None:
        """An alarm that has begun to chatter, or has ceased, is told anew."""
        self._statistics.settle(now_ns)
        chattering = frozenset(self._statistics.chattering)
        self._changed.update(dict.fromkeys(chattering ^ self._chattering))
        self._chattering = chattering

    def drain(self) -> list[int]:
        """Alarms of which something has changed."""
        changed, self._changed = list(self._changed), {}
        return changed

    def standing(self) -> list[int]:
        """Alarms that are not normal, the most urgent first."""
        return sorted(self.mirror.records, key=self._urgency)

    def _urgency(self, index: int) -> tuple[bool, int, int]:
        record = self.mirror.records[index]
        return record.hidden, -int(self.catalogue.priority[index]), -(record.raised_ns or record.time_ns)

    def facts(self, index: int) -> AlarmFacts:
        """One alarm as it is now."""
        return facts_of(self.mirror.record(index), self.catalogue, index in self._chattering)

    def counts(self) -> dict[str, Any]:
        """Alarms in sight by priority: active ones, and those that ask for acknowledgement; hidden ones by state."""
        active = dict.fromkeys((priority.word for priority in Priority), 0)
        unacknowledged, hidden = dict(active), dict.fromkeys(_HIDDEN, 0)
        for index, record in self.mirror.records.items():
            priority = self.catalogue.priority_of(index).word
            if record.hidden:
                hidden[str(record.state)] += 1
            else:
                active[priority] += record.active
                unacknowledged[priority] += not record.acknowledged
        facts: dict[str, Any] = {"active": active, "unacknowledged": unacknowledged, "hidden": hidden}
        return facts | {"chattering": len(self._chattering), "announced_ms": self.announced_ms}

    def snapshot(self) -> dict[str, Any]:
        """All that stands, at most `SHOWN` of it, as what a newcomer is told."""
        standing = self.standing()
        alarms = [self.facts(index).model_dump() for index in standing[:SHOWN]]
        return {"snapshot": True, "alarms": alarms, "total": len(standing), "now_ms": time.time_ns() / 1e6}


_HIDDEN: Final = (str(AlarmState.SHELVED), str(AlarmState.SUPPRESSED), str(AlarmState.OUT_OF_SERVICE))


def facts_of(record: AlarmRecord, catalogue: AlarmCatalogue, chattering: bool = False) -> AlarmFacts:
    """One alarm with what the catalogue says of it."""
    index = record.index
    point, limit = catalogue.points.names[catalogue.row[index]], float(catalogue.limit[index])
    group = catalogue.group_of(index)
    return AlarmFacts(
        alarm=catalogue.name(index),
        point=point,
        condition=catalogue.condition_of(index).word,
        priority=catalogue.priority_of(index).word,
        message=catalogue.message(index),
        area=point.partition("/")[0],
        group=group,
        number_in_group=catalogue.number_in_group(index) if group else 0,
        limit=limit if math.isfinite(limit) else None,
        unit=catalogue.points.units[catalogue.row[index]],
        state=str(record.state),
        active=record.active,
        acknowledged=record.acknowledged,
        confirmed=record.confirmed,
        hidden=record.hidden,
        first_out=record.first_out,
        chattering=chattering,
        value=record.value if record.raised_ns and math.isfinite(record.value) else None,
        quality=Quality(record.quality).words,
        event=str(record.event),
        seq=str(record.seq),
        time_ms=record.time_ns / 1e6,
        raised_ms=record.raised_ns / 1e6,
        returned_ms=record.returned_ns / 1e6,
        count=record.count,
        shelved_until_ms=record.shelved_until_ns / 1e6,
        one_shot=record.one_shot,
        by=record.by,
        text=record.text,
    )
