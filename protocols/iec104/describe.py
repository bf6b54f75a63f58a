"""The octets of a link in words, one line a frame, for `gridgate trace`. Pure; never raises for what a peer sent.

    I N(S)=5 N(R)=3 M_ME_TF_1 spontaneous ca 1: 4101 poi/frequency 49.982 Hz 2026-11-03 14:03:04.123
    I N(S)=1 N(R)=2 C_SC_NA_1 activation ca 1: 6001 bess1/pcs/run execute on
    S N(R)=8
    U STARTDT act

Quality flags and P/N are the standard's letters in brackets. Time tags show the wall clock that they carry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from gateway.contracts import DescribedFrame
from gateway.points import PointCatalogue
from protocols.iec104 import apci
from protocols.iec104.apci import MAX_LENGTH, MIN_LENGTH, MODULUS, START, IFrame, SFrame, U
from protocols.iec104.asdu import Asdu
from protocols.iec104.elements import TYPES
from protocols.iec104.elementwords import Shown, object_words
from protocols.iec104.errors import Iec104Error
from protocols.iec104.plan import ServerPlan
from protocols.iec104.why import why

OBJECTS_SHOWN: Final = 4
"""Of a long ASDU, unless everything is asked for."""
_JUNK_SHOWN: Final = 16

_CAUSES: Final[Mapping[int, str]] = {
    1: "periodic",
    2: "background scan",
    3: "spontaneous",
    4: "initialised",
    5: "requested",
    6: "activation",
    7: "activation confirmed",
    8: "deactivation",
    9: "deactivation confirmed",
    10: "activation terminated",
    11: "return information, remote",
    12: "return information, local",
    13: "file transfer",
    20: "interrogated by station",
    **{20 + group: f"interrogated by group {group}" for group in range(1, 17)},
    37: "counters requested",
    **{37 + group: f"counters requested by group {group}" for group in range(1, 5)},
    44: "unknown type",
    45: "unknown cause",
    46: "unknown common address",
    47: "unknown ioa",
}

_OTHER_TYPES: Final[Mapping[int, str]] = {
    **dict(zip(range(17, 21), ("M_EP_TA_1", "M_EP_TB_1", "M_EP_TC_1", "M_PS_NA_1"), strict=True)),
    **dict(zip(range(38, 41), ("M_EP_TD_1", "M_EP_TE_1", "M_EP_TF_1"), strict=True)),
    106: "C_CD_NA_1",
    120: "F_FR_NA_1",
    121: "F_SR_NA_1",
    122: "F_SC_NA_1",
    123: "F_LS_NA_1",
    124: "F_AF_NA_1",
    125: "F_SG_NA_1",
    126: "F_DR_TA_1",
    127: "F_SC_NB_1",
}
"""Types of the standard that this package does not know the inside of."""


def cause_words(cause: int) -> str:
    """A cause of transmission in words."""
    return _CAUSES.get(cause, f"cause {cause}")


class Describer:
    """One link of one master. Implements `gateway.contracts.FrameDescriber`."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, master: str, full: bool = False) -> None:
        """Raises `KeyError` when the plan has no such master."""
        found = next((candidate for candidate in plan.masters if candidate.name == master), None)
        if found is None:
            raise KeyError(master)
        self._master = found
        columns = found.bindings
        keys = columns.ca.astype(np.uint64) << np.uint64(24) | columns.ioa
        self._rows: dict[int, int] = dict(zip(keys.tolist(), columns.row.tolist(), strict=True))
        self._bindings: dict[int, int] = {key: at for at, key in enumerate(keys.tolist())}
        self._catalogue = catalogue
        self._shown = MAX_LENGTH if full else OBJECTS_SHOWN
        self._sides = {True: _Side(), False: _Side()}

    def feed(self, outgoing: bool, data: bytes) -> list[DescribedFrame]:
        """Complete frames in these octets and what was left of earlier ones."""
        side = self._sides[outgoing]
        return [DescribedFrame(frame, self._words(side, frame)) for frame in side.cut(data)]

    def why(self, outgoing: bool, data: bytes) -> list[str]:
        """See `FrameDescriber`."""
        if not data or not _whole(data):
            return ["These octets are no frame."]
        return why(self._master, self._catalogue, lambda ca, ioa: self._bindings.get(ca << 24 | ioa), outgoing, data)

    def _words(self, side: _Side, data: bytes) -> str:
        if not _whole(data):
            more = "..." if len(data) > _JUNK_SHOWN else ""
            return f"malformed: {len(data)} octets that begin no frame: {data[:_JUNK_SHOWN].hex()}{more}"
        try:
            frame = apci.decode(data)
        except Iec104Error as error:
            return f"malformed: {error}"
        if isinstance(frame, IFrame):
            return f"I N(S)={frame.ssn}{side.gap(frame.ssn)} N(R)={frame.rsn} {self._asdu(frame.asdu)}"
        return f"S N(R)={frame.rsn}" if isinstance(frame, SFrame) else f"U {_u_words(frame.function)}"

    def _asdu(self, raw: bytes) -> str:
        try:
            asdu = Asdu.parse(raw)
        except Iec104Error as error:
            return f"malformed: {error}"
        marks = "".join(mark for mark, is_set in ((" [P/N negative]", asdu.negative), (" [test]", asdu.test)) if is_set)
        origin = f" originator {asdu.originator}" if asdu.originator else ""
        head = f"{_type_name(asdu.type_id)} {cause_words(asdu.cause)}{marks}{origin} ca {asdu.common_address}"
        return f"{head}: {self._objects(asdu)}"

    def _objects(self, asdu: Asdu) -> str:
        if asdu.type_id not in TYPES:
            return f"{asdu.count} objects from ioa {asdu.ioa}, not known here: {asdu.raw[6:].hex()}"
        try:
            ioas, elements = asdu.objects()
        except Iec104Error as error:
            return f"malformed: {error}"
        row = TYPES[asdu.type_id]
        words = []
        for ioa, element in zip(ioas[: self._shown].tolist(), elements[: self._shown], strict=True):
            name, unit, low, high = self._point(asdu.common_address, ioa)
            said = object_words(Shown(row, element, unit, low, high))
            words.append(" ".join(part for part in (str(ioa) if ioa or name else "", name, said) if part))
        if len(ioas) > self._shown:
            words.append(f"and {len(ioas) - self._shown} more")
        return "; ".join(words) or "no objects"

    def _point(self, address: int, ioa: int) -> tuple[str, str, float, float]:
        """Name, unit and range of the point at an address; no name for ioa 0, which is no point."""
        row = self._rows.get(address << 24 | ioa)
        if row is None:
            return ("(not in the map)" if ioa else ""), "", float("nan"), float("nan")
        catalogue = self._catalogue
        return catalogue.names[row], catalogue.units[row], float(catalogue.low[row]), float(catalogue.high[row])


