"""The monitored items of one subscription that watch values of points: columns, sampling, filters (OPC 10000-4, 5.13).

changes ─► which items ─► sampling interval ─► trigger and deadband ─► queue ─► notifications
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Values
from gateway.points.deadband import Deadband
from protocols.opcua.itemqueue import ENTRY, NotificationQueue, Slots, repeated
from protocols.opcua.quality import StatusCodes
from protocols.opcua.valueencode import data_values

FREE_ROW: Final = -1


class Mode(IntEnum):
    """MonitoringMode (OPC 10000-4, 7.23)."""

    DISABLED = 0
    SAMPLING = 1
    REPORTING = 2


class Trigger(IntEnum):
    """DataChangeTrigger (OPC 10000-4, 7.22.2)."""

    STATUS = 0
    STATUS_VALUE = 1
    STATUS_VALUE_TIMESTAMP = 2


SAMPLE: Final = np.dtype(
    [
        ("row", "<u4"),
        ("status", "<u4"),
        ("value", "<f8"),
        ("source_ns", "<i8"),
        ("server_ns", "<i8"),
        ("at_ns", "<i8"),
    ]
)
"""A change as it came: source and server time as they are sent, `at_ns` on the monotonic clock."""

Samples = NDArray[np.void]
"""One-dimensional, of dtype `SAMPLE`."""

_ITEM: Final = np.dtype(
    [
        ("row", "<i4"),
        ("handle", "<u4"),
        ("queue", "<i4"),
        ("interval_ns", "<i8"),
        ("mode", "u1"),
        ("trigger", "u1"),
        ("timestamps", "u1"),
        ("type", "u1"),
        ("discard_oldest", "?"),
    ]
)
_HELD: Final = np.dtype([*ENTRY.descr, ("at_ns", "<i8")])
_NONE_HELD: Final[NDArray[np.void]] = np.empty(0, _HELD)
_FIRST_SIZE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSettings:
    """What a client may ask of one item. `interval_ns` 0: every change; `limit` in engineering units."""

    handle: int
    interval_ns: int = 0
    queue: int = 1
    discard_oldest: bool = True
    trigger: Trigger = Trigger.STATUS_VALUE
    limit: float = 0.0
    timestamps: int = 2

    def slower(self, interval_ns: int) -> ItemSettings:
        """The same, sampled no more often than this."""
        return replace(self, interval_ns=max(self.interval_ns, interval_ns))


class ItemTable:
    """Items by slot. `phase_ns` is where the clock of sampling intervals begins: that of the subscription's cycles.

    A slot is an index that stays an item's own until it is removed.
    """

    def __init__(self, phase_ns: int) -> None:
        self._phase_ns = phase_ns
        self._items: NDArray[np.void] = np.zeros(_FIRST_SIZE, _ITEM)
        self._items["row"] = FREE_ROW
        self._band = Deadband(np.zeros(_FIRST_SIZE))
        self._free = list(range(_FIRST_SIZE - 1, -1, -1))
        self._held = _NONE_HELD
        self._index: tuple[NDArray[np.int32], Slots] | None = None
        self._timed = self._plain = False
        self.queue = NotificationQueue()
        self.fresh: NDArray[np.bool_] = np.zeros(_FIRST_SIZE, np.bool_)
        """By slot: whether something was queued since it was last cleared; for triggering."""
        self.armed: NDArray[np.bool_] = np.zeros(_FIRST_SIZE, np.bool_)
        """By slot: reported at the next publishing whatever its mode."""

    def __len__(self) -> int:
        return len(self._items) - len(self._free)

    def add(self, row: int, kind: int, mode: Mode, settings: ItemSettings) -> int:
        """A new item for the value of `row`, sent as the built-in type `kind`; returns its slot."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._items[slot] = (row, 0, 1, 0, mode, 0, 0, kind, True)
        self.modify(slot, settings)
        self._band.forget(np.array([slot]))
        return slot

    def modify(self, slot: int, settings: ItemSettings) -> None:
        """Other settings from now on; what is queued and what was last reported stays."""
        item = self._items[slot]
        item["handle"], item["queue"], item["discard_oldest"] = settings.handle, settings.queue, settings.discard_oldest
        item["interval_ns"], item["trigger"] = settings.interval_ns, settings.trigger
        item["timestamps"] = settings.timestamps
        self._band.set_limit(slot, settings.limit)
        self._index = None

    def remove(self, slots: list[int]) -> None:
        """These items are gone, with all that was queued for them."""
        gone = np.array(slots, np.int32)
        self._silence(gone)
        self._items["row"][gone] = FREE_ROW
        self._items["mode"][gone] = Mode.DISABLED
        self._free += slots
        self._index = None

    def mode(self, slot: int) -> Mode:
        return Mode(int(self._items["mode"][slot]))

    def row(self, slot: int) -> int:
        return int(self._items["row"][slot])

    def handle(self, slot: int) -> int:
        return int(self._items["handle"][slot])

    def queue_size(self, slot: int) -> int:
        return int(self._items["queue"][slot])

    def set_modes(self, slots: list[int], mode: Mode) -> list[int]:
        """Disabled: what is queued is forgotten, and the next value passes as the first one does.

        Returns the slots that were disabled and sample again.
        """
        all_of = np.array(slots, np.int32)
        woken = all_of[self._items["mode"][all_of] == Mode.DISABLED] if mode is not Mode.DISABLED else all_of[:0]
        if mode is Mode.DISABLED:
            self._silence(all_of)
            self._band.forget(all_of)
        self._items["mode"][all_of] = mode
        self._index = None
        return [int(slot) for slot in woken]

    def forget(self, slots: list[int]) -> None:
        """As if nothing had been reported of these items: their next sample passes."""
        self._band.forget(np.array(slots, np.int32))

    def idle(self) -> list[int]:
        """Slots of all items that report and have nothing queued, in their order."""
        reporting = self._items["mode"] == Mode.REPORTING
        reporting[self.queue.slots()] = False
        return [int(slot) for slot in np.flatnonzero(reporting)]

    def sample(self, samples: Samples, now_ns: int) -> None:
        """Changes in the order in which they came. What a sampling interval still holds back is looked at again."""
        rows, slots = self._indexed()
        entries = _held_of(samples, rows, slots)
        if self._timed:
            entries = self._at_interval(entries, now_ns)
        self._filter(entries)

    def initial(self, slots: Slots, samples: Samples) -> None:
        """The value as it is now, of items just made or enabled: one sample for each, whatever the interval."""
        held = np.empty(len(slots), _HELD)
        held["slot"] = slots
        for name in ("status", "value", "source_ns", "server_ns", "at_ns"):
            held[name] = samples[name]
        self._filter(held)

    def reportable(self) -> NDArray[np.bool_] | None:
        """By slot, whether its notifications are to be published; None: all of them."""
        self._indexed()
        if self._plain:
            return None
        out: NDArray[np.bool_] = (self._items["mode"] == Mode.REPORTING) | self.armed
        return out

    def arm(self, slot: int) -> None:
        """What this item has queued is reported at the next publishing, whatever its mode."""
        if self.mode(slot) is Mode.SAMPLING:
            self.armed[slot] = True

    def waiting(self) -> bool:
        """Whether there is something to publish."""
        return self.queue.waiting(self.reportable())

    def take(self, most: int) -> tuple[int, bytes]:
        """Up to `most` notifications removed from the queue: how many, and encoded one after the other."""
        items = self._items
        self.queue.limit(items["queue"], items["discard_oldest"])
        entries = self.queue.take(self.reportable(), most)
        if not self.waiting():
            self.armed[:] = False
        of = items[entries["slot"]]
        encoded = data_values(
            of["type"],
            entries["value"],
            entries["status"],
            entries["source_ns"],
            entries["server_ns"],
            of["timestamps"],
            of["handle"],
        )
        return len(entries), encoded

    def _grow(self) -> None:
        size = len(self._items)
        more = np.zeros(size, _ITEM)
        more["row"] = FREE_ROW
        self._items = np.concatenate((self._items, more))
        self._band.grow(2 * size)
        self.fresh, self.armed = (np.concatenate((c, np.zeros(size, np.bool_))) for c in (self.fresh, self.armed))
        self._free = list(range(2 * size - 1, size - 1, -1))

    def _silence(self, gone: Slots) -> None:
        self.queue.drop(gone)
        self._held = self._held[~np.isin(self._held["slot"], gone)]
        self.fresh[gone] = self.armed[gone] = False

    def _indexed(self) -> tuple[NDArray[np.int32], Slots]:
        """Rows of the items that sample, sorted, and their slots."""
        if self._index is None:
            items = self._items
            slots = np.flatnonzero(items["mode"] != Mode.DISABLED).astype(np.int32)
            rows = items["row"][slots]
            order = np.argsort(rows, kind="stable")
            self._index = rows[order], slots[order]
            self._timed = bool((items["interval_ns"][slots] > 0).any())
            self._plain = bool((items["mode"][slots] == Mode.REPORTING).all())
        return self._index

    def _at_interval(self, entries: NDArray[np.void], now_ns: int) -> NDArray[np.void]:
        """Of every item and every turn of its interval the last sample, once the turn is over; the rest is held."""
        if len(self._held):
            entries = np.concatenate((self._held, entries))
        slots = entries["slot"]
        interval = self._items["interval_ns"][slots]
        timed = interval > 0
        interval = np.maximum(interval, 1)
        turn = (entries["at_ns"] - self._phase_ns) // interval
        over = ~timed | (self._phase_ns + (turn + 1) * interval <= now_ns)
        last = np.ones(len(entries), np.bool_)
        if repeated(slots, len(self._items)):
            by_slot = np.argsort(slots, kind="stable")
            ordered, turns = slots[by_slot], turn[by_slot]
            same = (ordered[1:] == ordered[:-1]) & (turns[1:] == turns[:-1]) & timed[by_slot][1:]
            last[by_slot[:-1][same]] = False
        self._held = entries[last & ~over]
        out: NDArray[np.void] = entries[last & over]
        return out

    def _filter(self, entries: NDArray[np.void]) -> None:
        """Trigger and deadband; what passes is queued."""
        if not len(entries):
            return
        slots = entries["slot"]
        trigger = self._items["trigger"][slots]
        values = entries["value"]
        if (trigger == Trigger.STATUS).any():
            values = np.where(trigger == Trigger.STATUS, 0.0, values)
        passed = self._band.passes(slots, values, entries["status"])
        always = trigger == Trigger.STATUS_VALUE_TIMESTAMP
        if always.any():
            self._band.reset(slots[always], values[always], entries["status"][always])
            passed |= always
        if passed.any():
            self._queue(entries if passed.all() else entries[passed])

    def _queue(self, entries: NDArray[np.void]) -> None:
        out = np.empty(len(entries), ENTRY)
        for name in ENTRY.names or ():
            out[name] = entries[name]
        self.fresh[out["slot"]] = True
        if self.queue.crowded:
            self.queue.limit(self._items["queue"], self._items["discard_oldest"])
        self.queue.append(out)


