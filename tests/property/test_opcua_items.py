"""Monitored items in numpy batches do exactly what one item after the other, one change at a time, would do."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.opcua.itemtable import SAMPLE, ItemSettings, ItemTable, Mode, Trigger
from protocols.opcua.quality import OVERFLOW
from protocols.opcua.valueencode import DOUBLE, SOURCE

MS = 1_000_000
ROWS = 3


@dataclass
class PlainItem:
    """The standard's text, literally: a list as queue, one sample at a time."""

    row: int
    settings: ItemSettings
    mode: Mode
    queue: list[tuple[float, int, int]] = field(default_factory=list)
    last: tuple[float, int] | None = None
    held: tuple[int, tuple[float, int, int]] | None = None

    def offer(self, sample: tuple[float, int, int], at_ns: int) -> None:
        """A change. With an interval it is the sample of its turn, unless another one follows in the same turn."""
        if self.mode is Mode.DISABLED:
            return
        if not self.settings.interval_ns:
            self.sampled(sample)
            return
        turn = at_ns // self.settings.interval_ns
        self.passed(at_ns)
        self.held = turn, sample

    def passed(self, now_ns: int) -> None:
        """Time has come to `now_ns`: a turn that is over has its sample."""
        if self.held is not None and (self.held[0] + 1) * self.settings.interval_ns <= now_ns:
            self.sampled(self.held[1])
            self.held = None

    def sampled(self, sample: tuple[float, int, int]) -> None:
        value, status, _ = sample
        trigger = self.settings.trigger
        moved = self.last is None or status != self.last[1]
        if not moved and self.last is not None:
            if trigger is Trigger.STATUS_VALUE_TIMESTAMP:
                moved = True
            elif trigger is Trigger.STATUS_VALUE:
                moved = abs(value - self.last[0]) > self.settings.limit
        if moved:
            self.last = value, status
            self.push(sample)

    def push(self, sample: tuple[float, int, int]) -> None:
        size = self.settings.queue
        if len(self.queue) < size:
            self.queue.append(sample)
        elif size == 1:
            self.queue = [sample]
        elif self.settings.discard_oldest:
            self.queue = [*self.queue[1:], sample]
            value, status, time_ns = self.queue[0]
            self.queue[0] = value, status | OVERFLOW, time_ns
        else:
            value, status, time_ns = sample
            self.queue[-1] = value, status | OVERFLOW, time_ns


items = st.builds(
    lambda row, interval, queue, oldest, trigger, limit, mode: (
        row,
        mode,
        ItemSettings(
            handle=0,
            interval_ns=interval * MS,
            queue=queue,
            discard_oldest=oldest,
            trigger=trigger,
            limit=limit,
            timestamps=SOURCE,
        ),
    ),
    st.integers(0, ROWS - 1),
    st.sampled_from([0, 0, 7, 10, 25]),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(Trigger),
    st.sampled_from([0.0, 0.0, 1.0, 2.5]),
    st.sampled_from([Mode.REPORTING, Mode.REPORTING, Mode.SAMPLING, Mode.DISABLED]),
)
changes = st.lists(
    st.tuples(st.integers(0, ROWS - 1), st.integers(0, 6), st.sampled_from([0, 0, 0, 0x40900000]), st.integers(0, 12)),
    max_size=12,
)
steps = st.lists(st.tuples(changes, st.integers(0, 40), st.one_of(st.none(), st.integers(1, 8))), max_size=8)


def decoded(octets: bytes, count: int) -> list[tuple[int, float, int, int]]:
    """(handle, value, status, source time in 100 ns) of notifications with a source time."""
    out, at = [], 0
    for _ in range(count):
        handle, mask, kind = struct.unpack_from("<IBB", octets, at)
        assert kind == DOUBLE
        (value,) = struct.unpack_from("<d", octets, at + 6)
        at += 14
        status = 0
        if mask & 2:
            (status,) = struct.unpack_from("<I", octets, at)
            at += 4
        (time,) = struct.unpack_from("<q", octets, at)
        at += 8
        out.append((handle, value, status, time - 116_444_736_000_000_000))
    assert at == len(octets)
    return out


@settings(max_examples=120, deadline=None)
@given(st.lists(items, min_size=1, max_size=6), steps)
def test_batches_do_what_single_changes_would(wanted: list[Any], script: list[Any]) -> None:
    table = ItemTable(0)
    plain: dict[int, PlainItem] = {}
    for number, (row, mode, chosen) in enumerate(wanted):
        asked = ItemSettings(**{**{name: getattr(chosen, name) for name in chosen.__slots__}, "handle": number})
        table.add(row, DOUBLE, mode, asked)
        plain[number] = PlainItem(row, asked, mode)
    now_ns, count = 0, 0
    for batch, wait_ms, most in script:
        samples = np.zeros(len(batch), SAMPLE)
        for at, (row, value, status, after_ms) in enumerate(batch):
            now_ns += after_ms * MS
            count += 1
            source_ns = count * 100
            samples[at] = (row, status, float(value), source_ns, 1, now_ns)
            for item in plain.values():
                if item.row == row:
                    item.offer((float(value), status, count), now_ns)
        now_ns += wait_ms * MS
        table.sample(samples, now_ns)
        for item in plain.values():
            item.passed(now_ns)
        if most is not None:
            told = decoded_take(table, most)
            for number, value, status, time in told:
                item = plain[number]
                assert item.mode is Mode.REPORTING
                assert (value, status, time) == item.queue.pop(0)
            left = sum(len(item.queue) for item in plain.values() if item.mode is Mode.REPORTING)
            assert len(told) == most or left == 0
            assert table.waiting() == (left > 0)


def decoded_take(table: ItemTable, most: int) -> list[tuple[int, float, int, int]]:
    count, octets = table.take(most)
    assert count <= most
    return decoded(octets, count)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(0, 3), max_size=5),
)
def test_what_is_removed_is_never_told(order: list[tuple[int, bool]], removed: list[int]) -> None:
    table = ItemTable(0)
    slots = [table.add(row, DOUBLE, Mode.REPORTING, ItemSettings(handle=row, queue=50)) for row in range(4)]
    samples = np.zeros(len(order), SAMPLE)
    for at, (row, _) in enumerate(order):
        samples[at] = (row, 0, float(at), 100, 1, at)
    table.sample(samples, 1000)
    gone = list(dict.fromkeys(removed))
    table.remove([slots[row] for row in gone])
    count, octets = table.take(1000)
    handles = [handle for handle, *_ in decoded_both(octets, count)]
    assert handles == [row for row, _ in order if row not in gone]
    assert len(table) == 4 - len(gone)


def decoded_both(octets: bytes, count: int) -> list[tuple[int, float]]:
    out, at = [], 0
    for _ in range(count):
        handle, mask, _, value = struct.unpack_from("<IBBd", octets, at)
        at += 14 + 8 * ((mask >> 2 & 1) + (mask >> 3 & 1)) + (4 if mask & 2 else 0)
        out.append((handle, value))
    assert at == len(octets)
    return out
