"""How a map names a channel, and where a PMU's data carries it. Pure.

================  =========================================================================
``FREQ``          frequency in Hz
``DFREQ``         its rate of change in Hz/s
``NAME.mag``      magnitude of a phasor in V or A
``NAME.ang``      its angle
``NAME``          an analog (kind analog or counter), or one bit of a digital word (kind binary)
``PHASOR[2].mag`` the second phasor, whatever its name; so ``ANALOG[1]``
``DIGITAL[1].0``  bit 0 of the first digital word; ``DIGITAL[1]``: the whole word as a number
``STAT``          the PMU's status word as a number; ``STAT.trigger`` and so on: one matter of it
================  =========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.contracts.places import nearest
from protocols.c37118.configuration import BITS, Configuration, Pmu
from protocols.c37118.quality import STAT_BITS


class Quantity(Enum):
    """What of a PMU's data a channel is."""

    FREQUENCY = "FREQ"
    ROCOF = "DFREQ"
    MAGNITUDE = ".mag"
    ANGLE = ".ang"
    ANALOG = "analog"
    WORD = "digital word"
    BIT = "digital"
    STATUS = "STAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel as a map names it: by `name`, or by `number` from 1. `mask`: the bits of a word that count."""

    text: str
    quantity: Quantity
    name: str = ""
    number: int = 0
    mask: int = 0


class Unresolved(LookupError):
    """The stream has no such channel. The text is for a person."""


_LISTED: Final = 8
_NUMBERED = re.compile(r"(PHASOR|ANALOG|DIGITAL)\[(\d+)\](?:\.(\w+))?", re.IGNORECASE)
_PHASOR = re.compile(r"(.+)\.(mag|ang)", re.IGNORECASE)
_WHOLE: Final = {"FREQ": Quantity.FREQUENCY, "DFREQ": Quantity.ROCOF, "STAT": Quantity.STATUS}
_PART: Final = {"mag": Quantity.MAGNITUDE, "ang": Quantity.ANGLE}


def parse_channel(text: str, binary: bool) -> Channel:
    """Read the `channel` column of a row, of kind binary or of a number. Raises `ValueError` in words."""
    if not text:
        raise ValueError("expected FREQ, DFREQ, a phasor with .mag or .ang, or the name of an analog or digital")
    numbered = _NUMBERED.fullmatch(text)
    if numbered:
        return _numbered(text, *numbered.groups(), binary=binary)
    return _binary(text) if binary else _number(text)


def _numbered(text: str, what: str, digits: str, part: str | None, *, binary: bool) -> Channel:
    number = int(digits)
    if not number:
        raise ValueError(f"{text}: channels are counted from 1")
    return _NUMBERED_KINDS[what.upper()](text, number, part, binary)


def _numbered_phasor(text: str, number: int, part: str | None, binary: bool) -> Channel:
    quantity = _PART.get((part or "").lower())
    if quantity is None:
        raise ValueError(f"{text}: a phasor is bound by its magnitude or angle; expected PHASOR[{number}].mag or .ang")
    if binary:
        raise ValueError(f"{text} is a number and cannot be carried by a binary; expected kind analog")
    return Channel(text=text, quantity=quantity, number=number)


def _numbered_analog(text: str, number: int, part: str | None, binary: bool) -> Channel:
    if part is not None or binary:
        raise ValueError(f"{text}: expected ANALOG[{number}] and kind analog or counter")
    return Channel(text=text, quantity=Quantity.ANALOG, number=number)


def _numbered_digital(text: str, number: int, part: str | None, binary: bool) -> Channel:
    if part is None and not binary:
        return Channel(text=text, quantity=Quantity.WORD, number=number, mask=0xFFFF)
    if not binary or part is None or not part.isdecimal() or int(part) >= BITS:
        raise ValueError(f"{text}: a binary takes one bit, DIGITAL[{number}].0 to .15; a number the whole word")
    return Channel(text=text, quantity=Quantity.BIT, number=number, mask=1 << int(part))


_NUMBERED_KINDS: Final[dict[str, Callable[[str, int, str | None, bool], Channel]]] = {
    "PHASOR": _numbered_phasor,
    "ANALOG": _numbered_analog,
    "DIGITAL": _numbered_digital,
}


def _binary(text: str) -> Channel:
    first, _, word = text.partition(".")
    if first.upper() == "STAT" and word:
        mask = STAT_BITS.get(word.lower())
        if mask is None:
            raise ValueError(f"STAT has no {word}{nearest(word, STAT_BITS)}; there are: {', '.join(STAT_BITS)}")
        return Channel(text=text, quantity=Quantity.STATUS, mask=mask)
    if text.upper() in _WHOLE:
        raise ValueError(f"{text} is a number and cannot be carried by a binary; expected kind analog")
    return Channel(text=text, quantity=Quantity.BIT, name=text)


