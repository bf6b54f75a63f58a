"""Commands as they come in: element to value and qualifier, and the memory of a select.

    SCO   S/E | QU (5) | . | SCS        DCO, RCO   S/E | QU (5) | DCS or RCS (2)        QOS   S/E | QL (7)

Qualifier of command: IEC 60870-5-101 7.2.6.26; of set-point command: 7.2.6.39.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.contracts import Pulse
from protocols.iec104 import elements as element_table
from protocols.iec104.elements import Elements, TypeRow

PULSES: Final[Mapping[int, Pulse]] = {0: Pulse.DEFAULT, 1: Pulse.SHORT, 2: Pulse.LONG, 3: Pulse.PERSISTENT}
_STATES: Final[Mapping[int, float]] = {1: 0.0, 2: 1.0}
"""Off and on of a double command, lower and higher of a step command; 0 and 3 are not permitted."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the element asks for. `image` is value and qualifier as sent, without the S/E bit and the time."""

    value: float
    select: bool
    pulse: Pulse
    image: bytes


@dataclass(frozen=True, slots=True)
class NoOrder:
    """The element asks for nothing that may be done; `text` says why, `value` what it was about (NaN if nothing)."""

    text: str
    value: float = math.nan


Decoder = Callable[[TypeRow, Elements, float, float], Order | NoOrder]


def _single(_row: TypeRow, element: Elements, _low: float, _high: float) -> Order | NoOrder:
    octet = int(element["sco"][0])
    return _switched(octet, float(octet & 1))


def _double(field: str) -> Decoder:
    def decode(_row: TypeRow, element: Elements, _low: float, _high: float) -> Order | NoOrder:
        octet = int(element[field][0])
        state = _STATES.get(octet & 3)
        if state is None:
            return NoOrder(f"state {octet & 3} is not permitted: 1 or 2 expected")
        return _switched(octet, state)

    return decode


def _switched(octet: int, state: float) -> Order | NoOrder:
    qualifier = octet >> 2 & 0x1F
    pulse = PULSES.get(qualifier)
    if pulse is None:
        return NoOrder(f"qualifier of command {qualifier} is reserved: 0 to 3 expected", state)
    return Order(state, octet > 0x7F, pulse, bytes([octet & 0x7F]))


def _setpoint(row: TypeRow, element: Elements, low: float, high: float) -> Order | NoOrder:
    octet = int(element["qos"][0])
    value = _value(row, element, low, high)
    if octet & 0x7F:
        return NoOrder(f"qualifier of set-point command {octet & 0x7F} is reserved: 0 expected", value)
    if not math.isfinite(value):
        return NoOrder(f"{value} is no number that can be written", value)
    name = row.element.fields[0][0]
    return Order(value, octet > 0x7F, Pulse.DEFAULT, element[name].tobytes())


def _bits(row: TypeRow, element: Elements, low: float, high: float) -> Order:
    return Order(_value(row, element, low, high), False, Pulse.DEFAULT, element["bsi"].tobytes())


def _value(row: TypeRow, element: Elements, low: float, high: float) -> float:
    return float(element_table.values(row, element, np.array([low]), np.array([high]))[0])


_DECODERS: Final[Mapping[int, Decoder]] = {
    45: _single,
    46: _double("dco"),
    47: _double("rco"),
    48: _setpoint,
    49: _setpoint,
    50: _setpoint,
    51: _bits,
}
"""By the untimed type identification."""

COMMAND_TYPES: Final = frozenset(
    row.id for row in element_table.TYPES.values() if row.untimed in _DECODERS or row.id in _DECODERS
)


def decode(row: TypeRow, element: Elements, low: float, high: float) -> Order | NoOrder:
    """The order in a command's element, or why value or qualifier are not permitted.

    `low` and `high` are the point's engineering range, which normalised values span.
    """
    return _DECODERS[row.untimed](row, element, low, high)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who selected: the link (a number that is not used twice) and the originator address."""

    link: int
    originator: int


@dataclass(slots=True)
class _Selection:
    asker: Asker
    image: bytes
    until: float
    confirmed: bool = False


class Selections:
    """Points selected for execution, by binding. A select holds for one execute by the same asker, or its timeout.

    It counts from the moment it is confirmed: until the broker has agreed nothing may be executed on it.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._held: dict[int, _Selection] = {}

    def select(self, binding: int, asker: Asker, image: bytes, now: float) -> bool:
        """Hold the point; False while another asker holds it. The same asker's new select replaces the old."""
        held = self._live(binding, now)
        if held is not None and held.asker != asker:
            return False
        self._held[binding] = _Selection(asker, image, now + self._timeout_s)
        return True

    def confirm(self, binding: int, asker: Asker, positive: bool) -> bool:
        """The broker's word on a select; False when it does not stand (any more)."""
        held = self._held.get(binding)
        if held is None or held.asker != asker:
            return False
        if positive:
            held.confirmed = True
        else:
            del self._held[binding]
        return positive

    def consume(self, binding: int, asker: Asker, image: bytes, now: float) -> bool | None:
        """An execute: True when it matches the select exactly, False when not, None when nothing is selected.

        The asker's own select is gone afterwards either way; another's stays.
        """
        held = self._live(binding, now)
        if held is None:
            return None
        if held.asker != asker:
            return False
        del self._held[binding]
        return held.confirmed and held.image == image

    def cancel(self, binding: int, asker: Asker, now: float) -> bool:
        """Deselect; False when this asker has nothing selected there."""
        held = self._live(binding, now)
        if held is None or held.asker != asker:
            return False
        del self._held[binding]
        return True

    def drop(self, bindings: set[int]) -> None:
        """Nothing is selected at these bindings any more."""
        self._held = {binding: held for binding, held in self._held.items() if binding not in bindings}

    def forget(self, link: int) -> None:
        """The link ended: its selects with it."""
        self._held = {binding: held for binding, held in self._held.items() if held.asker.link != link}

    def _live(self, binding: int, now: float) -> _Selection | None:
        held = self._held.get(binding)
        if held is not None and now >= held.until:
            del self._held[binding]
            return None
        return held
