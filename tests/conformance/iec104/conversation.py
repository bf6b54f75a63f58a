"""A controlling station (CS) and our controlled station, octet by octet and at a clock that the test holds.

Pure: the station's table, its broker and the time are the test's. An order that reaches the broker is in `field`;
`broker` says what becomes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.contracts import Action, Outcome, Reason, Stage
from gateway.points import NO_ROW, Kind, Point, PointCatalogue, changes
from protocols.iec104.connection import ApciParameters
from protocols.iec104.elements import BY_NAME
from protocols.iec104.group import Group
from protocols.iec104.plan import BindingColumns, MasterPlan, Mode
from protocols.iec104.session import Close, Session, SetClock, Submit
from protocols.iec104.station import Station, StationOptions
from protocols.iec104.time56 import Zone
from tests.peers.raw104 import Frame

STARTDT, STARTDT_CON = "680407000000", "68040b000000"
STOPDT, STOPDT_CON = "680413000000", "680423000000"
TESTFR, TESTFR_CON = "680443000000", "680483000000"
NOON_NS = 1_700_000_000_123_000_000
NOON = "9b4e0d164e0b17"
"""2023-11-14 22:13:20.123, a Tuesday, as CP56Time2a in UTC."""

Answered = list[tuple[Stage, Reason]]


@dataclass(frozen=True, kw_only=True)
class At:
    """One line of the master's map and its point."""

    ioa: int
    type: str
    kind: Kind
    ca: int = 1
    group: int = 0
    deadband: float = float("nan")
    cyclic_s: float = 0.0
    background_s: float = 0.0
    mode: int = 0
    pulse: int = 0
    low: float = -1000.0
    high: float = 1000.0
    row: int | None = None


BOTH = int(Mode.DIRECT | Mode.SELECT)
MAP = [
    At(ioa=1001, type="M_SP_TB_1", kind=Kind.BINARY, group=2),  # 0
    At(ioa=2001, type="M_DP_TB_1", kind=Kind.DOUBLE, group=2),  # 1
    At(ioa=3001, type="M_ST_TB_1", kind=Kind.ANALOG),  # 2
    At(ioa=3101, type="M_BO_TB_1", kind=Kind.ANALOG),  # 3
    At(ioa=4001, type="M_ME_TF_1", kind=Kind.ANALOG, group=1, deadband=5.0),  # 4
    At(ioa=4101, type="M_ME_TE_1", kind=Kind.ANALOG, group=1),  # 5
    At(ioa=4201, type="M_ME_TD_1", kind=Kind.ANALOG, group=16),  # 6
    At(ioa=5001, type="M_IT_TB_1", kind=Kind.COUNTER, group=1),  # 7
    At(ioa=5002, type="M_IT_TB_1", kind=Kind.COUNTER, group=2),  # 8
    At(ioa=5003, type="M_IT_TB_1", kind=Kind.COUNTER),  # 9
    At(ioa=6001, type="C_SC_NA_1", kind=Kind.CONTROL, mode=BOTH),  # 10
    At(ioa=6002, type="C_DC_NA_1", kind=Kind.CONTROL, mode=BOTH),  # 11
    At(ioa=6003, type="C_RC_NA_1", kind=Kind.CONTROL, mode=BOTH),  # 12
    At(ioa=7001, type="C_SE_NA_1", kind=Kind.SETPOINT, mode=BOTH),  # 13
    At(ioa=7002, type="C_SE_NB_1", kind=Kind.SETPOINT, mode=BOTH),  # 14
    At(ioa=7003, type="C_SE_NC_1", kind=Kind.SETPOINT, mode=BOTH),  # 15
    At(ioa=7004, type="C_BO_NA_1", kind=Kind.SETPOINT, mode=int(Mode.DIRECT)),  # 16
    At(ioa=7005, type="C_SE_NC_1", kind=Kind.SETPOINT, mode=int(Mode.SELECT)),  # 17
    At(ioa=6004, type="C_SC_NA_1", kind=Kind.CONTROL, mode=int(Mode.DIRECT), pulse=1),  # 18
    At(ioa=1, type="M_ME_NB_1", kind=Kind.ANALOG, ca=2),  # 19
]
"""Row of the table = place in the list."""


