"""An outstation of this code, on the bench: asked for everything there is to ask, and what it did. Pure.

The implementation table of the device profile is written from what is seen here, not from a list that someone keeps by
hand. The examined outstation has two points of every type, at index 0 and at one that needs two octets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from gateway.contracts import Outcome, Stage
from gateway.points import Qualities, Times, Values, changes
from protocols.dnp3.application import AppControl, Fragment, parse_fragment
from protocols.dnp3.effects import Effect, Send, Submit
from protocols.dnp3.function import Function
from protocols.dnp3.headers import QUALIFIERS, all_head, count_head, read_headers
from protocols.dnp3.iin import REQUEST_ERRORS
from protocols.dnp3.objecttable import GROUPS, OBJECTS, ObjectKind, ObjectRow
from protocols.dnp3.outstation import Outstation
from protocols.dnp3.plan import BindingColumns, MasterPlan, Mode
from protocols.dnp3.pointtypes import FROZEN_OF, TYPES, PointType
from protocols.dnp3.requests import HANDLERS, SILENT

_FAR: Final = 300
_WALL_NS: Final = 1_700_000_000_000_000_000
_NOW: Final = 100.0
_RESTART_BIT: Final = 7
_CROB: Final = bytes((3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
_CLASS_1: Final = 2
_LATER_S: Final = 7_200.0
"""Longer than any hold-off."""
ANSWERED_AS: Final[Mapping[int, int]] = {silent: silent - 1 for silent in SILENT}
"""A function without an answer is carried out like the one before it, by the same handler."""

Key = tuple[int, int]
"""Group and variation."""


@dataclass(slots=True)
class Findings:
    """Qualifiers by function, by object. `bare`: functions that are carried out without an object."""

    requests: dict[Key, dict[int, set[int]]] = field(default_factory=dict)
    responses: dict[Key, dict[int, set[int]]] = field(default_factory=dict)
    bare: list[int] = field(default_factory=list)

    @property
    def functions(self) -> frozenset[int]:
        """Function codes of requests that are carried out."""
        return frozenset(self.bare).union(*self.requests.values())

    def _note(self, table: dict[Key, dict[int, set[int]]], key: Key, function: int, qualifier: int) -> None:
        table.setdefault(key, {}).setdefault(function, set()).add(qualifier)

    def asked(self, key: Key, function: int, qualifier: int) -> None:
        """A request with this object was carried out."""
        self._note(self.requests, key, function, qualifier)

    def answered(self, key: Key, function: int, qualifier: int) -> None:
        """This object came in a response."""
        self._note(self.responses, key, function, qualifier)


@dataclass(slots=True)
class _Table:
    """Values of the examined points."""

    value: Values
    quality: Qualities
    time_ns: Times


def examine(master: MasterPlan) -> Findings:
    """Ask an outstation that is set as this master's for everything."""
    findings = Findings()
    _ask_for_objects(master, findings)
    _ask_bare(master, findings)
    if master.unsolicited is not None:
        _listen(master, findings)
    return findings


