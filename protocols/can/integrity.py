"""Counters and checksums in frames of one message, recognised by how they behave, and how often they are wrong. Pure.

No DBC says which byte is a counter or a checksum. A counter moves on by one from frame to frame; a checksum is a known
function of all other bytes. What is so in most frames is taken for one, and the rest of the frames for faults.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from protocols.can.checksum import METHODS

_LEAST_FRAMES: Final = 10
_LEAST_DIFFERENT: Final = 6
_MOST: Final = 0.7


@dataclass(frozen=True, slots=True)
class Check:
    """A counter or checksum found: `what` in words, `wrong` of `seen` frames (or steps)."""

    what: str
    wrong: int
    seen: int


_Part = tuple[str, int, Callable[[int], int]]

_PARTS: Final[tuple[_Part, ...]] = (
    ("byte {}", 256, lambda byte: byte),
    ("low half of byte {}", 16, lambda byte: byte & 15),
    ("high half of byte {}", 16, lambda byte: byte >> 4),
)


def counters(frames: list[bytes]) -> Iterator[Check]:
    """Counters of a message, from its frames in order; of a byte and its halves the one that fits best."""
    if len(frames) <= _LEAST_FRAMES:
        return
    for at in range(min(map(len, frames))):
        found = [check for part in _PARTS if (check := _counter([frame[at] for frame in frames], at, part)) is not None]
        if found:
            # A half byte that counts to 15 looks like a whole one that jumps back, and not the other way round.
            yield min(found, key=lambda check: check.wrong)


def _counter(octets: list[int], at: int, kind: _Part) -> Check | None:
    words, size, part = kind
    steps = [(after - before) % size for before, after in itertools.pairwise(map(part, octets))]
    right = steps.count(1)
    return Check(words.format(at), len(steps) - right, len(steps)) if right >= _MOST * len(steps) else None


def checksums(frames: list[bytes]) -> Iterator[Check]:
    """The checksum of a message: at most one, the one that is right most often."""
    best: Check | None = None
    if len(set(frames)) < _LEAST_DIFFERENT or len(frames) < _LEAST_FRAMES:
        return
    for at in range(min(map(len, frames)) - 1, -1, -1):
        if len({frame[at] for frame in frames}) < _LEAST_DIFFERENT:
            continue
        for name, method in METHODS.items():
            right = sum(frame[at] == method(frame[:at] + frame[at + 1 :]) for frame in frames)
            wrong = len(frames) - right
            if right >= _MOST * len(frames) and (best is None or wrong < best.wrong):
                best = Check(f"byte {at} ({name})", wrong, len(frames))
    if best is not None:
        yield best
