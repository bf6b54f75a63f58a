"""The `model` and `field` of a map row, understood by the definitions. Used while a site is checked.

A field is the path of a point (``W``, ``Crv[0].Pt[2].V``), and for states the name of a symbol or the number of a bit
behind it (``Evt1.GROUND_FAULT``, ``Evt1.4``, ``St.MPPT``). Groups that repeat are counted from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.contracts.places import nearest
from protocols.sunspec.definitions import Definition, PointInfo
from protocols.sunspec.model import NUMBERS, Group, Path, Step
from protocols.sunspec.plan import Reading

_PART: Final = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<index>\d{1,5})\])?")


class FieldError(ValueError):
    """The field is not one of the model. The text is for a person."""


@dataclass(frozen=True, slots=True)
class Field:
    """A point of a model, and what of it is wanted."""

    path: Path
    info: PointInfo
    reading: Reading
    mark: int = 0

    @property
    def bits(self) -> bool:
        return self.info.point.type.startswith("bitfield")


def parse_field(text: str, found: Definition) -> Field:
    """Raises `FieldError`."""
    parts = text.removeprefix(f"{found.id}.").split(".")
    group, steps, names = found.group, list[Step](), list[str]()
    while len(parts) > 1 and (inner := _inner(group, parts[0])) is not None:
        index = _index(parts.pop(0), inner)
        group = inner
        steps.append((inner.name, index))
        names.append(inner.name)
    name, rest = parts[0], parts[1:]
    if group.point(name) is None:
        raise FieldError(_unknown(text, name, group, found))
    info = found.points[".".join((*names, name))]
    reading, mark = _mark(info, rest, text)
    return Field(Path(tuple(steps), name), info, reading, mark)


def _inner(group: Group, part: str) -> Group | None:
    match = _PART.fullmatch(part)
    return group.group(match["name"]) if match is not None else None


def _index(part: str, group: Group) -> int | None:
    match = _PART.fullmatch(part)
    index = match["index"] if match is not None else None
    if group.count is None and index is not None:
        raise FieldError(f"{group.name} does not repeat; expected {group.name} without a number")
    if group.count is not None and index is None:
        raise FieldError(f"{group.name} repeats; expected {group.name}[0], {group.name}[1], ...")
    return None if index is None else int(index)


def _unknown(text: str, name: str, group: Group, found: Definition) -> str:
    known = [*(point.name for point in group.points), *(inner.name for inner in group.groups)]
    return f"model {found.id} ({found.title}) has no field {text}{nearest(name.partition('[')[0], known)}"


def _mark(info: PointInfo, rest: Sequence[str], text: str) -> tuple[Reading, int]:
    if not rest:
        return Reading.NUMBER, 0
    symbol, kind = ".".join(rest), info.point.type
    if kind.startswith("bitfield"):
        width = 16 * info.point.size
        mark = int(symbol) if symbol.isdigit() else info.symbols.get(symbol, -1)
        if 0 <= mark < width:
            return Reading.BIT, mark
        raise FieldError(f"{text}: no such bit{nearest(symbol, info.symbols)}; expected a name or 0 to {width - 1}")
    if kind.startswith("enum"):
        mark = int(symbol) if symbol.isdigit() else info.symbols.get(symbol, -1)
        if mark >= 0:
            return Reading.STATE, mark
        known = ", ".join(info.symbols) or "a number"
        raise FieldError(f"{text}: no such state{nearest(symbol, info.symbols)}; expected one of {known}")
    raise FieldError(f"{text}: {info.point.name} is of type {kind}, which has no states")


_WORDS: Final = {"string": "a text", "ipaddr": "an address", "ipv6addr": "an address", "eui48": "an address"}


def readable(field: Field, kind: str) -> str:
    """Why a measured point of this kind cannot be read from the field; empty when it can."""
    type_ = field.info.point.type
    if type_ not in NUMBERS:
        what = _WORDS.get(type_, f"of type {type_}")
        return f"{field.path} is {what}, no value of a point (`gridgate sunspec scan` shows it)"
    if kind == "double":
        return "SunSpec has no double points; expected two rows of kind binary"
    if kind in ("analog", "counter") and field.reading is not Reading.NUMBER:
        return f"a state carries no {kind}; expected kind binary"
    if kind == "binary" and field.reading is Reading.NUMBER and not type_.startswith(("enum", "uint16")):
        return f"a whole {type_} is no binary; expected one of its bits or states behind a dot"
    return ""


def writable(field: Field, kind: str) -> str:
    """Why a command of this kind cannot be written to the field; empty when it can."""
    if not field.info.writable:
        return f"{field.path} cannot be written (access R in the definition)"
    if field.info.point.type not in NUMBERS:
        return f"{field.path} is of type {field.info.point.type}, which no command carries"
    if field.bits:
        return "bits are not written one by one; expected another field"
    if kind == "setpoint" and field.reading is not Reading.NUMBER:
        return "a state is written by a control, not by a setpoint"
    if kind == "control" and field.reading is Reading.NUMBER and not field.info.point.type.startswith(("enum", "uint")):
        return f"a control writes 0 or 1; {field.info.point.type} takes a setpoint"
    return ""


_COMPANIONS: Final[dict[int, dict[str, tuple[str, str]]]] = {
    123: {
        "Conn": ("Conn_RvrtTms", ""),
        "WMaxLimPct": ("WMaxLimPct_RvrtTms", "WMaxLim_Ena"),
        "WMaxLim_Ena": ("WMaxLimPct_RvrtTms", ""),
        "OutPFSet": ("OutPFSet_RvrtTms", "OutPFSet_Ena"),
        "OutPFSet_Ena": ("OutPFSet_RvrtTms", ""),
        "VArWMaxPct": ("VArPct_RvrtTms", "VArPct_Ena"),
        "VArMaxPct": ("VArPct_RvrtTms", "VArPct_Ena"),
        "VArAvalPct": ("VArPct_RvrtTms", "VArPct_Ena"),
        "VArPct_Ena": ("VArPct_RvrtTms", ""),
    },
    704: {
        "WMaxLimPct": ("WMaxLimPctRvrtTms", "WMaxLimPctEna"),
        "WMaxLimPctEna": ("WMaxLimPctRvrtTms", ""),
        "WSet": ("WSetRvrtTms", "WSetEna"),
        "WSetPct": ("WSetRvrtTms", "WSetEna"),
        "WSetEna": ("WSetRvrtTms", ""),
        "VarSet": ("VarSetRvrtTms", "VarSetEna"),
        "VarSetPct": ("VarSetRvrtTms", "VarSetEna"),
        "VarSetEna": ("VarSetRvrtTms", ""),
        "PFWInj.PF": ("PFWInjRvrtTms", "PFWInjEna"),
        "PFWInjEna": ("PFWInjRvrtTms", ""),
        "PFWAbs.PF": ("PFWAbsRvrtTms", "PFWAbsEna"),
        "PFWAbsEna": ("PFWAbsRvrtTms", ""),
    },
}
"""By model and field: the field of its reversion time, and the flag that puts it into force (empty: it is the flag)."""


def companions(model: int, path: Path) -> tuple[str, str]:
    """Fields of reversion time and enable flag; empty where there is none."""
    return _COMPANIONS.get(model, {}).get(str(path), ("", ""))