class _Examined:
    """The outstation, with an event of every kind that waits and is never confirmed."""

    def __init__(self, master: MasterPlan, unsolicited: bool = False) -> None:
        plan = replace(
            master,
            bindings=_every_type(master),
            unsolicited=master.unsolicited if unsolicited else None,
            # Rows of the site's table, which is not the one examined here.
            local_remote=None,
            devices=np.empty(0, np.uint32),
        )
        rows = len(TYPES) * 2
        table = _Table(np.ones(rows), np.zeros(rows, np.uint32), np.full(rows, _WALL_NS))
        self.outstation = Outstation(plan, table)
        self.outstation.store.begin()
        self.outstation.connect()
        self._seq = 0
        self._change(table)

    def _change(self, table: _Table) -> None:
        outstation, rows = self.outstation, np.arange(len(table.value), dtype=np.uint32)
        table.value[:] = 2.0
        outstation.changes(changes(rows, table.value, table.quality, table.time_ns), len(rows))
        for position in range(len(outstation.plan.bindings)):
            outstation.store.commanded(position, 1.0, 0, _WALL_NS)
        # Frozen points have a value, and an event.
        for running in FROZEN_OF:
            self.ask(Function.IMMEDIATE_FREEZE, all_head(TYPES[running].static_group, 0))

    def ask(self, function: int, payload: bytes) -> list[Fragment]:
        """Responses to one request; commands succeed."""
        self._seq = (self._seq + 1) & 0x0F
        octets = Fragment(AppControl(self._seq), function, None, payload).encode()
        return self.hear(self.outstation.receive(octets, _NOW, _WALL_NS))

    def hear(self, effects: list[Effect]) -> list[Fragment]:
        """Fragments among the effects, and what comes of commands."""
        found = []
        for effect in effects:
            if isinstance(effect, Send):
                fragment = parse_fragment(effect.octets)
                found.append(fragment)
                found += self._confirmed(fragment)
            elif isinstance(effect, Submit) and effect.refusal is None:
                outcome = Outcome(id=effect.ticket, stage=Stage.COMPLETED)
                found += self.hear(self.outstation.outcome(effect.ticket, outcome, _NOW, _WALL_NS))
        return found

    def _confirmed(self, fragment: Fragment) -> list[Fragment]:
        """The null response at the beginning is confirmed; events never are."""
        if fragment.function != Function.UNSOLICITED_RESPONSE or fragment.payload:
            return []
        confirmation = Fragment(AppControl(fragment.control.seq, uns=True), Function.CONFIRM)
        return self.hear(self.outstation.receive(confirmation.encode(), _NOW, _WALL_NS))


def _every_type(master: MasterPlan) -> BindingColumns:
    """Two points of each type in class 1 with events of commands; frozen points are those that are frozen."""
    frozen = {frozen: running for running, frozen in FROZEN_OF.items()}
    entries = [(kind, index) for kind in PointType for index in (0, _FAR)]
    rows = [int(frozen.get(kind, kind)) * 2 + (index == _FAR) for kind, index in entries]
    types = [TYPES[kind] for kind, _ in entries]
    size = len(entries)
    commanded = np.array([row.commanded for row in types])
    return BindingColumns(
        row=np.array(rows, np.uint32),
        type=np.array([kind for kind, _ in entries], np.uint8),
        index=np.array([index for _, index in entries], np.uint16),
        event_class=np.ones(size, np.uint8),
        class_0=np.ones(size, np.bool_),
        static_var=np.array([row.static for row in types], np.uint8),
        event_var=np.array([row.event for row in types], np.uint8),
        command_event_var=np.where(commanded, 1, 0).astype(np.uint8),
        limit=np.full(size, np.nan),
        newest_only=np.zeros(size, np.bool_),
        mode=np.where(commanded & master.commands, int(Mode.DIRECT | Mode.SELECT), 0).astype(np.uint8),
        controls=np.full(size, 7, np.uint8),
        scale=np.ones(size),
        offset=np.zeros(size),
    )


def _keys() -> Iterator[Key]:
    """Everything that could be asked for: each object, and variation 0 of each group."""
    yield from sorted({*OBJECTS, *((group, 0) for group in GROUPS), (0, 254), (0, 255)})


def _ask_for_objects(master: MasterPlan, findings: Findings) -> None:
    examined = _Examined(master)
    for key in _keys():
        for function in sorted(set(HANDLERS) - SILENT):
            for qualifier in sorted(QUALIFIERS):
                _try(examined, findings, key, function, qualifier)
    for silent, answered in ANSWERED_AS.items():
        for table in findings.requests.values():
            if answered in table:
                table[silent] = set(table[answered])


def _try(examined: _Examined, findings: Findings, key: Key, function: int, qualifier: int) -> None:
    payload = _payload(key, function, qualifier)
    if payload is None:
        return
    if function == Function.OPERATE and not _accepted(examined.ask(Function.SELECT, payload)):
        return
    answers = examined.ask(function, payload)
    if not _accepted(answers):
        return
    findings.asked(key, function, qualifier)
    for fragment in answers:
        _note_objects(findings, fragment)


def _accepted(answers: list[Fragment]) -> bool:
    """Carried out: no indication speaks against the request, and no status against a control."""
    if not answers or answers[0].iin is None or answers[0].iin & REQUEST_ERRORS:
        return False
    headers, _, _ = read_headers(answers[0].payload, answers[0].function)
    controls = [header for header in headers if header.row is not None and header.row.kind is ObjectKind.COMMAND]
    return all(not octets[-1] for header in controls for octets in header.objects())


