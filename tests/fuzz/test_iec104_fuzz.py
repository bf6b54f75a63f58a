"""Random, truncated and mutated frames, whole and octet by octet: only the protocol's own error escapes."""

from __future__ import annotations

import os
import random
from pathlib import Path

import dpkt
import numpy as np
import pytest

from gateway.points import Kind, Point, PointCatalogue
from protocols.iec104 import elements
from protocols.iec104.apci import FrameReader, IFrame
from protocols.iec104.asdu import Asdu
from protocols.iec104.connection import ApciParameters
from protocols.iec104.elements import TYPES
from protocols.iec104.errors import Iec104Error
from protocols.iec104.plan import BindingColumns, MasterPlan
from protocols.iec104.session import MAX_ANSWERS, Close, Session
from protocols.iec104.station import Station, StationOptions
from protocols.iec104.time56 import Zone

DATA = Path(os.environ.get("GRIDGATE_DATA", Path(__file__).parents[3] / "shared" / "data"))
STARTDT = bytes.fromhex("680407000000")
ROUNDS = int(os.environ.get("GRIDGATE_FUZZ104", "6000"))

SEEDS = [
    bytes.fromhex(text)
    for text in (
        "64010600010000000014",  # station interrogation
        "65010600010000000005",  # counters
        "660105000100010000",  # read
        "67010600010000000 09b4e0d164e0b17".replace(" ", ""),  # clock
        "6801060001000000 00aa55".replace(" ", ""),  # test
        "6b0106000100000000 0100 9b4e0d164e0b17".replace(" ", ""),
        "2d010600010003000001",  # single command
        "2e010600010003000002",
        "32010600010004000000 00c84200".replace(" ", ""),  # set-point
        "3f010600010004000000 00c84200 9b4e0d164e0b17".replace(" ", ""),
        "7a0d0d00010000000000",  # file transfer
        "6e010600010001000000 0000".replace(" ", ""),  # parameter
    )
]


class Table:
    value = np.zeros(5)
    quality = np.zeros(5, np.uint32)
    time_ns = np.full(5, 1_700_000_000_000_000_000, np.int64)


def station() -> Station:
    kinds = [Kind.ANALOG, Kind.BINARY, Kind.COUNTER, Kind.CONTROL, Kind.SETPOINT]
    points = [Point(row=row, name=f"p{row}", kind=kind, low=-100, high=100) for row, kind in enumerate(kinds)]
    columns = BindingColumns(
        row=np.arange(5, dtype=np.uint32),
        ca=np.ones(5, np.uint16),
        ioa=np.array([1, 2, 5, 3, 4], np.uint32),
        event_type=np.array([36, 30, 37, 45, 50], np.uint8),
        static_type=np.array([13, 1, 15, 45, 50], np.uint8),
        group=np.zeros(5, np.uint8),
        limit=np.full(5, np.nan),
        cyclic_s=np.zeros(5, np.float32),
        mode=np.array([0, 0, 0, 3, 3], np.uint8),
    )
    plan = MasterPlan(name="m", addresses=("127.0.0.1",), bindings=columns, commands=True)
    made = Station(plan, PointCatalogue.of(points), Zone("Asia/Kolkata"), Table(), StationOptions())
    made.begin()
    return made


def i_frame(asdu: bytes, ssn: int = 0) -> bytes:
    asdu = asdu[:249]
    return bytes([0x68, (len(asdu) + 4) & 0xFF]) + (ssn << 1).to_bytes(2, "little") + b"\0\0" + asdu


