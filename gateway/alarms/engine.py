"""The alarm engine: what a batch of changes, the passing of time or a person makes of a site's alarms. Pure.

Nothing here reads a clock. ``now_ns`` is monotonic and drives delays and windows; ``utc_ns`` stands in records. A
batch costs a few numpy operations; Python runs only for the alarms that move.

- A condition must hold for the on-delay before its alarm is raised, and must be gone for the off-delay before the
  alarm returns. The dead band lies on the normal side of the limit.
- A value that may not be used changes nothing: the alarm holds its state, one that is about to be raised is raised,
  one that is about to return does not return without evidence.
- What is hidden (shelved, suppressed by design, out of service) goes on underneath. An alarm raised while hidden is
  announced when it is hidden no longer, if it still stands.
- An alarm that was there before its `suppressed_when` became true may be the cause of it and stays in sight.
- First-out: of a group the alarm with the earliest source time stays marked until all of the group have returned and
  are acknowledged.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.alarms.actions import Asked, perform
from gateway.alarms.bands import QuietBands, condition_holds
from gateway.alarms.catalogue import AlarmCatalogue
from gateway.alarms.groups import FirstOut
from gateway.alarms.model import AlarmEvent, AlarmRecord, Condition
from gateway.alarms.statistics import AlarmStatistics
from gateway.alarms.suppression import Suppressions
from gateway.contracts.command import Action
from gateway.points.change import Changes, Qualities, Values
from gateway.points.quality import UNUSABLE

_UNUSABLE: Final = int(UNUSABLE)
NEVER: Final = 1 << 62


class _Seen(NamedTuple):
    """What a change says of its point."""

    value: float
    quality: int
    time_ns: int


class _Pending(NamedTuple):
    """A condition that has turned, and its delay."""

    deadline_ns: int
    delay_ns: int
    seen: _Seen


class AlarmEngine:
    """`records` holds every alarm that is not plainly normal; those not in it are."""

    def __init__(self, alarms: AlarmCatalogue) -> None:
        self.alarms = alarms
        self.records: dict[int, AlarmRecord] = {}
        self.counts: dict[int, int] = {}
        """How often each alarm was raised, ever; those that never were are not in it."""
        self.statistics = AlarmStatistics(alarms.rules)
        self.seq = 0
        self._bands = QuietBands(alarms)
        self._groups = FirstOut(alarms)
        self._suppressions = Suppressions(alarms)
        self._pending: dict[int, _Pending] = {}
        self._heeded: set[int] = set()
        self._shelves: dict[int, int] = {}
        """By alarm: when its shelving ends, monotonic."""
        self._deadlines: list[tuple[int, int]] = []
        self._out: list[AlarmRecord] = []
        self._looks: list[tuple[int, int, float, int]] = []
        """Changes that are still to be looked at, the last one first."""
        self._looks_ns = 0

    def record(self, index: int) -> AlarmRecord:
        """The alarm as it is now."""
        found = self.records.get(index)
        return AlarmRecord(index=index, count=self.counts.get(index, 0)) if found is None else found

    @property
    def deadline_ns(self) -> int:
        """When `tick` has something to do next; `NEVER` if nothing waits."""
        while self._deadlines and not self._is_due(*self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else NEVER

    def suppressed_count(self) -> int:
        """How many alarms are suppressed by design now, those that stand in no record included."""
        return self._suppressions.count

    # What the field says

    def changes(self, batch: Changes, value: Values, quality: Qualities, now_ns: int) -> list[AlarmRecord]:
        """What became of alarms by these changes, in order. `value` and `quality` are the table, by row."""
        self.begin(batch, value, quality, now_ns)
        while self.go_on():
            pass
        return self.taken()

    def begin(self, batch: Changes, value: Values, quality: Qualities, now_ns: int) -> None:
        """Take a batch, of which `go_on` then looks at one change at a time; the batch before must be over."""
        if not len(batch):
            return
        for index in self._suppressions.lifted(batch["row"], value, quality, self.records):
            record = replace(self.records[index], suppressed=False)
            self._uncover(AlarmEvent.UNSUPPRESSED, record, int(batch["time_ns"].max()), now_ns)
        movers = self._bands.movers(batch)
        if movers is not None:
            chosen = batch[movers]
            if len(chosen) > 1 and len(np.unique(chosen["row"])) == len(chosen):
                chosen = chosen[np.argsort(chosen["time_ns"], kind="stable")]
            self._looks, self._looks_ns = chosen[::-1].tolist(), now_ns

    @property
    def looking(self) -> bool:
        """Whether the batch that was begun is not over yet."""
        return bool(self._looks)

    def go_on(self) -> bool:
        """Look at the next change of the batch that was begun; False when there is none left."""
        if not self._looks:
            return False
        row, flags, number, time_ns = self._looks.pop()
        self._look(row, _Seen(number, flags, time_ns), self._looks_ns)
        return True

    def _look(self, row: int, seen: _Seen, now_ns: int) -> None:
        unfit = bool(seen.quality & _UNUSABLE)
        self._bands.seen(row, unfit)
        alarms, bands = self.alarms, self._bands
        for index in alarms.of_row(row):
            condition, held = alarms.condition_of(index), bool(bands.holds[index])
            if (unfit or math.isnan(seen.value)) and condition.of_value:
                self._keep(index)
                continue
            limit, deadband = float(alarms.limit[index]), float(alarms.deadband[index])
            holds = condition_holds(condition, limit, deadband, held, seen.value, unfit)
            if holds is not held:
                self._turn(index, holds, seen, now_ns)

    def _keep(self, index: int) -> None:
        """The value cannot be used any more: an alarm that waits for its return stays, and must see it anew."""
        if index in self._pending and not self._bands.holds[index]:
            del self._pending[index]
            self._bands.turn(index, True)
            self._heed(index)

    def _turn(self, index: int, holds: bool, seen: _Seen, now_ns: int) -> None:
        self._bands.turn(index, holds)
        active = self.record(index).active
        self._pending.pop(index, None)
        delay_s = float((self.alarms.on_delay_s if holds else self.alarms.off_delay_s)[index])
        if holds is active:
            self._heed(index)
        elif delay_s <= 0:
            self._settle(index, holds, seen, seen.time_ns, now_ns)
        else:
            delay_ns = int(delay_s * 1e9)
            self._pending[index] = _Pending(now_ns + delay_ns, delay_ns, seen)
            heapq.heappush(self._deadlines, (now_ns + delay_ns, index))
            self._heed(index)

    def _heed(self, index: int) -> None:
        """While a return is waited for, a value that goes bad must be seen."""
        row = int(self.alarms.row[index])
        if not self._pending and row not in self._heeded:
            return
        waiting = any(at in self._pending and not self._bands.holds[at] for at in self.alarms.of_row(row))
        self._bands.heed(row, waiting)
        (self._heeded.add if waiting else self._heeded.discard)(row)

    def _settle(self, index: int, active: bool, seen: _Seen, time_ns: int, now_ns: int) -> None:
        self._heed(index)
        if active:
            self._raise(index, seen, time_ns, now_ns)
        else:
            self._return(index, seen, time_ns, now_ns)

    def _raise(self, index: int, seen: _Seen, time_ns: int, now_ns: int) -> None:
        record = self.record(index)
        suppressed = self._suppressions.holds(index)
        hidden = record.shelved or record.out_of_service or suppressed
        if not hidden:
            self.statistics.announced(index, now_ns)
        self._put(
            AlarmEvent.RAISED,
            record,
            time_ns,
            active=True,
            acknowledged=False,
            confirmed=not self.alarms.rules.confirm,
            announced=not hidden,
            suppressed=suppressed,
            value=seen.value,
            quality=seen.quality,
            raised_ns=time_ns,
            count=record.count + 1,
            first_out=record.first_out or (not hidden and self._groups.is_first(index)),
            by=record.by if record.hidden else "",
            text=record.text if record.hidden else "",
        )

    def _return(self, index: int, seen: _Seen, time_ns: int, now_ns: int) -> None:
        record = self.record(index)
        over = record.one_shot
        if over:
            self._shelves.pop(index, None)
        self._put(
            AlarmEvent.RETURNED,
            record,
            time_ns,
            active=False,
            acknowledged=record.acknowledged or not record.announced,
            confirmed=record.confirmed or not record.announced,
            announced=True,
            suppressed=False,
            value=seen.value,
            quality=seen.quality,
            returned_ns=time_ns,
            shelved_until_ns=0 if over else record.shelved_until_ns,
            one_shot=False,
        )

    # What time brings

    def tick(self, now_ns: int, utc_ns: int) -> list[AlarmRecord]:
        """What is due by now: delays that have passed, shelves that have expired."""
        while self.deadline_ns <= now_ns:
            _, index = heapq.heappop(self._deadlines)
            pending = self._pending.get(index)
            if pending is not None and pending.deadline_ns <= now_ns:
                del self._pending[index]
                time_ns = pending.seen.time_ns + pending.delay_ns
                self._settle(index, bool(self._bands.holds[index]), pending.seen, time_ns, now_ns)
            if self._shelves.get(index, NEVER) <= now_ns:
                del self._shelves[index]
                record = replace(self.record(index), shelved_until_ns=0, one_shot=False)
                self._uncover(AlarmEvent.SHELF_EXPIRED, record, utc_ns, now_ns)
        self.statistics.settle(now_ns)
        return self.taken()

    def _is_due(self, deadline_ns: int, index: int) -> bool:
        """Whether a deadline on the heap still stands."""
        pending = self._pending.get(index)
        return (pending is not None and pending.deadline_ns == deadline_ns) or self._shelves.get(index) == deadline_ns

    # What a person does

    def act(self, action: Action, index: int, asked: Asked, now_ns: int) -> list[AlarmRecord]:
        """One action of a person on one alarm. Raises `AlarmRefused`; then nothing has changed."""
        event, record = perform(action, self.record(index), asked, self.alarms.rules)
        if event is AlarmEvent.SHELVED:
            self._shelve(index, now_ns + record.shelved_until_ns - asked.utc_ns)
        elif not record.shelved:
            self._shelves.pop(index, None)
        self._uncover(event, record, asked.utc_ns, now_ns)
        return self.taken()

    def acknowledge_all(self, asked: Asked, now_ns: int) -> list[AlarmRecord]:
        """Acknowledge every alarm that asks for it and is in sight."""
        out: list[AlarmRecord] = []
        for index in [at for at, record in self.records.items() if not (record.acknowledged or record.hidden)]:
            out += self.act(Action.ACKNOWLEDGE, index, asked, now_ns)
        return out

    def _shelve(self, index: int, deadline_ns: int) -> None:
        self._shelves[index] = deadline_ns
        heapq.heappush(self._deadlines, (deadline_ns, index))

    # What is kept

    def restore(self, records: Iterable[AlarmRecord], seq: int, now_ns: int, utc_ns: int) -> None:
        """Go on from what was written: active alarms stand, what was acknowledged or shelved is. Before all changes."""
        self.seq = seq
        for record in records:
            if record.count:
                self.counts[record.index] = record.count
            if record.plain:
                continue
            self.records[record.index] = record
            self._groups.follow(record)
            self._suppressions.restore(record)
            if record.active:
                self._bands.turn(record.index, True)
                unfit = self.alarms.condition_of(record.index) is Condition.QUALITY
                self._bands.seen(int(self.alarms.row[record.index]), unfit)
            if record.shelved:
                self._shelve(record.index, now_ns + max(0, record.shelved_until_ns - utc_ns))

    # Every change of a record passes here

    def _uncover(self, event: AlarmEvent, record: AlarmRecord, time_ns: int, now_ns: int) -> None:
        """Put a record that may be hidden no longer; what came while it was hidden is announced now."""
        announce = record.active and not record.announced and not record.hidden
        self._put(event, record, time_ns)
        if announce:
            self.statistics.announced(record.index, now_ns)
            record = self.record(record.index)
            first = record.first_out or self._groups.is_first(record.index)
            self._put(AlarmEvent.ANNOUNCED, record, time_ns, announced=True, first_out=first)

    def _put(self, event: AlarmEvent, record: AlarmRecord, time_ns: int, **facts: Any) -> None:
        self.seq += 1
        record = replace(record, seq=self.seq, event=event, time_ns=time_ns, **facts)
        reset = self._groups.follow(record)
        if reset == record.index:
            record = replace(record, first_out=False)
        if record.plain:
            self.records.pop(record.index, None)
        else:
            self.records[record.index] = record
        if record.count:
            self.counts[record.index] = record.count
        self._out.append(record)
        if reset is not None and reset != record.index:
            self._put(AlarmEvent.FIRST_OUT_RESET, self.record(reset), time_ns, first_out=False)

    def taken(self) -> list[AlarmRecord]:
        """What has become of alarms since this was last asked."""
        out, self._out = self._out, []
        return out
