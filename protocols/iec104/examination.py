"""A controlled station of this code, on the bench: asked for everything there is to ask, and what it did. Pure.

The interoperability statement is written from what is seen here, not from a list that someone keeps by hand. The
examined station serves one point of every type that the configuration accepts, all in group 1, sent cyclically.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from gateway.contracts import Outcome, Place, Reason, Report, Stage
from gateway.contracts.settings import MasterRowSource
from gateway.points import NO_ROW, Point, PointCatalogue, changes
from protocols.iec104 import apci, time56
from protocols.iec104.apci import FrameReader, IFrame, U
from protocols.iec104.asdu import HEAD, Asdu, Cause, single
from protocols.iec104.compile import compile_rows
from protocols.iec104.connection import ApciParameters
from protocols.iec104.elements import TYPES, Tag, TypeRow
from protocols.iec104.errors import Iec104Error
from protocols.iec104.group import Group
from protocols.iec104.plan import MasterPlan, ServerPlan
from protocols.iec104.session import Session, SetClock, Submit
from protocols.iec104.settings import Iec104Row
from protocols.iec104.station import Station, StationOptions

CA: Final = 1
_ELSEWHERE: Final = 2
"""A common address that the examined station does not have."""
_NOBODY: Final = 9_999_999
"""An ioa where nothing is."""
_FIRST_IOA: Final = 1_000
_GROUP: Final = 1
_PERIOD_S: Final = 1.0
_SPAN: Final = 1_000.0
_WALL_NS: Final = 1_700_000_000_000_000_000

UNKNOWN: Final = frozenset(
    {int(Cause.UNKNOWN_TYPE), int(Cause.UNKNOWN_CAUSE), int(Cause.UNKNOWN_ADDRESS), int(Cause.UNKNOWN_IOA)}
)
REQUESTS: Final = (int(Cause.REQUEST), int(Cause.ACTIVATION), int(Cause.DEACTIVATION))
"""Causes with which a controlling station may speak."""

_SAMPLE: Final = {"sco": 1, "dco": 1, "rco": 1, "qoi": 20, "qcc": 5, "fbp": 0x55AA, "qrp": 1, "qpm": 1, "qpa": 3}
"""A value that means something, for the fields of which 0 is not permitted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An ASDU that the station sent."""

    type_id: int
    cause: int
    negative: bool
    ioa: int


@dataclass(slots=True)
class Findings:
    """What was seen. `sent` and `taken`: causes by type identification, of the station and of the controlling side."""

    sent: dict[int, set[int]] = field(default_factory=dict)
    taken: dict[int, set[int]] = field(default_factory=dict)
    unknown: dict[int, set[int]] = field(default_factory=dict)
    """Causes 44 to 47 with which a request of this type was turned away."""
    points: frozenset[int] = frozenset()
    """Types that the configuration accepts for a point or a command."""

    @property
    def served(self) -> frozenset[int]:
        """Types that may be sent to the station."""
        return frozenset(self.taken)

    def causes(self, type_id: int) -> set[int]:
        """All causes with which this type was seen; that what the station itself sends is not taken goes without."""
        own = self.sent.get(type_id, set()) | self.taken.get(type_id, set())
        return own if type_id in self.points and not self.taken.get(type_id) else own | self.unknown.get(type_id, set())


class Examined:
    """The station and its one link. `ask` says something and takes all that comes back."""

    def __init__(self, plan: ServerPlan) -> None:
        self.plan = plan
        self.zone = time56.Zone(plan.time_zone, day_of_week=plan.day_of_week)
        self.ioas, catalogue, sources = _every_type()
        self._table = _Table(len(catalogue))
        master = MasterPlan(
            name="examiner",
            addresses=("127.0.0.1",),
            bindings=compile_rows(sources, catalogue, Report()),
            commands=any(master.commands for master in plan.masters),
            clock=any(master.clock for master in plan.masters),
            parameters=any(master.parameters for master in plan.masters),
        )
        station = Station(master, catalogue, self.zone, self._table, _options(plan))
        station.begin()
        self.group = Group(station)
        self._rows = len(catalogue)
        self._seq = 0
        self._now = 0.0
        self.findings = Findings(points=frozenset(self.ioas))
        self._connect()

    def _connect(self) -> None:
        self._session = Session(self.group.station, ApciParameters(), self._now)
        self._reader = FrameReader()
        self._vs = self._vr = 0
        self.group.join(self._session)
        self._note(self._say(apci.encode_u(U.STARTDT_ACT)))

    def ask(self, type_id: int, cause: int, ioa: int, element: bytes | None = None, ca: int = CA) -> list[Answer]:
        """One request (by default with an element that means something) and everything that the station sends then."""
        octets = self.sample(type_id) if element is None else element
        frame = apci.encode_i(self._vs, self._vr, single(type_id, cause, ca, ioa, octets))
        self._vs = (self._vs + 1) % apci.MODULUS
        answers = self._say(frame)
        self._note(answers)
        known = {answer.cause for answer in answers if answer.type_id == type_id} & UNKNOWN
        if known:
            self.findings.unknown.setdefault(type_id, set()).update(known)
        elif answers:
            self.findings.taken.setdefault(type_id, set()).add(cause)
        return answers

    def confirms(self, type_id: int, ioa: int, element: bytes | None = None, cause: int = Cause.ACTIVATION) -> bool:
        """The request is confirmed positive."""
        answers = self.ask(type_id, cause, ioa, element)
        return any(
            answer.type_id == type_id and answer.cause == cause + 1 and not answer.negative for answer in answers
        )

    def happen(self, remote: bool | None = None) -> list[Answer]:
        """Every measured point changes, by itself or by a command from afar or at the site; then a period passes."""
        rows = np.arange(self._rows)
        self._seq += self._rows
        self._table.value += 1.0
        station = self.group.station
        for row in rows.tolist() if remote is not None else ():
            station.commanded(row, NO_ROW, bool(remote), self._now + _PERIOD_S)
        batch = changes(rows, self._table.value, self._table.quality, self._table.time_ns)
        station.changes(batch, self._seq, self._now)
        answers = self._drain()
        self._now += _PERIOD_S * 1.5
        self._apply(self._session.on_time(self._now))
        answers += self._drain()
        self._note(answers)
        return answers

    def sample(self, type_id: int) -> bytes:
        """An element of this type that means something; one octet for a type that this code does not know."""
        row = TYPES.get(type_id)
        if row is None:
            return b"\x00"
        out = np.zeros(1, row.dtype)
        for name, _ in row.element.fields:
            out[name] = _SAMPLE.get(name, 0)
        if row.tag is Tag.CP56:
            out["time"] = time56.encode(np.array([_WALL_NS]), np.array([False]), self.zone)
        return out.tobytes()

    def element(self, type_id: int, **octets: int) -> bytes:
        """A sample with these fields changed."""
        row = TYPES[type_id]
        out = np.frombuffer(self.sample(type_id), row.dtype).copy()
        for name, value in octets.items():
            out[name] = value
        return out.tobytes()

    def _note(self, answers: list[Answer]) -> None:
        for answer in answers:
            if answer.cause not in UNKNOWN:
                self.findings.sent.setdefault(answer.type_id, set()).add(answer.cause)

    def _say(self, data: bytes) -> list[Answer]:
        closed = self._apply(self._session.receive(data, self._now, _WALL_NS))
        answers = self._drain()
        if closed:
            self.group.leave(self._session)
            self._connect()
        return answers

    def _apply(self, effects: list[Any]) -> bool:
        """Play broker and shell; True when the link is to be closed."""
        closed = False
        for effect in self.group.apply(self._session, effects, self._now):
            if isinstance(effect, Submit):
                refused = effect.test or effect.refusal is not Reason.OK
                for stage in (Stage.REFUSED,) if refused else (Stage.ACCEPTED, Stage.COMPLETED):
                    self._session.outcome(effect.ticket, Outcome(id=1, stage=stage, reason=effect.refusal))
            elif isinstance(effect, SetClock):
                self._session.clock_set(effect.request, True)
            else:
                closed = True
        return closed

    def _drain(self) -> list[Answer]:
        answers: list[Answer] = []
        while data := self._session.produce(self._now):
            for frame in self._reader.feed(data):
                if isinstance(frame, IFrame):
                    self._vr = (frame.ssn + 1) % apci.MODULUS
                    answers.extend(_answers(frame.asdu))
            self._apply(self._session.receive(apci.encode_s(self._vr), self._now, _WALL_NS))
        return answers


class _Table:
    """What the worker's mirror would be: every point good."""

    def __init__(self, size: int) -> None:
        self.value = np.zeros(size, np.float64)
        self.quality = np.zeros(size, np.uint32)
        self.time_ns = np.full(size, _WALL_NS, np.int64)