def _number(text: str) -> Channel:
    whole = _WHOLE.get(text.upper())
    if whole is not None:
        return Channel(text=text, quantity=whole, mask=0xFFFF if whole is Quantity.STATUS else 0)
    if text.upper().startswith("STAT.") and text[5:].lower() in STAT_BITS:
        raise ValueError(f"{text} is a state and cannot be carried by a number; expected kind binary")
    phasor = _PHASOR.fullmatch(text)
    if phasor:
        return Channel(text=text, quantity=_PART[phasor[2].lower()], name=phasor[1].strip())
    return Channel(text=text, quantity=Quantity.ANALOG, name=text)


def find_pmu(found: Configuration, wanted: str) -> int:
    """Index of the PMU a map means by station name or id; empty: the only one. Raises `Unresolved`."""
    if not wanted:
        if len(found.pmus) == 1:
            return 0
        raise Unresolved(f"the stream has {len(found.pmus)} PMUs, so the map must say which: {_listed(found)}")
    by_name = [i for i, pmu in enumerate(found.pmus) if pmu.name == wanted]
    by_id = [i for i, pmu in enumerate(found.pmus) if str(pmu.id) == wanted]
    matches = by_name or by_id
    if not matches:
        raise Unresolved(
            f"the stream has no PMU {wanted}{nearest(wanted, [pmu.name for pmu in found.pmus])}; "
            f"it has: {_listed(found)}"
        )
    if len(matches) > 1:
        raise Unresolved(f"the stream has {len(matches)} PMUs {wanted}; name one by its id: {_listed(found)}")
    return matches[0]


def _listed(found: Configuration) -> str:
    shown = [f"{pmu.name} (id {pmu.id})" for pmu in found.pmus[:_LISTED]]
    return ", ".join(shown) + (f" and {len(found.pmus) - _LISTED} more" if len(found.pmus) > _LISTED else "")


def find_channel(channel: Channel, pmu: Pmu) -> tuple[int, int]:
    """(index among the PMU's phasors, analogs or digital words, mask of the bits). Raises `Unresolved`."""
    names = _NAMES[channel.quantity](pmu)
    if channel.quantity in _ONE_EACH:
        return 0, channel.mask
    if channel.number:
        return _by_number(channel, pmu, len(pmu.digitals) if channel.quantity is Quantity.BIT else len(names))
    matches = [i for i, name in enumerate(names) if name == channel.name]
    if not matches:
        known = [name for name in names if name]
        hint = nearest(channel.name, known) or f"; it has: {', '.join(known[:_LISTED]) or 'none'}"
        raise Unresolved(f"{pmu.name} has no {_WORDS[channel.quantity]} {channel.name}{hint}")
    if len(matches) > 1:
        raise Unresolved(
            f"{pmu.name} has {len(matches)} channels {channel.name}; bind one by its number, as PHASOR[1].mag"
        )
    if channel.quantity is Quantity.BIT:
        return matches[0] // BITS, 1 << matches[0] % BITS
    return matches[0], channel.mask


def _by_number(channel: Channel, pmu: Pmu, count: int) -> tuple[int, int]:
    if channel.number > count:
        raise Unresolved(f"{pmu.name} has {count} of what {channel.text} counts")
    return channel.number - 1, channel.mask


def _of(items: Iterable[object]) -> list[str]:
    return [str(getattr(item, "name", "")) for item in items]


_NAMES: Final[dict[Quantity, Callable[[Pmu], list[str]]]] = {
    Quantity.FREQUENCY: lambda pmu: [],
    Quantity.ROCOF: lambda pmu: [],
    Quantity.STATUS: lambda pmu: [],
    Quantity.MAGNITUDE: lambda pmu: _of(pmu.phasors),
    Quantity.ANGLE: lambda pmu: _of(pmu.phasors),
    Quantity.ANALOG: lambda pmu: _of(pmu.analogs),
    Quantity.WORD: lambda pmu: _of(pmu.digitals),
    Quantity.BIT: lambda pmu: [name for word in pmu.digitals for name in word.names],
}
_ONE_EACH: Final = frozenset({Quantity.FREQUENCY, Quantity.ROCOF, Quantity.STATUS})
_WORDS: Final = {
    Quantity.MAGNITUDE: "phasor",
    Quantity.ANGLE: "phasor",
    Quantity.ANALOG: "analog",
    Quantity.WORD: "digital word",
    Quantity.BIT: "digital",
}