def _held_of(samples: Samples, rows: NDArray[np.int32], slots: Slots) -> NDArray[np.void]:
    """The samples of the items' rows, once for each item; several items may watch one row."""
    if not len(samples) or not len(rows):
        return _NONE_HELD
    wanted = samples["row"].astype(np.int32)
    low = np.searchsorted(rows, wanted, "left")
    count = np.searchsorted(rows, wanted, "right") - low
    at = np.repeat(np.arange(len(samples)), count)
    if not len(at):
        return _NONE_HELD
    within = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    out = np.empty(len(at), _HELD)
    out["slot"] = slots[low[at] + within]
    chosen: Any = samples if len(at) == len(samples) and bool((count == 1).all()) else samples[at]
    for name in ("status", "value", "source_ns", "server_ns", "at_ns"):
        out[name] = chosen[name]
    return out


def samples_of(
    rows: NDArray[np.integer],
    values: Values,
    status: StatusCodes,
    source_ns: NDArray[np.int64],
    server_ns: NDArray[np.int64] | int,
    at_ns: NDArray[np.int64] | int,
) -> Samples:
    """Columns of one length gathered as samples; a single time serves for all."""
    out = np.empty(len(rows), SAMPLE)
    out["row"], out["value"], out["status"] = rows, values, status
    out["source_ns"], out["server_ns"], out["at_ns"] = source_ns, server_ns, at_ns
    return out


NO_SAMPLES: Final[Samples] = np.empty(0, SAMPLE)