def examine(plan: ServerPlan) -> Examined:
    """Ask for everything: all types of the control direction with all causes, and let every point change."""
    examined = Examined(plan)
    for remote in (None, True, False):
        examined.happen(remote)
    for type_id in range(1, 128):
        examined.ask(type_id, Cause.SPONTANEOUS, 0)
        for cause in REQUESTS:
            if int(Cause.UNKNOWN_TYPE) in examined.findings.unknown.get(type_id, ()):
                break
            for ioa in (0, *examined.ioas.values()):
                examined.ask(type_id, cause, ioa)
            examined.ask(type_id, cause, _NOBODY)
            examined.ask(type_id, cause, 0, ca=_ELSEWHERE)
    for group in range(1, 17):
        examined.ask(100, Cause.ACTIVATION, 0, bytes([20 + group]))
    for group in range(1, 5):
        examined.ask(101, Cause.ACTIVATION, 0, bytes([group]))
    examined.happen()
    return examined


def _answers(raw: bytes) -> Iterator[Answer]:
    asdu = Asdu.parse(raw)
    try:
        ioas = asdu.objects()[0].tolist()
    except Iec104Error:  # the mirror of a type that this code does not know
        ioas = [int.from_bytes(raw[HEAD.size : HEAD.size + 3], "little")]
    for ioa in ioas:
        yield Answer(asdu.type_id, asdu.cause, asdu.negative, int(ioa))


