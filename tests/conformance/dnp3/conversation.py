"""A master and our outstation, octet by octet and at a clock that the test holds.

Pure: the table, the broker and the time are the test's. An order that reaches the broker is in `orders`; `broker` says
what becomes of it. The master's side is written from the standard alone (`tests.peers.rawdnp3`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.contracts import Outcome, Reason, Stage
from gateway.points import changes
from protocols.dnp3.effects import Submit
from protocols.dnp3.link import LinkReader
from protocols.dnp3.outstation import Outstation
from protocols.dnp3.plan import MasterPlan
from protocols.dnp3.session import Rest, Session
from tests.contract.server_suite import Table
from tests.kit.dnp3kit import NOON, master
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import Response

MASTER_DATA = raw.DIR | raw.PRM | raw.UNCONFIRMED
ROWS_OF_TABLE = 16
RESTART_OFF = "500100" + "0707" + "00"
NO_FUNCTION, NO_OBJECT, BAD_PARAMETER, OVERFLOW = 0x100, 0x200, 0x400, 0x800
BROADCAST, CLASS_1, CLASS_2, CLASS_3, NEED_TIME, RESTART = 0x01, 0x02, 0x04, 0x08, 0x10, 0x80

Answered = list[tuple[Stage, Reason]]


def agrees(_order: Submit) -> Answered:
    """The broker accepts, the device acknowledges."""
    return [(Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)]


def says_nothing(_order: Submit) -> Answered:
    """No word of the device."""
    return [(Stage.ACCEPTED, Reason.OK)]


@dataclass
class Frame:
    """A link frame of the outstation."""

    control: int
    dest: int
    source: int
    data: bytes


def frames_of(octets: bytes) -> list[Frame]:
    """Link frames, their CRCs checked with the master's own arithmetic."""
    out = []
    while octets:
        assert octets[:2] == b"\x05\x64" and raw.crc(octets[:8]) == octets[8:10], octets.hex()
        size, control, dest, source = struct.unpack_from("<BBHH", octets, 2)
        octets, data, left = octets[10:], b"", size - 5
        while left:
            block = octets[: min(16, left) + 2]
            assert raw.crc(block[:-2]) == block[-2:]
            octets, data, left = octets[len(block) :], data + block[:-2], left - len(block) + 2
        out.append(Frame(control, dest, source, data))
    return out


def table(rows: int = ROWS_OF_TABLE) -> Table:
    """Row i shows the value i, good, at noon."""
    made = Table(rows)
    made.value[:], made.quality[:], made.time_ns[:] = np.arange(rows), 0, NOON
    return made


