"""Whole conversations, mutated: a station with everything in its map, links that come and go, octets right and wrong.

Only the protocol's own error closes a link; the broker is given nothing that is not permitted; nothing grows.
`GRIDGATE_FUZZ104` says how many frames (`make fuzz104`: a million).
"""

from __future__ import annotations

import os
import random

from gateway.contracts import Reason, Stage
from protocols.iec104.clock import ClockSync, EventClock
from protocols.iec104.plan import ResetProcess
from protocols.iec104.session import MAX_COMMANDS, Submit
from tests.conformance.iec104.conversation import (
    NOON,
    STARTDT,
    STOPDT,
    TESTFR,
    TESTFR_CON,
    Answered,
    Conversation,
    Link,
)
from tests.kit.growing import leaves_nothing
from tests.peers.raw104 import asdu

FRAMES = int(os.environ.get("GRIDGATE_FUZZ104", "6000"))

REQUESTS = [
    asdu(100, 6, 1, 0, "14"),
    asdu(100, 8, 1, 0, "14"),
    asdu(100, 6, 0xFFFF, 0, "15"),
    asdu(101, 6, 1, 0, "05"),
    asdu(101, 6, 1, 0, "45"),
    asdu(101, 6, 1, 0, "85"),
    asdu(101, 6, 0xFFFF, 0, "c5"),
    asdu(102, 5, 1, 4001),
    asdu(103, 6, 1, 0, NOON),
    asdu(104, 6, 1, 0, "aa55"),
    asdu(105, 6, 1, 0, "01"),
    asdu(107, 6, 1, 0, "0700" + NOON),
    asdu(45, 6, 1, 6001, "81"),
    asdu(45, 6, 1, 6001, "01"),
    asdu(45, 8, 1, 6001, "81"),
    asdu(46, 6, 1, 6002, "02"),
    asdu(47, 6, 1, 6003, "02"),
    asdu(48, 6, 1, 7001, "004000"),
    asdu(49, 6, 1, 7002, "9cff00"),
    asdu(50, 6, 1, 7005, "0000c04280"),
    asdu(50, 6, 1, 7005, "0000c04200"),
    asdu(51, 6, 1, 7004, "78563412"),
    asdu(58, 6, 1, 6001, "01" + NOON),
    asdu(63, 6, 1, 7003, "0000c04200" + NOON),
    asdu(112, 6, 1, 4001, "0000c84201"),
    asdu(112, 6, 1, 4001, "0000c84203"),
    asdu(110, 6, 1, 4201, "002001"),
    asdu(111, 6, 1, 4101, "0a0004"),
    asdu(113, 6, 1, 0, "01"),
    asdu(113, 8, 1, 4001, "02"),
    asdu(122, 13, 1, 1, "00000000"),
]
U_FRAMES = [STARTDT, STOPDT, TESTFR, TESTFR_CON, "680401000000", "68040b000000"]
STORIES: list[Answered] = [
    [],
    [(Stage.ACCEPTED, Reason.OK)],
    [(Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)],
    [(Stage.ACCEPTED, Reason.OK), (Stage.FAILED, Reason.TIMEOUT)],
    [(Stage.REFUSED, Reason.LOCAL)],
]


def mutate(octets: bytes, chance: random.Random) -> bytes:
    """One to three changes: octets set, bits turned, cut, put in."""
    out = bytearray(octets)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            out[at : at + 1] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)])])
        elif kind == 1 and at < len(out):
            out[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            out[at:at] = chance.randbytes(chance.randint(1, 6))
        elif at < len(out):
            out[at] = out[at - 1]
    return bytes(out)


class Peer:
    """A master gone wrong: now and then right, so that the station gets somewhere."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.talk = Conversation(
            options={
                "clock_sync": ClockSync.OFFSET,
                "clock": EventClock(),
                "reset_process": ResetProcess.CONFIRM,
                "end_of_initialisation": True,
                "command_max_age_s": 60.0,
            },
            master={"clock": True, "links": 3, "capacity": 200},
        )
        self.talk.broker = self.broker
        self.link = self.talk.link()
        self.closed = 0

    def broker(self, order: Submit) -> Answered:
        assert order.refusal is Reason.OK
        assert not order.test
        assert order.value == order.value
        return self.chance.choice(STORIES)

    def frame(self) -> bytes:
        """Something to say, numbered as it should be, and then perhaps spoilt."""
        chance, link = self.chance, self.link
        kind = chance.randrange(10)
        if kind == 0:
            octets = bytes.fromhex(chance.choice(U_FRAMES))
        elif kind == 1:
            octets = bytes.fromhex(f"68040100{(link.vr << 1).to_bytes(2, 'little').hex()}")
        else:
            body = chance.choice(REQUESTS)
            if chance.random() < 0.5:
                body = mutate(body, chance)[:249]
            number = link.vs << 1 | link.vr << 17
            octets = bytes([0x68, len(body) + 4]) + number.to_bytes(4, "little") + body
            link.vs = (link.vs + 1) & 0x7FFF
        return mutate(octets, chance) if chance.random() < 0.05 else octets

    def turn(self) -> None:
        """One frame, in one piece or many; a change in the field and some time now and then."""
        chance = self.chance
        if self.link.closed or chance.random() < 0.01:
            self.closed += bool(self.link.closed)
            if not self.link.closed:
                self.link.ends()
            self.link = self.talk.link()
            self.link.says(STARTDT)
        octets = self.frame()
        step = chance.choice([len(octets) or 1, 1, 3])
        for at in range(0, len(octets), step):
            self.link.says(octets[at : at + step].hex())
        if chance.random() < 0.3:
            self.talk.change((chance.choice([0, 1, 4, 5, 6, 7]), float(chance.randrange(4))))
        if chance.random() < 0.05 and not self.link.closed:
            self.link.waits(chance.choice([0.5, 3.0, 11.0]))
        self.check()

    def check(self) -> None:
        talk, session = self.talk, self.link.session
        talk.field.clear()
        talk.audit.clear()
        assert len(talk.station.queue) <= 200
        assert len(talk.station.selections._held) <= len(talk.lines)
        assert len(talk.station.parameters.loaded) <= len(talk.lines)
        assert len(session._commands) <= MAX_COMMANDS
        assert session.connection.outstanding <= talk.apci.k
        assert talk.table.value[10:19].any() == False  # noqa: E712 - no command changes the table


def play(frames: int, seed: int) -> Peer:
    peer = Peer(seed)
    for _ in range(frames):
        peer.turn()
    return peer


def test_mutated_conversations_do_no_harm() -> None:
    peer = play(FRAMES, 604)
    assert peer.closed > FRAMES // 100


def test_conversations_leave_nothing_behind() -> None:
    play(500, 1)
    with leaves_nothing():
        for seed in range(4):
            play(max(500, FRAMES // 20), seed)


def test_a_long_life_does_not_grow() -> None:
    """One station and its links, looked at early and late."""
    peer = play(max(500, FRAMES // 20), 7)
    with leaves_nothing():
        for _ in range(max(1_000, FRAMES // 4)):
            peer.turn()


def test_a_started_link_is_still_served_after_all_that() -> None:
    peer = play(2_000, 12)
    link: Link = peer.talk.link()
    link.says(STARTDT)
    link.listens()
    peer.talk.broker = lambda order: [(Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)]
    frames = link.asks(asdu(100, 6, 1, 0, "14")) + link.listens()
    assert [frame.cause for frame in frames if frame.type_id == 100] == [7, 10]
