"""A recorded run of the certification procedure, played again to our outstation, and how the answers differ.

What the field did in a recording is not on the wire. It is read back from the answers: before each request those
events happen that its answer is the first to show (and, where its indications say that more wait, those that come
next), and the points move to the values that it shows. A class bit or an overflow that nothing else explains is one
more event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gateway.points import Quality
from protocols.dnp3 import objects
from protocols.dnp3.application import Fragment, parse_fragment
from protocols.dnp3.freeze import Freeze
from protocols.dnp3.headers import ObjectHeader, parse_headers
from protocols.dnp3.link import LinkFrame, LinkReader
from protocols.dnp3.objects import Coding
from protocols.dnp3.plan import Mode, UnsolicitedPlan
from protocols.dnp3.pointtypes import BY_EVENT_GROUP, BY_STATIC_GROUP, PointType
from protocols.dnp3.transport import Reassembler
from tests.conformance.dnp3.conversation import Conversation, table
from tests.kit.dnp3captures import payloads
from tests.kit.dnp3kit import NOON, Row, columns, master

T = PointType
SPARSE = (0, 41, 1024, 65535)
OUTPUTS = tuple(range(20))
LINES = [
    *((T.BI, index, {"event_class": 1, "static_var": 2, "event_var": 1}) for index in SPARSE),
    *((T.DBI, index, {"event_class": 1, "static_var": 2, "event_var": 1, "class_0": False}) for index in SPARSE),
    *((T.BO, index, {"static_var": 2, "mode": int(Mode.DIRECT | Mode.SELECT)}) for index in OUTPUTS),
    *((T.CTR, index, {"event_class": 2, "static_var": 2, "event_var": 1}) for index in SPARSE),
    *((T.FCTR, index, {"static_var": 2}) for index in SPARSE),
    *((T.AI, index, {"event_class": 3, "static_var": 2, "event_var": 1}) for index in SPARSE),
    *((T.AO, index, {"event_class": 1, "static_var": 2, "mode": int(Mode.DIRECT | Mode.SELECT)}) for index in OUTPUTS),
]
"""The device of the recordings: default variations, classes and sparse indices as its answers show them."""
ROW = {(kind, index): row for row, (kind, index, _) in enumerate(LINES)}
START = {T.BI: 0.0, T.DBI: 1.0, T.BO: 0.0, T.CTR: 1.0, T.FCTR: 1.0, T.AI: 0.0, T.AO: 0.0}
CAPACITY = {"8.9.2.2": 400}
"""Events per class, else 200: the recorded outstation counts them per type, and here two types fill class 1."""
SELECT_TIMEOUT_S, CONFIRM_TIMEOUT_S = 5.0, 5.0
TIMEOUT = 1

WITHOUT = {"8.13.2.3": T.BI}
"""The recorded device has no point of this type."""
UNHEARD = {"8.9.2.2": 2}
"""The recorded outstation acted as if it had not heard this request; ours is not told it either."""


@dataclass
class Exchange:
    """What the master sent at once, and what came back before it sent again."""

    request: bytes
    frames: list[LinkFrame] = field(default_factory=list)
    fragments: list[bytes] = field(default_factory=list)

    def headers(self, group: dict[int, Any]) -> Iterator[ObjectHeader]:
        """Object headers of certain groups in the answers."""
        for octets in self.fragments:
            fragment = parse_fragment(octets)
            yield from (h for h in parse_headers(fragment.payload, fragment.function) if h.group in group)


def exchanges(path: Path) -> list[Exchange]:
    """A recording, exchange by exchange; the first has what the outstation said by itself."""
    reader, series, heard = LinkReader(), Reassembler(4_096), LinkReader()
    out = [Exchange(b"")]
    for outgoing, octets in payloads(path):
        if not outgoing:
            out += [Exchange(piece) for piece in _pieces(heard, octets)]
            continue
        for frame in reader.feed(octets):
            out[-1].frames.append(frame)
            fragment = series.receive(frame.data) if frame.data else None
            if fragment is not None:
                out[-1].fragments.append(fragment)
    return out


def _pieces(reader: LinkReader, octets: bytes) -> list[bytes]:
    """Frames of one TCP segment apart; what is no frame stays as it is."""
    frames = reader.feed(octets)
    whole = b"".join(frame.encode() for frame in frames)
    return [frame.encode() for frame in frames] if whole == octets else [octets]


@dataclass(frozen=True)
class Event:
    """A change as an answer shows it."""

    type: PointType
    index: int
    value: float
    time_ms: int | None = None
    trusted: bool = True

    @property
    def event_class(self) -> int:
        return CLASS_OF[self.type]


CLASS_OF = {kind: int(keys.get("event_class", 0)) for kind, _, keys in LINES}


def events_of(exchange: Exchange) -> list[Event]:
    """Events in the answers, each fragment once."""
    found: list[Event] = []
    for octets in dict.fromkeys(exchange.fragments):
        fragment = parse_fragment(octets)
        base, trusted = 0, True
        for header in parse_headers(fragment.payload, fragment.function):
            if header.group == 51:
                base, trusted = int.from_bytes(header.data, "little"), header.variation == 1
            if header.group in BY_EVENT_GROUP:
                found += _events(header, base, trusted)
    return found


def _events(header: ObjectHeader, base: int, trusted: bool) -> list[Event]:
    row = header.row
    assert row is not None
    records = objects.decode(row, header.data, header.count)
    times = objects.times_ms(row, records, base)
    timed: list[int | None] = [None] * header.count if times is None else times.tolist()
    kind = BY_EVENT_GROUP[header.group].type
    told = trusted or not row.relative_time
    return [
        Event(kind, index, value, at, told)
        for index, value, at in zip(header.indices.tolist(), objects.values(row, records).tolist(), timed, strict=True)
    ]


def values_of(exchange: Exchange) -> list[tuple[PointType, int, float, int]]:
    """Type, index, value and flags of the points in the answers."""
    found = []
    for header in exchange.headers(dict(BY_STATIC_GROUP)):
        row = header.row
        if row is None or row.coding is Coding.NONE or not header.data or exchange.request[11:12] == b"\xff":
            continue
        records = objects.decode(row, header.data, header.count)
        flags = objects.flags(row, records)
        kind = BY_STATIC_GROUP[header.group].type
        for index, value, flag in zip(
            header.indices.tolist(), objects.values(row, records).tolist(), flags.tolist(), strict=True
        ):
            found.append((kind, index, value, flag))
    return found


class Replay:
    """Our outstation in the place of the recorded one."""

    def __init__(self, clause: str, run: list[Exchange]) -> None:
        self.clause, self.run = clause, run
        self.unsolicited = bool(run[0].fragments)
        self.pending: list[Event] = []
        """Events that happened and were not confirmed in the recording."""
        self.told: list[Event] = []
        """Those in the last answer that asks for a confirmation."""
        self.answers: list[list[bytes]] = []
        self.talk = self._outstation()

    def _outstation(self) -> Conversation:
        lines = columns(
            [
                Row(row=ROW[kind, index], type=kind, index=index, **keys)
                for kind, index, keys in LINES
                if kind is not WITHOUT.get(self.clause)
            ]
        )
        plan = master(
            outstation=1024,
            bindings=lines,
            capacity=(CAPACITY.get(self.clause, 200),) * 3,
            unsolicited=UnsolicitedPlan() if self.unsolicited else None,
            parameters={
                "need_time_s": 1e9,
                "restart": True,
                "restart_delay_ms": 5_000,
                "select_timeout_s": SELECT_TIMEOUT_S,
                "confirm_timeout_s": CONFIRM_TIMEOUT_S,
                "keep_alive_s": 0.0,
            },
        )
        points = table(len(LINES))
        points.value[:] = [START[kind] for kind, _, _ in LINES]
        talk = Conversation((plan,), points)
        database = talk.station.database
        talk.station.freeze(Freeze(T.CTR, database.all(T.CTR)), NOON, False)
        return talk

    def play(self) -> list[list[bytes]]:
        """Our fragments, exchange by exchange."""
        for number, exchange in enumerate(self.run):
            before = len(self.talk.heard) if number else 0
            orders = len(self.talk.orders)
            if number and UNHEARD.get(self.clause) != number:
                self._confirm(exchange)
                self._prepare(number)
                self.talk.says(exchange.request)
            self._obey(orders)
            self._retries(exchange, before)
            self.answers.append([response.octets for response in self.talk.heard[before:]])
        return self.answers

    def _confirm(self, exchange: Exchange) -> None:
        """What the recorded outstation forgot because of this request."""
        body = exchange.request[11:]
        function = body[1] if len(body) > 1 else None
        last = self._last_asked
        if function == 0 and last is not None and body[0] & 0x1F == last & 0x1F:
            for event in self.told:
                self.pending.remove(event)
            self.told = []

    _last_asked: int | None = None

    def _prepare(self, number: int) -> None:
        exchange = self.run[number]
        shown = events_of(exchange)
        waiting = list(self.pending)
        self._happen([event for event in shown if not _taken(waiting, event)])
        self._move(values_of(exchange))
        iin = self._indications(exchange)
        later = {event.event_class for event in events_of(Exchange(b"", fragments=exchange.fragments[1:]))}
        for event_class in {1, 2, 3} - later - {event.event_class for event in waiting}:
            if iin >> event_class & 1:
                self._foresee(number, event_class, shown)
        if iin & 0x0800 and not self.talk.station.store.overflowing:
            self._one_more(shown[0].event_class)
        if exchange.fragments and exchange.fragments[-1][0] & 0x20:
            self._last_asked, self.told = exchange.fragments[-1][0], shown
        if exchange.request[12:13] == b"\x04" and exchange.fragments and exchange.fragments[0][-1] == TIMEOUT:
            self.talk.waits(SELECT_TIMEOUT_S + 1)

    def _indications(self, exchange: Exchange) -> int:
        if not exchange.fragments:
            return 0
        iin = parse_fragment(exchange.fragments[0]).iin
        return 0 if iin is None else int(iin)

    def _foresee(self, number: int, event_class: int, shown: list[Event]) -> None:
        """Something of this class waits: what a later answer shows, or else one event that none shows."""
        if self.talk.station.store.buffers[event_class].waiting > sum(e.event_class == event_class for e in shown):
            return
        for later in self.run[number + 1 :]:
            waiting = list(self.pending)
            fresh = [e for e in events_of(later) if e.event_class == event_class and not _taken(waiting, e)]
            if fresh:
                return self._happen(fresh)
            moved = [v for v in values_of(later) if CLASS_OF[_live(v[0])] == event_class and self._differs(v)]
            if moved:
                return self._move([(_live(kind), index, value, flags) for kind, index, value, flags in moved])
        self._one_more(event_class)
        return None

    def _differs(self, value: tuple[PointType, int, float, int]) -> bool:
        row = ROW.get((_live(value[0]), value[1]))
        return row is not None and self.talk.table.value[row] != value[2]

    def _one_more(self, event_class: int) -> None:
        kind = next(kind for kind, number in CLASS_OF.items() if number == event_class)
        value = self.talk.table.value[ROW[kind, 0]]
        self.talk.change((ROW[kind, 0], 1.0 - value if kind is T.BI else value + 1.0))

    def _happen(self, fresh: list[Event]) -> None:
        for event in fresh:
            # The recorded outstation also tells an event whose value is the one told before.
            self.talk.station.store.deadband.forget(np.arange(len(LINES)))
            time_ns = NOON if event.time_ms is None else event.time_ms * 1_000_000
            quality = 0 if event.trusted else int(Quality.TIME_INVALID)
            self.talk.change((ROW[event.type, event.index], event.value, quality, time_ns))
        self.pending += fresh

    def _move(self, values: list[tuple[PointType, int, float, int]]) -> None:
        for kind, index, value, flags in values:
            row = ROW[kind, index]
            if kind is T.FCTR:
                continue
            if self.talk.table.value[row] != value:
                self.talk.change((row, value))
            if flags & 0x10:
                self.talk.change((row, value, int(Quality.SUBSTITUTED)))

    def _obey(self, orders: int) -> None:
        """The device follows a set-point at once; a relay falls back, as in the recordings."""
        for submit in self.talk.orders[orders:]:
            kind = LINES[submit.order.row][0]
            if kind is T.AO and not submit.select:
                self.talk.change((submit.order.row, submit.order.value))

    def _retries(self, exchange: Exchange, before: int) -> None:
        """An unsolicited response that is sent again in the recording: the time for it has passed."""
        for _ in exchange.fragments[len(self.talk.heard) - before :]:
            if self.unsolicited:
                self.talk.waits(CONFIRM_TIMEOUT_S)


def _live(kind: PointType) -> PointType:
    return T.CTR if kind is T.FCTR else kind


def _taken(waiting: list[Event], event: Event) -> bool:
    """Whether the event is one that waits; it does not any more."""
    if event not in waiting:
        return False
    waiting.remove(event)
    return True


Told = list[tuple[str, int, str]]


def objects_of(fragment: Fragment) -> Told:
    """Label, index and octets of every object."""
    out: Told = []
    for header in parse_headers(fragment.payload, fragment.function):
        indices = header.indices.tolist() or [0]
        octets = [header.data[i * len(header.data) // len(indices) :] for i in range(len(indices))]
        size = len(header.data) // len(indices)
        out += [(header.label, index, o[:size].hex()) for index, o in zip(indices, octets, strict=True)]
    return out


def differences(run: list[Exchange], ours: list[list[bytes]]) -> list[str]:
    """What differs, said once: "headers" and "order" for the whole run, the rest by request."""
    found: dict[str, None] = {}
    for number, (exchange, mine) in enumerate(zip(run, ours, strict=True)):
        for at in range(max(len(exchange.fragments), len(mine))):
            theirs_at = exchange.fragments[at] if at < len(exchange.fragments) else None
            mine_at = mine[at] if at < len(mine) else None
            found |= dict.fromkeys(_differences(number, theirs_at, mine_at))
    return list(found)


def _differences(number: int, theirs: bytes | None, mine: bytes | None) -> list[str]:
    if theirs is None or mine is None:
        return [f"{number}: {_short(theirs)}, ours {_short(mine)}"]
    if theirs == mine:
        return []
    them, us = parse_fragment(theirs), parse_fragment(mine)
    out = []
    if theirs[:2] != mine[:2]:
        out.append(f"{number}: control and function {theirs[:2].hex()}, ours {mine[:2].hex()}")
    if theirs[2:4] != mine[2:4]:
        out.append(f"{number}: indications {theirs[2:4].hex()}, ours {mine[2:4].hex()}")
    return out + _object_differences(number, objects_of(them), objects_of(us), theirs[4:] == mine[4:])


def _object_differences(number: int, theirs: Told, mine: Told, same: bool) -> list[str]:
    if same:
        return []
    if theirs == mine:
        return ["headers"]
    if sorted(theirs) == sorted(mine):
        return ["order"]
    out = []
    for label, only, others in (("only theirs", theirs, mine), ("only ours", mine, theirs)):
        extra = [item for item in only if item not in others]
        out += [f"{number}: {label} {name} {index} {octets}" for name, index, octets in extra[:4]]
        out += [f"{number}: {label} {len(extra) - 4} more"] if len(extra) > 4 else []
    return out


def _short(fragment: bytes | None) -> str:
    return "nothing" if fragment is None else fragment[:12].hex()
