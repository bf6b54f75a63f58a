"""Information elements in words: value, qualifier, quality and time tag of one object. Pure."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from protocols.iec104 import elements
from protocols.iec104.elements import Tag, TypeRow
from protocols.iec104.quality import BL, COUNTER_ADJUSTED, COUNTER_CARRY, IV, NT, OV, SB


@dataclass(frozen=True, slots=True)
class Shown:
    """One object: its type, its element, and unit and range of its point (NaN where there is none)."""

    row: TypeRow
    element: np.void
    unit: str
    low: float
    high: float

    def octet(self, field: str) -> int:
        """An integer field of the element."""
        return int(self.element[field])

    @property
    def value(self) -> float:
        """The engineering value, NaN when it cannot be known."""
        one = np.array([self.element], self.row.dtype)
        return float(elements.values(self.row, one, np.array([self.low]), np.array([self.high]))[0])


def object_words(shown: Shown) -> str:
    """What stands behind the address of one object."""
    fields = [name for name, _ in shown.row.element.fields]
    said = [_FIELDS[name](shown) if name in _FIELDS else f"{name} {shown.octet(name)}" for name in fields]
    if shown.row.tag:
        said.append(time_words(bytes(shown.element["time"].tobytes())))
    return " ".join(part for part in said if part)


def time_words(octets: bytes) -> str:
    """A CP56Time2a or CP24Time2a as the wall clock that it carries."""
    ms, minute = octets[0] | octets[1] << 8, octets[2] & 0x3F
    marks = " [time IV]" if octets[2] & IV else ""
    seconds = f"{minute:02d}:{ms // 1000:02d}.{ms % 1000:03d}"
    if len(octets) == Tag.CP24:
        return f"--:{seconds}{marks}"
    marks += " [SU]" if octets[3] & 0x80 else ""
    year = octets[6] & 0x7F
    try:
        day = datetime.date(year + (1900 if year >= 70 else 2000), octets[5] & 0x0F, octets[4] & 0x1F)
    except ValueError:
        return f"no date {octets.hex()}{marks}"
    return f"{day} {octets[3] & 0x1F:02d}:{seconds}{marks}"


def _flags(bits: int, names: Mapping[int, str]) -> str:
    found = [name for bit, name in names.items() if bits & bit]
    return f"[{' '.join(found)}]" if found else ""


_QUALITY: Final[Mapping[int, str]] = {IV: "IV", NT: "NT", SB: "SB", BL: "BL"}
_MEASURED: Final[Mapping[int, str]] = {**_QUALITY, OV: "OV"}
_COUNTED: Final[Mapping[int, str]] = {IV: "IV", COUNTER_ADJUSTED: "CA", COUNTER_CARRY: "CY"}

_DOUBLE: Final = ("intermediate", "open", "closed", "bad")
_SWITCHED: Final = ("off", "on")
_DOUBLE_COMMAND: Final = ("not permitted 0", "off", "on", "not permitted 3")
_STEP_COMMAND: Final = ("not permitted 0", "lower", "higher", "not permitted 3")
_PULSES: Final[Mapping[int, str]] = {0: "", 1: "short pulse", 2: "long pulse", 3: "persistent"}
_INITIALISED: Final[Mapping[int, str]] = {0: "power on", 1: "reset by hand", 2: "remote reset"}
_FREEZES: Final = ("read", "freeze", "freeze with reset", "reset")
_PARAMETERS: Final[Mapping[int, str]] = {1: "threshold", 2: "smoothing", 3: "low limit", 4: "high limit"}
_RESETS: Final[Mapping[int, str]] = {1: "reset of the process", 2: "reset of waiting events"}


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _number(shown: Shown) -> str:
    value = shown.value
    return _joined(f"{value:.7g}" if math.isfinite(value) else str(value), shown.unit)


def _normalised(shown: Shown) -> str:
    """In engineering units where the range is known and the type says how; else as the fraction on the wire."""
    if shown.row.element.decode is not None and math.isfinite(shown.low) and math.isfinite(shown.high):
        return _number(shown)
    return f"{shown.octet('nva') / 32_768:.5f} (normalised)"


def _raw(field: str) -> Callable[[Shown], str]:
    def words(shown: Shown) -> str:
        return f"{float(shown.element[field]):.7g}" if shown.row.element.decode is None else _number(shown)

    return words


def _single(shown: Shown) -> str:
    octet = shown.octet("siq")
    return _joined(_SWITCHED[octet & 1], _flags(octet & 0xF0, _QUALITY))


def _double(shown: Shown) -> str:
    octet = shown.octet("diq")
    return _joined(_DOUBLE[octet & 3], _flags(octet & 0xF0, _QUALITY))


def _step(shown: Shown) -> str:
    return _joined(_number(shown), "in transit" if shown.octet("vti") & 0x80 else "")


def _bits(shown: Shown) -> str:
    return f"0x{shown.octet('bsi'):08x}"


def _counter_quality(shown: Shown) -> str:
    octet = shown.octet("seq")
    return _joined(f"sequence {octet & 0x1F}" if octet & 0x1F else "", _flags(octet, _COUNTED))


def _switch(field: str, states: tuple[str, ...]) -> Callable[[Shown], str]:
    def words(shown: Shown) -> str:
        octet = shown.octet(field)
        qualifier = octet >> 2 & 0x1F
        pulse = _PULSES.get(qualifier, f"qualifier {qualifier}")
        return _joined(_step_of_command(octet), states[octet & (len(states) - 1)], pulse)

    return words


def _setpoint_qualifier(shown: Shown) -> str:
    octet = shown.octet("qos")
    return _joined(_step_of_command(octet), f"qualifier {octet & 0x7F}" if octet & 0x7F else "")


def _step_of_command(octet: int) -> str:
    return "select" if octet & 0x80 else "execute"


def _interrogation(shown: Shown) -> str:
    qualifier = shown.octet("qoi")
    if qualifier == 20:
        return "station"
    return f"group {qualifier - 20}" if 20 < qualifier <= 36 else f"qualifier {qualifier}"


def _counter_interrogation(shown: Shown) -> str:
    octet = shown.octet("qcc")
    request = octet & 0x3F
    what = "general" if request == 5 else f"group {request}" if 1 <= request <= 4 else f"request {request}"
    return f"{what}, {_FREEZES[octet >> 6]}"


def _parameter(shown: Shown) -> str:
    octet = shown.octet("qpm")
    kind = _PARAMETERS.get(octet & 0x3F, f"kind {octet & 0x3F}")
    return _joined(kind, "local change" if octet & 0x40 else "", "not in operation" if octet & 0x80 else "")


def _listed(field: str, words: Mapping[int, str], mask: int = 0xFF) -> Callable[[Shown], str]:
    def say(shown: Shown) -> str:
        value = shown.octet(field) & mask
        return words.get(value, f"{field} {value}")

    return say


_FIELDS: Final[Mapping[str, Callable[[Shown], str]]] = {
    "siq": _single,
    "diq": _double,
    "vti": _step,
    "bsi": _bits,
    "nva": _normalised,
    "sva": _raw("sva"),
    "r32": _raw("r32"),
    "bcr": _raw("bcr"),
    "qds": lambda shown: _flags(shown.octet("qds"), _MEASURED),
    "seq": _counter_quality,
    "coi": _listed("coi", _INITIALISED, 0x7F),
    "sco": _switch("sco", _SWITCHED),
    "dco": _switch("dco", _DOUBLE_COMMAND),
    "rco": _switch("rco", _STEP_COMMAND),
    "qos": _setpoint_qualifier,
    "qoi": _interrogation,
    "qcc": _counter_interrogation,
    "fbp": lambda shown: f"test pattern {shown.octet('fbp'):04x}",
    "tsc": lambda shown: f"test counter {shown.octet('tsc')}",
    "qrp": _listed("qrp", _RESETS),
    "qpm": _parameter,
    "qpa": lambda shown: f"qualifier {shown.octet('qpa')}",
}
"""By the field's name in `elements`."""