def _u_words(function: U) -> str:
    name, _, step = function.name.partition("_")
    return f"{name} {step.lower()}"


def _type_name(type_id: int) -> str:
    row = TYPES.get(type_id)
    return row.name if row is not None else _OTHER_TYPES.get(type_id, f"type {type_id}")


class _Side:
    """One direction: octets cut into frames. What is no frame is given as it is, up to the next possible start."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._expected: int | None = None

    def gap(self, ssn: int) -> str:
        """A word about N(S) when it does not follow the last one seen."""
        expected, self._expected = self._expected, (ssn + 1) % MODULUS
        return "" if expected in (None, ssn) else f" (expected {expected})"

    def cut(self, data: bytes) -> Iterator[bytes]:
        buffer = self._buffer
        buffer += data
        at = 0
        while at < len(buffer):
            size = _frame_size(buffer, at)
            if size is None:
                break
            yield bytes(buffer[at : at + size])
            at += size
        del buffer[:at]


def _frame_size(buffer: bytearray, at: int) -> int | None:
    """Octets of the frame, or of what is none, at `at`; None while more must come."""
    if not _may_start(buffer, at):
        end = at + 1
        while end < len(buffer) and not _may_start(buffer, end):
            end = found if (found := buffer.find(START, end + 1)) >= 0 else len(buffer)
        return end - at
    if len(buffer) < at + 2 or len(buffer) < at + 2 + buffer[at + 1]:
        return None
    return buffer[at + 1] + 2


def _whole(data: bytes) -> bool:
    """This is a frame, not octets between frames."""
    return data[0] == START and len(data) >= MIN_LENGTH + 2 and data[1] == len(data) - 2


def _may_start(buffer: bytearray, at: int) -> bool:
    """A start octet, and behind it a length that exists if it has come already."""
    return buffer[at] == START and (at + 1 == len(buffer) or MIN_LENGTH <= buffer[at + 1] <= MAX_LENGTH)
