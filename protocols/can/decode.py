"""Frames to columns of values: which points a frame carries is looked up, their bits are taken by numpy. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from gateway.points import Quality, Values
from protocols.can.plan import Batch, BusPlan, Frame, Message, key_words, width_of

MOST_UNKNOWN: Final = 256
"""Identifiers nobody knows that are counted one by one."""

MOST_REMEMBERED: Final = 100_000
"""Values in the shapes of batches that are remembered: some 16 MB."""

_INVALID: Final = np.uint32(Quality.INVALID)
_FLOATS: Final = {16: (np.uint16, np.float16), 32: (np.uint32, np.float32), 64: (np.uint64, np.float64)}
_Words = NDArray[np.uint64]
_Index = NDArray[np.intp]
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the bus that a person should read once. `device` indexes the plan's; -1: of the whole bus."""

    device: int
    event: str
    facts: dict[str, object]


class _Entry:
    """A message as the intake sees it."""

    __slots__ = ("common", "device", "frames", "index", "length", "message", "selectors", "used")

    def __init__(self, index: int, message: Message) -> None:
        self.index, self.message = index, message
        self.device, self.length = message.device, message.length
        self.common, self.selectors = message.common, message.selectors
        self.used = [frozenset(key[i] for key in message.variants) for i in range(len(message.selectors))]
        self.frames = 0

    def variant(self, data: bytes | bytearray) -> tuple[int, bool]:
        """(variant, whether the multiplexer says what the DBC knows)."""
        if len(data) != self.length:
            data = data[: self.length]
        values = [selector.read(data) for selector in self.selectors]
        key = tuple(value if value in used else -1 for value, used in zip(values, self.used, strict=True))
        known = all(not ids or v in ids for v, ids in zip(values, self.message.selected, strict=True))
        return self.message.variants.get(key, self.common), known


