"""Whole conversations with mutated real frames: an outstation with everything in its map, masters right and wrong.

Nothing a master says raises, the broker is given nothing that is not permitted, every answer is a readable fragment of
the permitted size, nothing grows. `GRIDGATE_FUZZDNP3` says how many frames (`make fuzzdnp3`: a million).
"""

from __future__ import annotations

import os
import random
from functools import cache

from gateway.contracts import Reason, Stage
from gateway.points import Quality
from protocols.dnp3.application import parse_fragment
from protocols.dnp3.effects import Submit
from protocols.dnp3.freeze import MAX_SCHEDULES
from protocols.dnp3.headers import parse_headers
from protocols.dnp3.link import MAX_FRAME
from protocols.dnp3.plan import UnsolicitedPlan
from tests.conformance.dnp3.conversation import MASTER_DATA, NOON, Answered, Conversation
from tests.fuzz.test_dnp3_wire import FRAGMENTS, mutate
from tests.kit.dnp3captures import CAPTURES, fragments
from tests.kit.dnp3kit import NOON_TAG, master
from tests.kit.growing import leaves_nothing
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, CLASSES, INTEGRITY, Response

FRAMES = int(os.environ.get("GRIDGATE_FUZZDNP3", "6000"))
CAPACITY, FRAGMENT = 200, 512
RELAY = "0c011701" + "00" + "0301" + "64000000" + "c8000000" + "00"
SETPOINT = "29031701" + "01" + "0000a041" + "00"

REQUESTS = [
    (raw.READ, INTEGRITY),
    (raw.READ, CLASSES),
    (raw.READ, CLASS_0),
    (raw.READ, "3c020703"),
    (raw.READ, "020306" + "200506" + "160006"),
    (raw.READ, "1e05000001" + "010006"),
    (raw.READ, "00fe06" + "00ff06" + "6e0006" + "220006" + "320106"),
    (raw.WRITE, "500100070700"),
    (raw.WRITE, "32010701" + NOON_TAG),
    (raw.WRITE, "22031701" + "00" + "0000c03f"),
    (raw.SELECT, RELAY),
    (raw.OPERATE, RELAY),
    (raw.SELECT, "29031701" + "00" + "0000a041" + "00"),
    (raw.OPERATE, "29031701" + "00" + "0000a041" + "00"),
    (raw.DIRECT, SETPOINT),
    (raw.DIRECT_NO_ACK, RELAY),
    (raw.FREEZE, "140006"),
    (raw.FREEZE_CLEAR_NO_ACK, "140006"),
    (raw.FREEZE_AT_TIME, "32020701" + NOON_TAG + "10270000" + "140006"),
    (raw.ENABLE, CLASSES),
    (raw.DISABLE, "3c0306"),
    (raw.ASSIGN, "3c0206" + "1e0006" + "3c0306" + "010006"),
    (raw.DELAY, ""),
    (raw.RECORD, ""),
    (raw.WARM_RESTART, ""),
]
STORIES: list[Answered] = [
    [],
    [(Stage.ACCEPTED, Reason.OK)],
    [(Stage.ACCEPTED, Reason.OK), (Stage.COMPLETED, Reason.OK)],
    [(Stage.ACCEPTED, Reason.OK), (Stage.FAILED, Reason.TIMEOUT)],
    [(Stage.REFUSED, Reason.LOCAL)],
]


@cache
def recorded() -> tuple[bytes, ...]:
    """Requests of real captures."""
    real = (said.octets for path in CAPTURES for said in fragments(path))
    return (*FRAGMENTS, *(octets for octets in real if octets[1] < 128))


