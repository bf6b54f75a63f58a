"""Whatever an RTU may send, mutated, whole and octet by octet: the link ends in words or goes on, and nothing else."""

from __future__ import annotations

import os
import random
import struct
from collections import Counter

import numpy as np

from gateway.contracts import Pulse
from gateway.points import ALL_FLAGS
from protocols.iec104.field.controlling import COUNTER_NAMES, Close, Controlling
from protocols.iec104.field.decode import Batch, Decoder
from protocols.iec104.field.plan import RtuPlan
from protocols.iec104.field.tags import Tags
from protocols.iec104.field.types import FAMILY, MONITORED
from protocols.iec104.time56 import Zone
from tests.kit.rtukit import rtu
from tests.peers.raw104 import STARTDT_CON, STOPDT_CON, TESTFR_ACT, TESTFR_CON, asdu

ROUNDS = int(os.environ.get("GRIDGATE_FUZZ104", "6000"))
CHANCE = random.Random(104)
KINDS = {1: "binary", 3: "double", 17: "double", 15: "counter"}


def rows() -> str:
    lines = [
        f"p{number},{KINDS.get(FAMILY[number], 'analog')},1,{number},{row.name},-100,100,"
        for number, row in MONITORED.items()
    ]
    lines += ["run,control,1,201,C_SC_NA_1,,,direct", "limit,setpoint,1,202,C_SE_TC_1,,,select"]
    return "point,kind,ca,ioa,type,low,high,mode\n" + "\n".join(lines)


def seeds() -> list[bytes]:
    """One ASDU of every type, single and in sequence, and every answer to what we ask."""
    made = [asdu(number, 3, 1, number, CHANCE.randbytes(row.size).hex()) for number, row in MONITORED.items()]
    made += [
        asdu(number, 20, 1, number, CHANCE.randbytes(3 * row.size).hex(), vsq=0x83) for number, row in MONITORED.items()
    ]
    for cause in (7, 10, 0x47, 44, 45, 46, 47):
        made += [asdu(100, cause, 1, 0, "14"), asdu(101, cause, 1, 0, "05"), asdu(45, cause, 1, 201, "01")]
        made.append(asdu(63, cause, 1, 202, "0000803f80 9b4e0d164e0b17"))
    return [*made, asdu(70, 4, 1, 0, "00"), asdu(103, 7, 1, 0, "9b4e0d164e0b17"), asdu(120, 13, 1, 1, "00")]


def session(plan: RtuPlan, now: float = 0.0) -> Controlling:
    counters = Counter(dict.fromkeys(COUNTER_NAMES, 0))
    zone = Zone("Asia/Kolkata")
    made = Controlling(plan, zone, Decoder(plan.points, Tags(zone), True, counters), counters, now)
    made.begin(now)
    made.receive(bytes.fromhex(STARTDT_CON), now, 1_700_000_000 * 10**9)
    for ticket, order in enumerate(plan.orders):
        made.command(ticket, order, 1.0, Pulse.DEFAULT, now, 1_700_000_000 * 10**9)
    made.data_to_send()
    return made


def frame(body: bytes, number: int) -> bytes:
    body = body[:249]
    return struct.pack("<BBHH", 0x68, (len(body) + 4) & 0xFF, number << 1, 0) + body


def mutate(seed: bytes) -> bytes:
    octets = bytearray(seed)
    for _ in range(CHANCE.randint(0, 3)):
        at = CHANCE.randrange(len(octets) + 1)
        what = CHANCE.randrange(4)
        if what == 0 and at < len(octets):
            octets[at] = CHANCE.choice([0, 1, 0x7F, 0x80, 0xFF, CHANCE.randrange(256)])
        elif what == 1:
            octets[at:at] = CHANCE.randbytes(CHANCE.randint(1, 8))
        elif what == 2 and at > 6:
            del octets[at:]
        elif at < len(octets):
            octets[at] ^= 1 << CHANCE.randrange(8)
    return bytes(octets)


def check(effects: list[object], known: set[int]) -> bool:
    """Whether the link goes on; what was published must be whole."""
    for effect in effects:
        if isinstance(effect, Batch):
            assert len(effect.rows) == len(effect.values) == len(effect.qualities) == len(effect.times_ns)
            assert effect.qualities.dtype == np.uint32 and effect.rows.dtype == np.uint32
            assert effect.values.dtype == np.float64 and effect.times_ns.dtype == np.int64
            assert np.isfinite(effect.values).all()
            assert not (effect.qualities & ~np.uint32(int(ALL_FLAGS))).any()
            assert set(effect.rows.tolist()) <= known
    return not any(isinstance(effect, Close) for effect in effects)


def test_mutated_frames_whole_and_octet_by_octet() -> None:
    plan = rtu(rows(), counters="read", clock_sync_s=60)
    known, every = set(plan.rows.tolist()), seeds()
    us = [bytes.fromhex(each) for each in (TESTFR_ACT, TESTFR_CON, STOPDT_CON, STARTDT_CON)]
    talk, number, at, went_on = session(plan), 0, 0.0, 0
    for round_ in range(ROUNDS):
        octets = frame(mutate(CHANCE.choice(every)), number) if round_ % 20 else mutate(CHANCE.choice(us))
        number += round_ % 20 != 0
        at += 0.01
        parts = [octets] if round_ % 3 else [octets[i : i + 1] for i in range(len(octets))]
        alive = True
        for part in parts:
            alive = alive and check(talk.receive(part, at, 1_700_000_000 * 10**9), known)
        alive = alive and check(talk.on_time(at, 1_700_000_000 * 10**9), known)
        talk.data_to_send()
        went_on += alive
        if not alive or talk.connection.outstanding > 8:
            talk.lose("cut")
            talk, number = session(plan, at), 0
    assert went_on > ROUNDS // 4, "most of it must reach the layers above"
