"""First-out: which alarm of a group came first. Pure."""

from __future__ import annotations

from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.model import AlarmRecord


class FirstOut:
    """Per group the alarms that stand or wait for their acknowledgement, and the one that came first."""

    def __init__(self, alarms: AlarmCatalogue) -> None:
        self._group = alarms.group
        self._standing: list[set[int]] = [set() for _ in alarms.groups]
        self._marked: list[int | None] = [None] * len(alarms.groups)

    def is_first(self, index: int) -> bool:
        """Whether this alarm, about to be raised, finds its group at rest."""
        group = int(self._group[index])
        return group >= 0 and self._marked[group] is None and not self._standing[group]

    def follow(self, record: AlarmRecord) -> int | None:
        """Take note of a record; the alarm whose mark is to be taken off because its group has come to rest."""
        group = int(self._group[record.index])
        if group < 0:
            return None
        standing = self._standing[group]
        if not record.hidden and (record.active or not record.acknowledged):
            standing.add(record.index)
        else:
            standing.discard(record.index)
        if record.first_out:
            self._marked[group] = record.index
        marked = self._marked[group]
        if marked is None or standing:
            return None
        self._marked[group] = None
        return marked
