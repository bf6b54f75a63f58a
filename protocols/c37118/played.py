"""What a simulated stream carries: a configuration that fits the points of a plan, and their values in it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from protocols.c37118.channel import Quantity, Unresolved, find_channel, find_pmu
from protocols.c37118.configuration import BITS, Analog, Configuration, Digital, Format, Phasor, Pmu
from protocols.c37118.encode import Measured
from protocols.c37118.plan import Binding, StreamPlan

_PHASORS: Final = frozenset({Quantity.MAGNITUDE, Quantity.ANGLE})
_DIGITALS: Final = frozenset({Quantity.BIT, Quantity.WORD})


def configuration_for(plan: StreamPlan, shape: Format | None = None) -> Configuration:
    """PMUs and channels as the plan's points name them, in the order of the map."""
    by_pmu: dict[str, list[Binding]] = {}
    for binding in plan.bindings:
        by_pmu.setdefault(binding.pmu, []).append(binding)
    shape = shape or Format()
    pmus = tuple(
        _pmu(wanted, bindings, plan.id + number, shape)
        for number, (wanted, bindings) in enumerate(by_pmu.items() or {"": []}.items())
    )
    rate = round(plan.rate) if plan.rate >= 1 else -round(1 / plan.rate)
    return Configuration(type=plan.configuration, id=plan.id, pmus=pmus, rate=rate)


def _pmu(wanted: str, bindings: list[Binding], number: int, shape: Format) -> Pmu:
    idcode = int(wanted) if wanted.isdecimal() else number
    return Pmu(
        name=wanted if wanted and not wanted.isdecimal() else f"PMU {idcode}",
        id=idcode,
        format=shape,
        phasors=tuple(Phasor(name=name) for name in _names(bindings, _PHASORS, "PH")),
        analogs=tuple(Analog(name=name) for name in _names(bindings, frozenset({Quantity.ANALOG}), "AN")),
        digitals=_digitals(bindings),
    )


def _names(bindings: Iterable[Binding], quantities: frozenset[Quantity], filler: str) -> list[str]:
    """By name in the order of the map; as many more as are bound by number."""
    channels = [binding.channel for binding in bindings if binding.channel.quantity in quantities]
    names = list(dict.fromkeys(channel.name for channel in channels if channel.name))
    most = max((channel.number for channel in channels), default=0)
    return names + [f"{filler} {number}" for number in range(len(names) + 1, most + 1)]


def _digitals(bindings: Iterable[Binding]) -> tuple[Digital, ...]:
    found = [binding.channel for binding in bindings if binding.channel.quantity in _DIGITALS]
    names = list(dict.fromkeys(channel.name for channel in found if channel.name))
    numbered = max((channel.number for channel in found), default=0)
    words = -(-len(names) // BITS)
    # Bits bound by number get words of their own where they can, so that no name stands on them.
    count = max(words, numbered)
    names = [""] * (count - words) * BITS + names
    names += [""] * (count * BITS - len(names))
    return tuple(Digital(names=tuple(names[at : at + BITS])) for at in range(0, len(names), BITS))


@dataclass(slots=True)
class Picture:
    """What the PMUs of a configuration measure, painted point by point in engineering units."""

    configuration: Configuration
    bindings: Mapping[int, list[Binding]]
    measured: list[Measured] = field(init=False)

    def __post_init__(self) -> None:
        self.measured = [Measured.nothing(pmu) for pmu in self.configuration.pmus]

    @classmethod
    def of(cls, found: Configuration, bindings: Iterable[Binding]) -> Picture:
        by_row: dict[int, list[Binding]] = {}
        for binding in bindings:
            by_row.setdefault(binding.row, []).append(binding)
        return cls(found, by_row)

    def paint(self, row: int, value: float) -> None:
        """Rows and channels that the configuration does not have are left out."""
        for binding in self.bindings.get(row, ()):
            try:
                index = find_pmu(self.configuration, binding.pmu)
                position, mask = find_channel(binding.channel, self.configuration.pmus[index])
            except Unresolved:
                continue
            raw = (value - binding.offset) / binding.scale
            if binding.channel.quantity is Quantity.ANGLE and not binding.radians:
                raw = math.radians(raw)
            _PAINT[binding.channel.quantity](self.measured[index], position, mask, raw)


def _frequency(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.frequency_hz = raw


def _rocof(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.rocof_hz_per_s = raw


def _magnitude(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.phasors[position] = (raw, measured.phasors[position][1])


def _angle(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.phasors[position] = (measured.phasors[position][0], raw)


def _analog(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.analogs[position] = raw


def _bits(word: int, mask: int, raw: float) -> int:
    """A whole word, or the bits of the mask on or off."""
    if mask == 0xFFFF:
        return int(raw) & 0xFFFF
    return word | mask if raw else word & ~mask


def _digital(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.digitals[position] = _bits(measured.digitals[position], mask, raw)


def _status(measured: Measured, position: int, mask: int, raw: float) -> None:
    measured.stat = _bits(measured.stat, mask, raw)


_PAINT: Final[dict[Quantity, Callable[[Measured, int, int, float], None]]] = {
    Quantity.FREQUENCY: _frequency,
    Quantity.ROCOF: _rocof,
    Quantity.MAGNITUDE: _magnitude,
    Quantity.ANGLE: _angle,
    Quantity.ANALOG: _analog,
    Quantity.WORD: _digital,
    Quantity.BIT: _digital,
    Quantity.STATUS: _status,
}


def without(found: Configuration, pmu: int, phasor: str) -> Configuration:
    """The same configuration with a phasor taken away and the change counted."""
    changed = found.pmus[pmu]
    phasors = tuple(each for each in changed.phasors if each.name != phasor)
    changed = replace(changed, phasors=phasors, changes=changed.changes + 1)
    return replace(found, pmus=(*found.pmus[:pmu], changed, *found.pmus[pmu + 1 :]))
