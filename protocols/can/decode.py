"""Frames to columns of values: which points a frame carries is looked up, their bits are taken by numpy. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.points import Quality, Values
from protocols.can.plan import Batch, BusPlan, Frame, Message, key_words, width_of

MOST_UNKNOWN: Final = 256
"""Identifiers nobody knows that are counted one by one."""

_INVALID: Final = np.uint32(Quality.INVALID)
_FLOATS: Final = {16: (np.uint16, np.float16), 32: (np.uint32, np.float32), 64: (np.uint64, np.float64)}
_Words = NDArray[np.uint64]


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
        self._plan, self._b = plan, plan.bindings
        self._entries: dict[int, list[_Entry]] = {}
        for index, message in enumerate(plan.messages):
            self._entries.setdefault(message.key, []).append(_Entry(index, message))
        self._width = width_of([message.length for message in plan.messages])
        self._counts = np.diff(plan.starts)
        self._group = _groups(plan)
        self._last: Values = np.zeros(len(plan.bindings))
        self.counters = [Counter[str]() for _ in plan.devices]
        self.unknown: Counter[int] = Counter()
        self.unknown_frames = 0
        self.heard: set[int] = set()
        self._findings: list[Finding] = []
        self._told: set[tuple[str, int]] = set()
        self._has = _Has(plan)
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
        variant = np.array(variants, np.intp)
        counts = self._counts[variant]
        ends = np.cumsum(counts)
        total = int(ends[-1])
        jump = np.repeat(self._plan.starts[variant] - (ends - counts), counts)
        which = self._plan.members_of[np.arange(total) + jump]
        frame = np.repeat(np.arange(len(variants)), counts)
        words = self._words(parts)
        b = self._b
        raw = _bits(words, frame, b.window[which], b.big[which], b.shift[which], b.mask[which])
        values = self._scaled(raw, which)
        qualities = np.zeros(total, np.uint32)
        bad = self._bad(words, frame, raw, which, values)
        if bad is not None:
            qualities[bad] = _INVALID
            values[bad] = self._last[which[bad]]
        self._last[which] = values
        return b.row[which], values, qualities, np.array(times, np.int64)[frame]

    def _words(self, parts: list[bytes | bytearray]) -> _Words:
        """Eight bytes from each byte of each frame on, [frame, first byte], as little endian numbers."""
        width = self._width
        data = b"".join([part if len(part) == width else part[:width].ljust(width, b"\0") for part in parts])
        return np.ndarray((len(parts), width - 7), "<u8", data, strides=(width, 1))

    def _scaled(self, raw: _Words, which: NDArray[np.intp]) -> Values:
        b, has = self._b, self._has
        sign = b.sign[which]
        values = ((raw ^ sign) - sign).view(np.int64).astype(np.float64)
        if has.unsigned64:
            wide = b.unsigned64[which]
            values[wide] = raw[wide].astype(np.float64)
        for size in has.floats:
            some = b.floating[which] == size
            narrow, real = _FLOATS[size]
            with np.errstate(invalid="ignore"):  # of a signalling NaN
                values[some] = raw[some].astype(narrow).view(real).astype(np.float64)
        values = values * b.scale[which] + b.offset[which]
        if has.row_scale:
            values = values * b.row_scale[which] + b.row_offset[which]
        if has.flags:
            values = np.where(b.flag[which], b.row_offset[which] + b.row_scale[which] * (raw != 0), values)
        if has.luts:
            start = b.lut_start[which]
            some = start >= 0
            values[some] = self._plan.lut[start[some] + raw[some].astype(np.intp)]
        return values

    def _bad(
        self, words: _Words, frame: NDArray[np.intp], raw: _Words, which: NDArray[np.intp], values: Values
    ) -> NDArray[np.bool_] | None:
        """Which of the values say themselves that they are none; None: all are sound."""
        b, has = self._b, self._has
        bad: NDArray[np.bool_] | None = None
        if has.floats:
            bad = ~np.isfinite(values)
        if has.guards:
            some = np.flatnonzero(b.guard_window[which] >= 0)
            at = which[some]
            told = _bits(words, frame[some], b.guard_window[at], b.guard_big[at], b.guard_shift[at], b.guard_mask[at])
            bad = np.zeros(len(which), np.bool_) if bad is None else bad
            bad[some] |= (told != 0) != b.guard_good[at]
        if self._invalid is not None:
            wrong = (self._invalid[which] == raw[:, None]).any(axis=1) & self._has.invalid[which]
            bad = wrong if bad is None else bad | wrong
        return bad if bad is not None and bad.any() else None


class _Has:
    """What occurs at all in a plan, so that the rest is never computed."""

    def __init__(self, plan: BusPlan) -> None:
        b = plan.bindings
        self.unsigned64 = bool(b.unsigned64.any())
        self.floats = [size for size in _FLOATS if (b.floating == size).any()]
        self.row_scale = bool(((b.row_scale != 1) | (b.row_offset != 0)).any())
        self.flags = bool(b.flag.any())
        self.luts = bool((b.lut_start >= 0).any())
        self.guards = bool((b.guard_window >= 0).any())
        self.invalid = np.isin(np.arange(len(b)), list(plan.invalid))


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


def _bits(
    words: _Words,
    frame: NDArray[np.intp],
    window: NDArray[np.intp],
    big: NDArray[np.bool_],
    shift: _Words,
    mask: _Words,
) -> _Words:
    """Raw bits of one signal per element."""
    taken = words[frame, window]
    return (np.where(big, taken.byteswap(), taken) >> shift) & mask
