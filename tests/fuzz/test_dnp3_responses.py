"""Whatever an outstation may send, mutated: the conversation goes on or the answer is nobody's, and nothing else."""

from __future__ import annotations

import os
import random
from collections import Counter

import numpy as np

from gateway.contracts import Pulse
from gateway.points import ALL_FLAGS
from protocols.dnp3 import objects
from protocols.dnp3.application import AppControl, Fragment, FragmentBuilder
from protocols.dnp3.field.decode import Batch
from protocols.dnp3.field.remote import Remote
from protocols.dnp3.field.steps import COUNTER_NAMES
from protocols.dnp3.function import Function
from protocols.dnp3.iin import Iin
from protocols.dnp3.link import LinkReader
from protocols.dnp3.objects import OBJECTS, Coding, ObjectKind
from protocols.dnp3.transport import encode_fragment
from tests.kit.dnp3fieldkit import line, source

ROUNDS = int(os.environ.get("GRIDGATE_FUZZDNP3", "6000"))
CHANCE = random.Random(1815)
TYPES = {"BI": "binary", "DBI": "double", "BO": "binary", "CTR": "counter", "FCTR": "counter", "AI": "analog"}
TYPES |= {"FAI": "analog"}
NOW_NS = 1_700_000_000 * 10**9


def rows() -> str:
    lines = [f"{kind.lower()}{index},{word},{kind},{index}," for kind, word in TYPES.items() for index in range(4)]
    return "point,kind,type,index,mode\n" + "\n".join([*lines, "limit,setpoint,AO,1,select"])


def payloads() -> list[bytes]:
    """Some objects of every variation that carries a value."""
    made = []
    for row in OBJECTS.values():
        if row.coding in (Coding.NONE, Coding.RECORD) or row.kind is ObjectKind.COMMAND or row.group == 80:
            continue
        coded = objects.encode(row, np.array([0.0, 1.0, 2.0]), np.ones(3, np.uint8), np.full(3, 1_700_000_000_123))
        builder = FragmentBuilder()
        if row.kind in (ObjectKind.STATIC, ObjectKind.DEADBAND):
            builder.add_range(row, 0, coded)
        else:
            builder.add_indexed(row, np.arange(3), coded)
        made.append(builder.payloads()[0].octets)
    return made


def mutated(octets: bytes) -> bytes:
    out = bytearray(octets)
    for _ in range(CHANCE.randint(0, 4)):
        where = CHANCE.randrange(len(out))
        match CHANCE.randrange(3):
            case 0:
                out[where] = CHANCE.randrange(256)
            case 1:
                del out[where:]
            case _:
                out[where:where] = CHANCE.randbytes(CHANCE.randint(1, 5))
        if not out:
            return b"\x00"
    return bytes(out)


def test_no_response_does_harm() -> None:
    (station,) = line(source(rows(), unsolicited=True, time_sync=True)).stations
    counters = Counter(dict.fromkeys(COUNTER_NAMES, 0))
    remote, reader, seeds = Remote(station, counters), LinkReader(), payloads()
    now, good = 0.0, 0
    remote.begin(now, NOW_NS)
    for round_ in range(ROUNDS):
        now += 0.01
        if round_ % 500 == 0:
            remote.end("cut")
            remote.begin(now, NOW_NS)
        if round_ % 97 == 0:
            remote.command(round_, station.orders[0], 1.0, Pulse.DEFAULT)
        unsolicited = CHANCE.random() < 0.3
        seq = remote._seq if CHANCE.random() < 0.8 else CHANCE.randrange(16)
        head = AppControl(seq, con=CHANCE.random() < 0.5, uns=unsolicited, fin=CHANCE.random() < 0.9)
        function = Function.UNSOLICITED_RESPONSE if unsolicited else Function.RESPONSE
        octets = Fragment(head, function, Iin(CHANCE.randrange(65_536)), CHANCE.choice(seeds)).encode()
        frames, _ = encode_fragment(mutated(octets), 1, 10, CHANCE.randrange(64), CHANCE.choice((0x44, 0x44, 0x53)))
        for frame in reader.feed(frames):
            for effect in [*remote.receive(frame, now, NOW_NS), *remote.on_time(now, NOW_NS)]:
                if isinstance(effect, Batch):
                    good += len(effect.rows)
                    assert np.isfinite(effect.values).all()
                    assert (effect.qualities & ~np.uint32(ALL_FLAGS) == 0).all()
                    assert (effect.times_ns >= 0).all() and len(effect.times_ns) == len(effect.rows)
        assert len(remote.data_to_send()) < 5_000 and len(remote._queue) < 20
    assert good > ROUNDS // 100


def test_random_octets_are_no_frames() -> None:
    (station,) = line(source(rows())).stations
    remote, reader = Remote(station, Counter()), LinkReader()
    remote.begin(0.0, NOW_NS)
    for _ in range(2_000):
        for frame in reader.feed(CHANCE.randbytes(CHANCE.randint(1, 300))):
            remote.receive(frame, 0.0, NOW_NS)
    assert not remote.online