@dataclass
class Conversation:
    """One connection; `plans` are the outstations behind it, the first is the one spoken to by default."""

    plans: tuple[MasterPlan, ...] = field(default_factory=lambda: (master(),))
    table: Table = field(default_factory=table)
    broker: Callable[[Submit], Answered] = agrees
    now: float = 1_000.0
    wall_ns: int = NOON
    orders: list[Submit] = field(default_factory=list)
    """Orders that the broker was asked to carry out or to select."""
    refused: list[Submit] = field(default_factory=list)
    """Orders told to the broker for the record alone."""
    heard: list[Response] = field(default_factory=list)
    links: list[Frame] = field(default_factory=list)
    """Frames without data that came."""
    frames: list[Frame] = field(default_factory=list)
    """Every frame that came."""
    said: list[tuple[bool, bytes]] = field(default_factory=list)
    """Octets of both directions: (from the outstation, octets)."""
    seq: int = 0
    """Of the next request."""
    feed_seq: int = 0
    open: list[int] = field(default_factory=list)
    """Tickets that wait for their last word."""

    def __post_init__(self) -> None:
        self._transport = 0
        self.stations = [Outstation(plan, self.table) for plan in self.plans]
        for station in self.stations:
            station.store.begin()
        self.connects()

    @property
    def station(self) -> Outstation:
        return self.stations[0]

    @property
    def session(self) -> Session:
        return self.sessions[0]

    def connects(self) -> None:
        """A fresh connection."""
        self.reader = LinkReader()
        self.sessions = [Session(station, self.now) for station in self.stations]
        self._gathered: dict[int, bytes] = {}
        for session in self.sessions:
            self._carry_out(session, session.begin(self.now, self.wall_ns))

    def cuts(self) -> None:
        """The connection is gone."""
        for session in self.sessions:
            session.end()

    # What the master says.

    def says(self, octets: bytes) -> list[Response]:
        """Octets on the wire; what comes back."""
        before = len(self.heard)
        self.said.append((False, octets))
        for frame in self.reader.feed(octets):
            for session in self.sessions:
                if session.link.accepts(frame):
                    self._carry_out(session, session.receive(frame, self.now, self.wall_ns))
        return self.heard[before:]

    def links_back(self, function: int, *, fcb: int = 0, fcv: int = 0, data: bytes = b"", **keys: int) -> list[int]:
        """One link frame, and the control octets of the frames without data that answer."""
        before = len(self.links)
        control = keys.get("direction", raw.DIR) | raw.PRM | function | fcb << 5 | fcv << 4
        to, source = keys.get("to", self.plans[0].outstation), keys.get("source", self.plans[0].address)
        self.says(raw.frame(control, to, source, data))
        return [frame.control for frame in self.links[before:]]

    def segment(self, octets: bytes, *, first: bool = True, final: bool = True, **keys: int) -> list[Response]:
        """One transport segment; `number` sets its sequence number, `to` the destination."""
        number = keys.get("number", self._transport)
        self._transport = (number + 1) & 0x3F
        head = bytes([first << 6 | final << 7 | number])
        to, source = keys.get("to", self.plans[0].outstation), keys.get("source", self.plans[0].address)
        return self.says(raw.frame(MASTER_DATA, to, source, head + octets))

    def fragment(self, octets: bytes, **keys: int) -> list[Response]:
        """One application fragment in as many segments as it takes."""
        pieces = [octets[at : at + 249] for at in range(0, len(octets), 249)]
        before = len(self.heard)
        for at, piece in enumerate(pieces):
            self.segment(piece, first=at == 0, final=at == len(pieces) - 1, **keys)
        return self.heard[before:]

    def request(self, function: int, objects: str = "", **keys: int) -> list[Response]:
        """A request with the next sequence number and whatever it brings."""
        seq = self.seq
        self.seq = (seq + 1) & 0x0F
        return self.fragment(bytes([0xC0 | seq, function]) + bytes.fromhex(objects), **keys)

    def ask(self, function: int, objects: str = "", **keys: int) -> Response:
        """A request and its one answer."""
        seq = self.seq
        [answer] = self.request(function, objects, **keys)
        assert answer.octets[1] == 129 and answer.seq == seq and answer.fir
        return answer

    def read(self, objects: str) -> list[Response]:
        """Every fragment of an answer, each confirmed if it asks for it."""
        out = [self.ask(raw.READ, objects)]
        while not out[-1].fin:
            [following] = self.confirms(out[-1])
            out.append(following)
        if out[-1].con:
            assert self.confirms(out[-1]) == []
        return out

    def values(self, objects: str) -> str:
        """Objects of the one-fragment answer to a read."""
        [answer] = self.read(objects)
        return answer.objects

    def confirms(self, response: Response, **keys: int) -> list[Response]:
        uns = 0x10 if response.unsolicited else 0
        return self.fragment(bytes([0xC0 | uns | keys.get("seq", response.seq), 0]))

    def is_ready(self) -> Conversation:
        """The restart indication is cleared."""
        self.ask(raw.WRITE, RESTART_OFF)
        return self

    # What the field and the clock do.

    def change(self, *records: tuple[int, float] | tuple[int, float, int] | tuple[int, float, int, int]) -> None:
        """(row, value, quality, ns UTC): the table first, then every outstation hears."""
        whole: list[Any] = [(*record, *(0, self.wall_ns)[len(record) - 2 :]) for record in records]
        for row, value, quality, time_ns in whole:
            self.table.value[row], self.table.quality[row], self.table.time_ns[row] = value, quality, time_ns
        rows, values, qualities, times = zip(*whole, strict=True)
        batch = changes(
            np.array(rows, np.uint32), np.array(values, float), np.array(qualities, np.uint32), np.array(times, "i8")
        )
        self.feed_seq += len(whole)
        for session in self.sessions:
            session.outstation.changes(batch, self.feed_seq)
            self._carry_out(session, session.happened(self.now, self.wall_ns))

    def waits(self, seconds: float) -> list[Response]:
        """Time passes, deadline by deadline."""
        before, until = len(self.heard), self.now + seconds
        while True:
            due = min(session.next_deadline(self.now, self.wall_ns) for session in self.sessions)
            step = max(0.001, min(due, until) - self.now)
            if self.now + step > until + 0.002:
                break
            self.now += step
            self.wall_ns += int(step * 1e9)
            for session in self.sessions:
                self._carry_out(session, session.on_time(self.now, self.wall_ns))
        return self.heard[before:]

    def finishes(self, ticket: int, stage: Stage = Stage.COMPLETED, reason: Reason = Reason.OK) -> list[Response]:
        """The last word on an order that the broker had left open."""
        before = len(self.heard)
        self._tell(self.session, ticket, stage, reason)
        return self.heard[before:]

    # The wire and the broker.

    def _carry_out(self, session: Session, rest: list[Rest]) -> None:
        self._hear(session.data_to_send())
        for effect in rest:
            if isinstance(effect, Submit) and effect.refusal is not None:
                self.refused.append(effect)
            elif isinstance(effect, Submit):
                self.orders.append(effect)
                for stage, reason in self.broker(effect):
                    self._tell(session, effect.ticket, stage, reason)

    def _tell(self, session: Session, ticket: int, stage: Stage, reason: Reason) -> None:
        outcome = Outcome(id=ticket, stage=stage, reason=reason)
        self._carry_out(session, session.outcome(ticket, outcome, self.now, self.wall_ns))

    def _hear(self, octets: bytes) -> None:
        if octets:
            self.said.append((True, octets))
        for frame in frames_of(octets):
            assert not frame.control & raw.DIR
            self.frames.append(frame)
            if not frame.data:
                self.links.append(frame)
                continue
            begun = b"" if frame.data[0] & 0x40 else self._gathered.pop(frame.source, b"")
            self._gathered[frame.source] = begun + frame.data[1:]
            if frame.data[0] & 0x80:
                self.heard.append(Response(self._gathered.pop(frame.source)))
