"""The walk over a device's models: requests out, registers in. Pure.

The marker "SunS" stands at register 40000, 50000 or 0; the models follow one another, each with identifier and length;
identifier 0xFFFF ends them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Final

from protocols.sunspec.model import HEADER, Group, ModelError, Shape, count_points, counts_reach

BASES: Final = (40000, 50000, 0)
MARKER: Final = b"SunS"
END: Final = 0xFFFF
COMMON: Final = 1
MAX_MODELS: Final = 256
MAX_READ: Final = 125
_REGISTERS: Final = 65536

Ask = tuple[int, int]
"""First register and count, all of the holding table."""

Walk = Generator[Ask, bytes | None, "Survey"]
"""Yields what to read; is sent the registers, or None where the device refuses them."""


class NotSunSpec(Exception):
    """The device has no models. The text is for a person."""


@dataclass(frozen=True, slots=True)
class Found:
    """One model of a device; `address` is that of its ID register."""

    id: int
    instance: int
    address: int
    length: int

    def __str__(self) -> str:
        number = f" (number {self.instance})" if self.instance > 1 else ""
        return f"model {self.id}{number} at {self.address}"


@dataclass(slots=True)
class Survey:
    """What a walk found. `shapes`: models whose layout is known and right; `wrong`: why others are of no use."""

    base: int
    models: list[Found]
    shapes: dict[tuple[int, int], Shape] = field(default_factory=dict, compare=False)
    wrong: dict[tuple[int, int], str] = field(default_factory=dict)
    common: dict[str, str] = field(default_factory=dict)
    """Texts of the common model: Mn, Md, Opt, Vr, SN."""
    complete: bool = True
    """Whether the end of the models was found."""

    def model(self, number: int, instance: int = 1) -> Found | None:
        """This model; None when the device has it not."""
        return next((each for each in self.models if (each.id, each.instance) == (number, instance)), None)


def walk(definitions: Mapping[int, Group], base: int | None = None) -> Walk:
    """Find the models, and the layout of those with a definition. Raises `NotSunSpec`."""
    start = yield from _find_base(BASES if base is None else (base,))
    survey = Survey(start, [])
    yield from _models(survey)
    for found in survey.models:
        model = definitions.get(found.id)
        if model is not None:
            yield from _measure(survey, found, model)
        if found.id == COMMON and not survey.common:
            yield from _common(survey, found)
    return survey


def _find_base(bases: tuple[int, ...]) -> Generator[Ask, bytes | None, int]:
    seen = []
    for base in bases:
        data = yield base, 2
        if data == MARKER:
            return base
        seen.append(f"{base}: {'refused' if data is None else data.hex()}")
    raise NotSunSpec(f'no SunSpec marker "SunS" ({MARKER.hex()}) on the device; found at {", ".join(seen)}')


def _models(survey: Survey) -> Generator[Ask, bytes | None, None]:
    at, often = survey.base + 2, dict[int, int]()
    while at + HEADER <= _REGISTERS:
        data = yield at, HEADER
        if data is None:
            # Some devices end with the identifier alone.
            data = yield at, 1
            survey.complete = data is not None and int.from_bytes(data, "big") == END
            return
        number, length = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        if number == END:
            return
        if len(survey.models) >= MAX_MODELS:
            raise NotSunSpec(f"more than {MAX_MODELS} models: what stands at {survey.base} is no list of models")
        often[number] = often.get(number, 0) + 1
        found = Found(number, often[number], at, length)
        survey.models.append(found)
        if at + HEADER + length > _REGISTERS:
            survey.wrong[number, found.instance] = f"{found} has length {length}, which goes beyond the last register"
            break
        at += HEADER + length
    survey.complete = False


def _measure(survey: Survey, found: Found, model: Group) -> Generator[Ask, bytes | None, None]:
    key = (found.id, found.instance)
    if key in survey.wrong:
        return
    names, reach = count_points(model), counts_reach(model)
    data: bytes | None = b""
    if names:
        if reach > found.length + HEADER:
            survey.wrong[key] = f"{found} has length {found.length}: too short for its counts ({', '.join(names)})"
            return
        data = yield from registers(found.address, reach)
        if data is None:
            survey.wrong[key] = f"{found}: the device refuses to read its counts ({', '.join(names)})"
            return
    try:
        survey.shapes[key] = Shape(model, found.length, _counts(model, names, data or b""))
    except ModelError as error:
        survey.wrong[key] = f"{found} is not as SunSpec defines it: {error}"


def _counts(model: Group, names: list[str], data: bytes) -> dict[str, int]:
    out = {}
    for name in names:
        at = 2 * model.offset(name)
        number = int.from_bytes(data[at : at + 2], "big")
        out[name] = 0 if number == 0xFFFF else number
    return out


def registers(address: int, count: int) -> Generator[Ask, bytes | None, bytes | None]:
    """So many registers in as many reads as needed; None when one is refused."""
    out = b""
    while count > 0:
        size = min(count, MAX_READ)
        data = yield address, size
        if data is None:
            return None
        out, address, count = out + data, address + size, count - size
    return out


_COMMON_TEXTS: Final = (("Mn", 2, 16), ("Md", 18, 16), ("Opt", 34, 8), ("Vr", 42, 8), ("SN", 50, 16))


def _common(survey: Survey, found: Found) -> Generator[Ask, bytes | None, None]:
    last = max(offset + size for _, offset, size in _COMMON_TEXTS)
    if found.length + HEADER < last:
        return
    data = yield from registers(found.address, last)
    if data is not None:
        survey.common = {name: text(data[2 * at : 2 * (at + size)]) for name, at, size in _COMMON_TEXTS}


def text(data: bytes) -> str:
    """A string of the specification: UTF-8, filled up with NUL; what cannot be printed is a question mark."""
    return "".join(c if c.isprintable() else "?" for c in data.split(b"\0")[0].decode("utf-8", "replace")).strip()