class Table:
    """What the core's table shows."""

    def __init__(self, size: int) -> None:
        self.value = np.zeros(size)
        self.quality = np.zeros(size, np.uint32)
        self.time_ns = np.full(size, NOON_NS, np.int64)


def columns(lines: list[At]) -> BindingColumns:
    """The map compiled, in the order that the station expects."""
    order = sorted(range(len(lines)), key=lambda i: (lines[i].ca, _static(lines[i]), lines[i].ioa))
    rows = [lines[i].row if lines[i].row is not None else i for i in order]
    ordered = [lines[i] for i in order]
    return BindingColumns(
        row=np.array(rows, np.uint32),
        ca=np.array([line.ca for line in ordered], np.uint16),
        ioa=np.array([line.ioa for line in ordered], np.uint32),
        event_type=np.array([BY_NAME[line.type].id for line in ordered], np.uint8),
        static_type=np.array([_static(line) for line in ordered], np.uint8),
        group=np.array([line.group for line in ordered], np.uint8),
        limit=np.array([line.deadband for line in ordered], np.float64),
        cyclic_s=np.array([line.cyclic_s for line in ordered], np.float32),
        mode=np.array([line.mode for line in ordered], np.uint8),
        background_s=np.array([line.background_s for line in ordered], np.float32),
        pulse=np.array([line.pulse for line in ordered], np.uint8),
    )


def _static(line: At) -> int:
    known = BY_NAME[line.type]
    return known.id if known.control else known.untimed


def agrees(order: Submit) -> Answered:
    """The broker accepts, the device acknowledges."""
    return [(Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)]


@dataclass
class Conversation:
    """One master's station; `link` opens a connection to it."""

    lines: list[At] = field(default_factory=lambda: list(MAP))
    apci: ApciParameters = field(default_factory=ApciParameters)
    options: dict[str, Any] = field(default_factory=dict)
    master: dict[str, Any] = field(default_factory=dict)
    zone: Zone = field(default_factory=Zone)

    def __post_init__(self) -> None:
        self.now, self.wall_ns = 1_000.0, NOON_NS
        size = len(self.lines)
        points = [
            Point(row=row, name=f"p{row}", kind=line.kind, low=line.low, high=line.high)
            for row, line in enumerate(self.lines)
        ]
        self.table = Table(size)
        keys: dict[str, Any] = {"name": "main", "addresses": ("127.0.0.1",), "commands": True, **self.master}
        plan = MasterPlan(bindings=columns(self.lines), **keys)
        options = StationOptions(**self.options)
        self.station = Station(plan, PointCatalogue.of(points), self.zone, self.table, options)
        self.station.begin()
        self.group = Group(self.station)
        self.broker: Callable[[Submit], Answered] = agrees
        self.field: list[Submit] = []
        """Orders to execute that the broker was given and that were not refused before."""
        self.audit: list[Submit] = []
        """All that the broker was given."""
        self.clocks: list[int] = []
        self.can_set_clock = True
        self.seq = 0

    def link(self) -> Link:
        """A connection, not started."""
        return Link(self)

    def started(self) -> Link:
        """A connection with data transfer on."""
        link = self.link()
        assert link.says(STARTDT)[0] == STARTDT_CON
        return link

    def change(self, *records: tuple[int, float] | tuple[int, float, int]) -> None:
        """Points (row, value, perhaps quality) change now in the field."""
        for row, value, *quality in records:
            self.table.value[row], self.table.quality[row] = value, quality[0] if quality else 0
            self.table.time_ns[row] = self.wall_ns
            batch = changes(
                np.array([row], np.uint32), np.array([value]), self.table.quality[[row]], self.table.time_ns[[row]]
            )
            self.seq += 1
            self.station.changes(batch, self.seq, self.now)

    def show(self, row: int, value: float, quality: int = 0) -> None:
        """The table shows this without an event."""
        self.table.value[row], self.table.quality[row] = value, quality

    def commanded(self, row: int, feedback: int = NO_ROW, *, remote: bool, within_s: float = 10.0) -> None:
        """A command was written to the field."""
        self.station.commanded(row, feedback, remote, self.now + within_s)

    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds
        self.wall_ns += round(seconds * 1e9)


