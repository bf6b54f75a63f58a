"""A reader's own copy of the alarms. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.model import AlarmEvent, AlarmRecord


class AlarmMirror:
    """Alarms as the core last told them: an `AlarmsView`."""

    def __init__(self, catalogue: AlarmCatalogue) -> None:
        self.catalogue = catalogue
        self.records: dict[int, AlarmRecord] = {}
        self.seq = 0

    def record(self, index: int) -> AlarmRecord:
        """The alarm as it was last told; plainly normal when nothing was."""
        return self.records.get(index) or AlarmRecord(index=index)

    def apply(self, records: Iterable[AlarmRecord]) -> list[AlarmRecord]:
        """Take over what happened, in order; what was taken over already is left out."""
        fresh = [record for record in records if record.seq > self.seq]
        for record in fresh:
            self._keep(record)
            self.seq = record.seq
        return fresh

    def reset(self, records: Iterable[AlarmRecord], seq: int) -> list[AlarmRecord]:
        """Take over a snapshot; the alarms that stand otherwise than before, those that are normal again included."""
        now = {record.index: record for record in records}
        gone = [record for index, record in self.records.items() if index not in now]
        fresh = [record for index, record in now.items() if self.record(index) != record]
        fresh += [_at_rest(record, seq) for record in gone]
        fresh.sort(key=lambda record: record.seq)
        for record in fresh:
            self._keep(record)
        self.seq = seq
        return fresh

    def _keep(self, record: AlarmRecord) -> None:
        if record.plain:
            self.records.pop(record.index, None)
        else:
            self.records[record.index] = record


def _at_rest(record: AlarmRecord, seq: int) -> AlarmRecord:
    """An alarm that became normal while nobody listened: how is not known here, the history has it."""
    return replace(
        AlarmRecord(index=record.index),
        seq=seq,
        event=AlarmEvent.RETURNED,
        time_ns=record.time_ns,
        raised_ns=record.raised_ns,
        returned_ns=record.returned_ns,
        value=record.value,
        quality=record.quality,
        count=record.count,
    )
