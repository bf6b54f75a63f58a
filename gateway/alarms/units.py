"""To which class of measurement a unit belongs, for the dead band to start with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_UNITS: Final[Mapping[str, tuple[str, ...]]] = {
    "temperature": ("°c", "degc", "c", "k", "°f", "degf", "℃"),
    "pressure": ("bar", "mbar", "pa", "hpa", "kpa", "mpa", "psi"),
    "flow": ("l/s", "l/min", "l/h", "m3/s", "m3/h", "m³/s", "m³/h", "kg/s", "kg/h", "t/h"),
    "level": ("m", "cm", "mm"),
    "frequency": ("hz", "mhz"),
}
_CLASS: Final = {unit: name for name, units in _UNITS.items() for unit in units}


def unit_class(unit: str) -> str:
    """``temperature``, ``pressure``, ``flow``, ``level``, ``frequency`` or ``other``."""
    return _CLASS.get(unit.strip().lower(), "other")