class Peer:
    """A master gone wrong: now and then right, so that the outstation gets somewhere."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        plan = master(
            capacity=(CAPACITY,) * 3,
            unsolicited=UnsolicitedPlan(retry_pause_s=1.0),
            parameters={
                "fragment_size": FRAGMENT,
                "restart": True,
                "need_time_s": 60.0,
                "self_address": True,
                "attributes": ((252, "GridGate"),),
                "octet_strings": ("Kurnool",),
            },
        )
        self.talk = Conversation((plan,), broker=self.broker)
        self.answered = self.confirmed = 0

    def broker(self, order: Submit) -> Answered:
        assert order.refusal is None
        assert order.order.value == order.order.value
        assert order.order.row in (5, 6, 10)
        return self.chance.choice(STORIES)

    def fragment(self) -> bytes:
        """Something to say, and then perhaps spoilt."""
        chance, talk = self.chance, self.talk
        kind = chance.randrange(10)
        if kind < 3 and talk.heard:
            last: Response = talk.heard[-1]
            return bytes([0xC0 | (0x10 if last.unsolicited else 0) | last.seq, 0])
        if kind < 6:
            octets = chance.choice(recorded())
        else:
            function, objects = chance.choice(REQUESTS)
            talk.seq = (talk.seq + 1) & 15
            octets = bytes([0xC0 | talk.seq, function]) + bytes.fromhex(objects)
        return mutate(octets, chance) if chance.random() < 0.5 else octets

    def octets(self) -> bytes:
        """Link frames, some with other functions or addresses, some spoilt."""
        chance = self.chance
        if chance.random() < 0.05:
            control = chance.choice([0xC0, 0xC9, 0xD2, 0xF2, 0xD3, 0xF3, chance.randrange(256)])
            data = bytes([0xC0]) + self.fragment()[:249] if control & 3 == 3 else b""
            return raw.frame(control, 10, 1, data)
        to = 10 if chance.random() < 0.95 else chance.choice([0xFFFF, 0xFFFE, 0xFFFD, 0xFFFC, 11])
        body, out = self.fragment()[:2_300], b""
        pieces = [body[at : at + 249] for at in range(0, len(body), 249)]
        for at, piece in enumerate(pieces):
            head = bytes([(at == 0) << 6 | (at == len(pieces) - 1) << 7 | at & 63])
            out += raw.frame(MASTER_DATA, to, 1, head + piece)
        return mutate(out, chance) if out and chance.random() < 0.1 else out

    def turn(self) -> None:
        """One request in one piece or many; a change in the field and some time now and then."""
        chance, talk = self.chance, self.talk
        if chance.random() < 0.01:
            talk.cuts()
            talk.connects()
        octets = self.octets()
        step = chance.choice([len(octets) or 1, 1, 7]) if len(octets) < 300 else len(octets) or 1
        for at in range(0, len(octets), step):
            talk.says(octets[at : at + step])
        if chance.random() < 0.3:
            row = chance.choice([0, 1, 2, 3, 4, 5, 6])
            quality = chance.choice([0, 0, 0, int(Quality.COMM_LOST), int(Quality.TIME_INVALID)])
            talk.change(
                *((row, float(chance.randrange(4)), quality, NOON + at) for at in range(chance.choice([1, 80])))
            )
        if chance.random() < 0.05:
            talk.waits(chance.choice([0.5, 5.1, 11.0]))
        self.check()

    def check(self) -> None:
        """Every answer can be read; nothing is held beyond its limit. Then what was kept for the test is forgotten."""
        talk = self.talk
        for answer in talk.heard:
            assert len(answer.octets) <= FRAGMENT or answer.octets[1] == 129
            fragment = parse_fragment(answer.octets)
            parse_headers(fragment.payload, fragment.function)
        self.answered += len(talk.heard)
        del talk.heard[:-1]
        for kept in (talk.frames, talk.links, talk.said, talk.orders, talk.refused):
            kept.clear()
        station, store = talk.station, talk.station.store
        assert all(len(buffer) <= CAPACITY for buffer in store.buffers.values())
        assert len(store) <= len(store.queue) <= 3 * CAPACITY
        if self.chance.random() < 0.2:
            store.settle()  # as the server does soon after a confirmation
            assert len(store) == len(store.queue)
        assert len(station.schedules._entries) <= MAX_SCHEDULES
        assert len(talk.reader._buffer) <= MAX_FRAME
        assert talk.table.value[:7].max() <= 6  # no command changes the table


def play(frames: int, seed: int) -> Peer:
    peer = Peer(seed)
    for _ in range(frames):
        peer.turn()
    return peer


def test_mutated_conversations_do_no_harm() -> None:
    peer = play(FRAMES, 1815)
    assert peer.answered > FRAMES // 4


def test_conversations_leave_nothing_behind() -> None:
    play(300, 1)
    with leaves_nothing():
        for seed in range(3):
            play(max(300, FRAMES // 40), seed)


def test_a_long_life_does_not_grow() -> None:
    peer = play(max(300, FRAMES // 40), 7)
    with leaves_nothing():
        for _ in range(max(500, FRAMES // 10)):
            peer.turn()


def test_a_master_is_still_served_after_all_that() -> None:
    talk = play(2_000, 12).talk
    talk.cuts()
    talk.connects()
    talk.confirms(talk.heard[-1])  # the null response, if one was due
    talk.request(raw.DISABLE, CLASSES)
    talk.waits(30.0)
    answers = talk.read(INTEGRITY)
    assert answers[-1].fin and any(answer.objects for answer in answers)