class Link:
    """CS says, we answer."""

    def __init__(self, talk: Conversation) -> None:
        self.talk = talk
        self.session = Session(talk.station, talk.apci, talk.now)
        self.closed = ""
        self.vs = self.vr = 0
        talk.group.join(self.session)

    def says(self, *apdus: str) -> list[str]:
        """Octets to us; our APDUs in hex. Afterwards `closed` says why we closed, if we did."""
        for apdu in apdus:
            if not self.closed:
                self._apply(self.session.receive(bytes.fromhex(apdu), self.talk.now, self.talk.wall_ns))
        return self.hears()

    def hears(self) -> list[str]:
        """APDUs that we send without being asked anything more."""
        stream = b""
        while data := self.session.produce(self.talk.now):
            stream += data
        cut = []
        while stream:
            size = stream[1] + 2
            cut.append(stream[:size].hex())
            self.vr = (self.vr + (not stream[2] & 1)) & 0x7FFF
            stream = stream[size:]
        return cut

    def waits(self, seconds: float) -> list[str]:
        """Time goes by on this link; what we say of ourselves."""
        self.talk.passes(seconds)
        self._apply(self.session.on_time(self.talk.now))
        return self.hears()

    def asks(self, asdu: bytes) -> list[Frame]:
        """An I frame to us that acknowledges all; our I frames."""
        number = self.vs << 1 | self.vr << 17
        self.vs = (self.vs + 1) & 0x7FFF
        apdus = self.says((bytes([0x68, len(asdu) + 4]) + number.to_bytes(4, "little") + asdu).hex())
        return [frame for frame in map(_frame, apdus) if frame.kind == "I"]

    def acknowledges(self) -> list[Frame]:
        """An S frame for all that came; what follows."""
        apdus = self.says(f"68040100{(self.vr << 1).to_bytes(2, 'little').hex()}")
        return [frame for frame in map(_frame, apdus) if frame.kind == "I"]

    def told(self) -> list[Frame]:
        """I frames without a question."""
        return [frame for frame in map(_frame, self.hears()) if frame.kind == "I"]

    def listens(self) -> list[Frame]:
        """All I frames until nothing more comes, acknowledged as they come."""
        frames = self.told()
        while more := self.acknowledges():
            frames += more
        return frames

    def ends(self) -> None:
        """The connection is gone."""
        self.talk.group.leave(self.session)

    def _apply(self, effects: list[Any]) -> None:
        for effect in self.talk.group.apply(self.session, effects, self.talk.now):
            if isinstance(effect, Close):
                self.closed = effect.cause
                self.ends()
            elif isinstance(effect, SetClock):
                self.talk.clocks.append(effect.time_ns)
                self.session.clock_set(effect.request, self.talk.can_set_clock)
            else:
                self._submit(effect)

    def _submit(self, order: Submit) -> None:
        self.talk.audit.append(order)
        refused = order.refusal is not Reason.OK or order.test
        if order.action is Action.EXECUTE and not refused:
            self.talk.field.append(order)
        story = [(Stage.REFUSED, order.refusal)] if refused else self.talk.broker(order)
        for stage, reason in story:
            self.session.outcome(order.ticket, Outcome(id=order.ticket, stage=stage, reason=reason))


def _frame(apdu: str) -> Frame:
    return Frame(bytes.fromhex(apdu))


def causes(frames: list[Frame]) -> str:
    """Causes of frames, a minus for P/N: `7 -10`."""
    return " ".join("-" * frame.negative + str(frame.cause) for frame in frames)


def values(frames: list[Frame], cause: int | None = None) -> dict[tuple[int, int, int], str]:
    """(type, ca, ioa) -> element in hex, of monitored frames of a cause."""
    return {
        (frame.type_id, frame.ca, ioa): element.hex()
        for frame in frames
        if frame.type_id < 45 and cause in (None, frame.cause)
        for ioa, element in frame.objects(_SIZES[frame.type_id])
    }


_SIZES = {row.id: row.size for row in BY_NAME.values()}