def _note_objects(findings: Findings, fragment: Fragment) -> None:
    headers, _, _ = read_headers(fragment.payload, fragment.function)
    for header in headers:
        findings.answered((header.group, header.variation), fragment.function, header.qualifier)


_CARRIES_DATA: Final = frozenset({Function.WRITE, Function.SELECT, Function.OPERATE, Function.DIRECT_OPERATE})
_FREEZES_LATER: Final = frozenset({Function.FREEZE_AT_TIME})
_LEADS: Final[Mapping[int, bytes]] = {
    Function.FREEZE_AT_TIME: count_head(50, 2, 1) + b"\xff" * 6 + bytes(4),
    Function.ASSIGN_CLASS: all_head(60, _CLASS_1),
}
"""What stands before the object that is tried."""
_OWN_LEAD: Final = frozenset({(50, 2), (60, 1), (60, 2), (60, 3), (60, 4)})
_BARE: Final = frozenset(
    {Function.COLD_RESTART, Function.WARM_RESTART, Function.DELAY_MEASURE, Function.RECORD_CURRENT_TIME}
)
"""Functions without objects."""


def _payload(key: Key, function: int, qualifier: int) -> bytes | None:
    """A request's objects with this one among them; None where it would make no sense to ask."""
    group, variation = key
    if function in _BARE or (group == 0 and function != Function.READ):
        return None
    row = OBJECTS.get(key)
    data = _sample(row) if function in _CARRIES_DATA else b""
    if data is None:
        return None
    lead = _LEADS.get(function, b"")
    if lead and key in _OWN_LEAD:
        return _led(key, function, qualifier, lead)
    return lead + _header(group, variation, qualifier, data)


def _led(key: Key, function: int, qualifier: int, lead: bytes) -> bytes | None:
    """The object that leads, itself: followed by one that it is for."""
    follows = all_head(20, 0)
    if key == (50, 2) and function in _FREEZES_LATER:
        return _header(50, 2, qualifier, lead[-10:]) + follows
    if key[0] == 60 and function == Function.ASSIGN_CLASS:
        return _header(*key, qualifier, b"") + follows
    return None


def _sample(row: ObjectRow | None) -> bytes | None:
    """Octets of an object that mean something."""
    if row is None or row.kind is ObjectKind.CLASS:
        return None
    return _CROB if row.key == (12, 1) else bytes(row.octets(1))


_PREFIXES: Final[Mapping[int, bytes]] = {0x07: b"\x01", 0x08: b"\x01\x00", 0x17: b"\x01\x00", 0x28: b"\x01\x00\x00\x00"}


def _header(group: int, variation: int, qualifier: int, data: bytes) -> bytes:
    first = _RESTART_BIT if group == 80 and data else 0
    ranges = {0x00: bytes((first, first)), 0x01: bytes((first, 0, first, 0)), 0x06: b""}
    octets = b"" if qualifier == 0x06 else data
    return bytes((group, variation, qualifier)) + ranges.get(qualifier, _PREFIXES.get(qualifier, b"")) + octets


def _ask_bare(master: MasterPlan, findings: Findings) -> None:
    for function in range(1, int(Function.RESPONSE)):
        if function in SILENT or (function in HANDLERS and function not in _BARE):
            continue
        answers = _Examined(master).ask(function, b"")
        if _accepted(answers):
            findings.bare.append(function)
            for fragment in answers:
                _note_objects(findings, fragment)


def _listen(master: MasterPlan, findings: Findings) -> None:
    """Objects of unsolicited responses, and the requests that allow them."""
    for number in (1, 2, 3):
        key = (60, number + 1)
        for function in (Function.ENABLE_UNSOLICITED, Function.DISABLE_UNSOLICITED):
            for qualifier in sorted(QUALIFIERS):
                if _accepted(_Examined(master, True).ask(function, _header(*key, qualifier, b""))):
                    findings.asked(key, function, qualifier)
    examined = _Examined(master, True)
    fragments = examined.ask(Function.ENABLE_UNSOLICITED, b"".join(all_head(60, number + 1) for number in (1, 2, 3)))
    late = examined.hear(examined.outstation.work(_NOW + _LATER_S, _WALL_NS))
    for fragment in [*fragments, *late]:
        if fragment.function == Function.UNSOLICITED_RESPONSE:
            _note_objects(findings, fragment)