class Decoder:
    """Decodes the received messages of one bus, and counts what does not fit.

    `counters` has one `Counter` per device; `unknown` counts frames by key whose identifier no DBC knows;
    `heard` is the set of devices with a good frame since it was last cleared.
    """

    def __init__(self, plan: BusPlan) -> None:
        self._plan = plan
        self._entries: dict[int, list[_Entry]] = {}
        for index, message in enumerate(plan.messages):
            self._entries.setdefault(message.key, []).append(_Entry(index, message))
        self._width = width_of([message.length for message in plan.messages])
        self._group = _groups(plan)
        self._last: Values = np.zeros(len(plan.bindings))
        self.counters = [Counter[str]() for _ in plan.devices]
        self.unknown: Counter[int] = Counter()
        self.unknown_frames = 0
        self.heard: set[int] = set()
        self._findings: list[Finding] = []
        self._told: set[tuple[str, int]] = set()
        self._gathers: dict[tuple[int, ...], _Gather] = {}
        self._remembered = 0
        self._invalid = _invalid_matrix(plan)

    def findings(self) -> list[Finding]:
        """What was found since the last call; each kind of trouble of each identifier once."""
        found, self._findings = self._findings, []
        return found

    def forget_told(self) -> None:
        """Tell again what was told: a new chapter begins."""
        self._told.clear()

    def silent(self) -> list[Message]:
        """Messages with points of which no good frame has come yet."""
        return [e.message for entries in self._entries.values() for e in entries if not e.frames]

    def take(self, frames: Sequence[Frame]) -> list[Batch]:
        """Columns of what the frames carry, in their order.

        In one batch a point occurs at most once, so that none of its changes is passed over.
        """
        batches: list[Batch] = []
        variants: list[int] = []
        parts: list[bytes | bytearray] = []
        times: list[int] = []
        seen: set[int] = set()
        for key, data, time_ns in frames:
            entries = self._entries.get(key)
            if entries is None:
                self._stranger(key)
                continue
            for entry in entries:
                variant = self._variant(entry, data)
                if variant < 0:
                    continue
                group = self._group[variant]
                if group in seen:
                    batches.append(self._decode(variants, parts, times))
                    variants, parts, times = [], [], []
                    seen.clear()
                seen.add(group)
                variants.append(variant)
                parts.append(data)
                times.append(time_ns)
        if variants:
            batches.append(self._decode(variants, parts, times))
        return batches

    def _variant(self, entry: _Entry, data: bytes | bytearray) -> int:
        """Which signals to take of this frame; -1: none."""
        if len(data) != entry.length and not self._fits(entry, len(data)):
            return -1
        entry.frames += 1
        self.heard.add(entry.device)
        if not entry.selectors:
            return entry.common
        variant, known = entry.variant(data)
        if not known:
            self._count(entry, "unknown_multiplexer", "multiplexer value that the DBC does not know")
        return variant

    def _fits(self, entry: _Entry, size: int) -> bool:
        kind = "short_frames" if size < entry.length else "long_frames"
        self._count(entry, kind, "frame length differs from the DBC", found=size, expected=entry.length)
        return size > entry.length

    def _count(self, entry: _Entry, kind: str, event: str, **facts: object) -> None:
        self.counters[entry.device][kind] += 1
        if (kind, entry.index) not in self._told:
            self._told.add((kind, entry.index))
            named = {"message": entry.message.name, "id": key_words(entry.message.key)}
            self._findings.append(Finding(entry.device, event, named | facts))

    def _stranger(self, key: int) -> None:
        if key in self._plan.known:
            return
        self.unknown_frames += 1
        if key not in self.unknown and len(self.unknown) >= MOST_UNKNOWN:
            return
        self.unknown[key] += 1
        if ("unknown", key) not in self._told:
            self._told.add(("unknown", key))
            self._findings.append(Finding(-1, "identifier that no DBC of this bus knows", {"id": key_words(key)}))

    def _decode(self, variants: list[int], parts: list[bytes | bytearray], times: list[int]) -> Batch:
        shape = tuple(variants)
        gather = self._gathers.get(shape)
        if gather is None:
            gather = self._remember(shape)
        words = self._words(parts)
        raw = gather.raw(words)
        values = gather.values(raw, self._plan.lut)
        qualities = np.zeros(len(values), np.uint32)
        bad = gather.bad(words, raw, values)
        if bad is not None:
            qualities[bad] = _INVALID
            values[bad] = self._last[gather.which[bad]]
        self._last[gather.which] = values
        return gather.rows, values, qualities, np.array(times, np.int64)[gather.frame]

    def _remember(self, shape: tuple[int, ...]) -> _Gather:
        gather = _Gather(self._plan, shape, self._invalid, self._width - 7)
        self._remembered += len(gather.rows)
        if self._remembered > MOST_REMEMBERED:
            self._gathers.clear()
            self._remembered = len(gather.rows)
        self._gathers[shape] = gather
        return gather

    def _words(self, parts: list[bytes | bytearray]) -> _Words:
        """Eight bytes from each byte of each frame on, frame after frame, as little endian numbers."""
        width = self._width
        data = b"".join([part if len(part) == width else part[:width].ljust(width, b"\0") for part in parts])
        return np.ndarray((len(parts), width - 7), "<u8", data, strides=(width, 1)).ravel()


class _Bits:
    """Where the bits of some signals lie in the words of a batch."""

    __slots__ = ("_all_big", "_at", "_big", "_mask", "_shift")

    def __init__(self, at: _Index, big: NDArray[np.bool_], shift: _Words, mask: _Words) -> None:
        self._at, self._shift, self._mask = at, shift, mask
        self._all_big = bool(big.all())
        self._big = np.flatnonzero(big)

    def of(self, words: _Words) -> _Words:
        taken = words.take(self._at)
        if self._all_big:
            taken.byteswap(inplace=True)
        elif len(self._big):
            taken[self._big] = taken.take(self._big).byteswap()
        taken >>= self._shift
        taken &= self._mask
        return taken