def mutate(seed: bytes, chance: random.Random) -> bytes:
    octets = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(octets) + 1)
        kind = chance.randrange(4)
        if kind == 0 and at < len(octets):
            octets[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        elif kind == 1:
            octets[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 2:
            del octets[at:]
        elif at < len(octets):
            octets[at] ^= 1 << chance.randrange(8)
    return bytes(octets)


def listen(made: Station, stream: bytes, step: int) -> list[object]:
    """A link that says STARTDT and then the stream in pieces; its effects."""
    session = Session(made, ApciParameters(), 0.0)
    effects: list[object] = list(session.receive(STARTDT, 0.0, 0))
    for at in range(0, len(stream), step):
        effects += session.receive(stream[at : at + step], 0.0, 1_700_000_000_000_000_000)
        session.produce(0.0)
        if effects and isinstance(effects[-1], Close):
            break
    session.stop()
    return effects


def test_mutated_requests_break_their_link_or_are_answered() -> None:
    chance, made = random.Random(104), station()
    closed = 0
    for _ in range(ROUNDS // 2):
        asdu = mutate(chance.choice(SEEDS), chance)
        effects = listen(made, i_frame(asdu), 300)
        closed += any(isinstance(effect, Close) for effect in effects)
    assert 0 < closed < ROUNDS // 2
    assert len(made.queue) == 0


def test_mutated_frames_octet_by_octet() -> None:
    chance, made = random.Random(105), station()
    for _ in range(ROUNDS // 20):
        listen(made, mutate(i_frame(chance.choice(SEEDS)), chance), 1)


def test_random_octets() -> None:
    chance, made = random.Random(106), station()
    for _ in range(ROUNDS // 10):
        stream = chance.choice([b"", b"\x68"]) + chance.randbytes(chance.randint(0, 300))
        listen(made, stream, chance.randint(1, 300))


def test_random_asdus_of_every_type_are_read_or_refused() -> None:
    chance = random.Random(107)
    zone = Zone("Europe/Berlin")
    for _ in range(ROUNDS // 4):
        raw = bytes([chance.choice([*TYPES, chance.randrange(256)]), chance.choice([1, 2, 0x81, 0x82, 127])])
        raw += chance.randbytes(chance.choice([4, 7, 8, 9, 10, 11, 14, 18, 32, 200]))
        try:
            asdu = Asdu.parse(raw)
            _, records = asdu.objects()
            row = TYPES[asdu.type_id]
            span = np.zeros(len(records)), np.ones(len(records))
            elements.values(row, records, *span)
            elements.times(row, records, zone)
        except Iec104Error:
            continue


@pytest.mark.parametrize(
    "frame",
    [
        "680a00000000670106000100",  # the 12 octets that killed another stack: clock command without a time
        "680e000000006401060001000000",  # short by two: stays incomplete
        "680d0000000064010600010000 0014".replace(" ", ""),  # short ioa
        "680e00000000647f0600010000000014",  # 127 objects announced
        "680e0000000064810600010000000014",  # a sequence where none may be
        "680d00000000680106000100000000",  # null test command
        "681300000000780d0d000100000000000000000000".replace(" ", ""),  # file segment
    ],
)
def test_classes_that_broke_other_stacks(frame: str) -> None:
    for step in (1, 300):
        listen(station(), bytes.fromhex(frame), step)


def test_a_peer_that_only_asks_is_bounded() -> None:
    made = station()
    session = Session(made, ApciParameters(), 0.0)
    session.receive(STARTDT, 0.0, 0)
    ssn = 0
    effects: list[object] = []
    while not effects and ssn < 2 * MAX_ANSWERS:
        effects = list(session.receive(i_frame(SEEDS[4], ssn), 0.0, 0))
        session.produce(0.0)
        ssn += 1
    assert isinstance(effects[-1], Close)
    assert ssn <= MAX_ANSWERS + 20


def capture_payloads(path: Path) -> list[bytes]:
    """TCP payloads to or from port 2404, in the order of the capture."""
    payloads = []
    with path.open("rb") as file:
        for _, octets in dpkt.pcap.Reader(file):
            packet = dpkt.ethernet.Ethernet(octets).data
            tcp = getattr(packet, "data", None)
            if isinstance(tcp, dpkt.tcp.TCP) and 2404 in (tcp.sport, tcp.dport) and tcp.data:
                payloads.append(bytes(tcp.data))
    return payloads


@pytest.mark.parametrize("name", ["090813_diverse.pcap", "JavaRMI_and_IEC_Misc.pcap"])
def test_captured_frames_are_read(name: str) -> None:
    path = DATA / "iec104" / name
    if not path.exists():
        pytest.skip(f"capture {path} is not here")
    read = 0
    for payload in capture_payloads(path):
        try:
            for frame in FrameReader().feed(payload):
                if isinstance(frame, IFrame):
                    Asdu.parse(frame.asdu).objects()
                read += 1
        except Iec104Error:
            continue
    assert read > 0


@pytest.mark.parametrize("name", ["090813_diverse.pcap", "JavaRMI_and_IEC_Misc.pcap"])
def test_mutated_captures_do_no_harm(name: str) -> None:
    path = DATA / "iec104" / name
    if not path.exists():
        pytest.skip(f"capture {path} is not here")
    chance, made = random.Random(108), station()
    payloads = capture_payloads(path)
    for _ in range(ROUNDS // 20):
        listen(made, mutate(chance.choice(payloads), chance), chance.choice([1, 7, 1_500]))