def _every_type() -> tuple[dict[int, int], PointCatalogue, list[MasterRowSource]]:
    """ioa by type, points and map rows: every type that carries a point, as an engineer would bind it."""
    ioas: dict[int, int] = {}
    points: list[Point] = []
    sources: list[MasterRowSource] = []
    for row in TYPES.values():
        if not row.kinds:
            continue
        kind = min(row.kinds)
        point = Point(row=len(points), name=row.name.lower(), kind=kind, low=-_SPAN, high=_SPAN)
        for mode in ("direct|select", "direct") if kind.commanded else (None,):
            source = MasterRowSource(_map_row(row, point, mode), point.row, Place("examination"))
            report = Report()
            compile_rows([source], PointCatalogue.of([*points, point]), report)
            if not report.errors:
                ioas[row.id] = _FIRST_IOA + row.id
                points.append(point)
                sources.append(source)
                break
    return ioas, PointCatalogue.of(points), sources


def _map_row(row: TypeRow, point: Point, mode: str | None) -> Iec104Row:
    monitored: dict[str, Any] = {"group": _GROUP, **dict.fromkeys(("cyclic", "background"), f"{_PERIOD_S:g}s")}
    own = {"mode": mode} if point.kind.commanded else monitored
    return Iec104Row(point=point.name, ca=CA, ioa=_FIRST_IOA + row.id, type=row.name, **own)


def _options(plan: ServerPlan) -> StationOptions:
    """As the server makes them: what the plan says under the same name, without an age limit for commands."""
    given = {one.name: getattr(plan, one.name) for one in fields(StationOptions) if hasattr(plan, one.name)}
    return StationOptions(**{**given, "command_max_age_s": None})