class _Gather:
    """Batches of one shape (the same variants in the same order): everything about them that does not change.

    A bus repeats itself, so that nearly every batch has a shape that was seen before.
    """

    __slots__ = (
        *("_bits", "_flag_offset", "_flag_scale", "_flags", "_floats", "_guard_bits", "_guard_good", "_guarded"),
        *("_invalid", "_invalid_at", "_lut_start", "_luts", "_offset", "_row_offset", "_row_scale", "_scale"),
        *("_sign", "_wide", "frame", "rows", "which"),
    )

    def __init__(self, plan: BusPlan, variants: tuple[int, ...], invalid: _Words | None, stride: int) -> None:
        b = plan.bindings
        there = [plan.members_of[plan.starts[v] : plan.starts[v + 1]] for v in variants]
        self.which: _Index = np.concatenate(there)
        self.frame: _Index = np.repeat(np.arange(len(variants)), [len(each) for each in there])
        which, at = self.which, self.frame * stride
        self.rows = b.row[which]
        self.rows.setflags(write=False)  # it is handed out again and again
        self._bits = _Bits(at + b.window[which], b.big[which], b.shift[which], b.mask[which])
        self._sign = _unless(b.sign[which], 0)
        self._scale, self._offset = _unless(b.scale[which], 1.0), _unless(b.offset[which], 0.0)
        self._row_scale, self._row_offset = _unless(b.row_scale[which], 1.0), _unless(b.row_offset[which], 0.0)
        self._wide = np.flatnonzero(b.unsigned64[which])
        floating = b.floating[which]
        self._floats = [(np.flatnonzero(floating == size), size) for size in _FLOATS if (floating == size).any()]
        self._flags = np.flatnonzero(b.flag[which])
        self._flag_scale, self._flag_offset = b.row_scale[which][self._flags], b.row_offset[which][self._flags]
        self._luts = np.flatnonzero(b.lut_start[which] >= 0)
        self._lut_start = b.lut_start[which][self._luts]
        self._guarded = np.flatnonzero(b.guard_window[which] >= 0)
        on = which[self._guarded]
        guard_at = at[self._guarded] + b.guard_window[on]
        self._guard_bits = _Bits(guard_at, b.guard_big[on], b.guard_shift[on], b.guard_mask[on])
        self._guard_good = b.guard_good[on]
        self._invalid_at = np.flatnonzero(np.isin(which, list(plan.invalid)))
        self._invalid = None if invalid is None else invalid[which[self._invalid_at]]

    def raw(self, words: _Words) -> _Words:
        return self._bits.of(words)

    def values(self, raw: _Words, lut: Values) -> Values:
        """Engineering values of raw bits."""
        integers = raw if self._sign is None else (raw ^ self._sign) - self._sign
        values = integers.view(np.int64).astype(np.float64)
        if len(self._wide):
            values[self._wide] = raw[self._wide].astype(np.float64)
        for at, size in self._floats:
            narrow, real = _FLOATS[size]
            with np.errstate(invalid="ignore"):  # of a signalling NaN
                values[at] = raw[at].astype(narrow).view(real).astype(np.float64)
        for scale, offset in ((self._scale, self._offset), (self._row_scale, self._row_offset)):
            if scale is not None:
                values *= scale
            if offset is not None:
                values += offset
        if len(self._flags):
            values[self._flags] = (raw.take(self._flags) != 0) * self._flag_scale + self._flag_offset
        if len(self._luts):
            values[self._luts] = lut[self._lut_start + raw.take(self._luts).astype(np.intp)]
        return values

    def bad(self, words: _Words, raw: _Words, values: Values) -> NDArray[np.bool_] | None:
        """Which of the values say themselves that they are none; None: all are sound."""
        if not self._floats and not len(self._guarded) and not len(self._invalid_at):
            return None
        bad: NDArray[np.bool_] = ~np.isfinite(values)
        if len(self._guarded):
            bad[self._guarded] |= (self._guard_bits.of(words) != 0) != self._guard_good
        if self._invalid is not None and len(self._invalid_at):
            bad[self._invalid_at] |= (self._invalid == raw.take(self._invalid_at)[:, None]).any(axis=1)
        return bad if bad.any() else None


def _unless(column: NDArray[_Number], neutral: float) -> NDArray[_Number] | None:
    """The column, or None where it would change nothing."""
    return column if (column != neutral).any() else None


def _groups(plan: BusPlan) -> list[int]:
    """Per variant: frames of one group may concern the same point."""
    groups = list(range(len(plan.starts) - 1))
    for index, message in enumerate(plan.messages):
        if message.shared:
            for variant in (message.common, *message.variants.values()):
                if variant >= 0:
                    groups[variant] = -1 - index
    return groups


def _invalid_matrix(plan: BusPlan) -> _Words | None:
    if not plan.invalid:
        return None
    widest = max(len(raws) for raws in plan.invalid.values())
    out = np.zeros((len(plan.bindings), widest), np.uint64)
    for binding, raws in plan.invalid.items():
        out[binding] = (raws * widest)[:widest]
    return out
