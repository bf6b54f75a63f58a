"""Random, truncated and mutated frames and fragments, whole and octet by octet: only our own error escapes."""

from __future__ import annotations

import random
import tracemalloc
from functools import cache

import pytest

from protocols.dnp3 import objects
from protocols.dnp3.application import Function, parse_fragment
from protocols.dnp3.errors import Dnp3Error
from protocols.dnp3.headers import ObjectHeader, read_headers
from protocols.dnp3.link import MAX_FRAME, LinkLayer, LinkParameters, LinkReader, encode_frame
from protocols.dnp3.objects import OBJECTS, Coding
from protocols.dnp3.outputs import decode_output
from protocols.dnp3.transport import Reassembler, encode_fragment
from tests.kit.dnp3captures import CAPTURES, fragments, payloads

ROUNDS = 8_000
MASTER, OUTSTATION = 1, 10

FRAGMENTS = [
    bytes.fromhex(text.replace(" ", ""))
    for text in (
        "c001 3c0206 3c0306 3c0406 3c0106",  # integrity poll
        "c101 1e05 01 0000 ffff",  # every analog
        "c201 2000 08 ffff",  # 65,535 events at most
        "c301 1e05 28 0200 0700 e803",  # two analogs by index
        "c402 3201 0701 7b68e5cf8b01",  # time
        "c502 5001 00 0707 00",  # restart bit
        "c602 2203 28 0100 0700 0000c03f",  # deadband
        "c703 0c01 28 0200 0700 4101 64000000 c8000000 00 e803 4101 64000000 c8000000 00",  # select
        "c804 2902 17 02 07 2c01 00 09 2d01 00",  # operate
        "c90b 3202 0701 7b68e5cf8b01 00000000 1400 00 0001",  # freeze at a time
        "ca16 3c0206 0100 06 3c0306 1e00 00 0007",  # assign class
        "cb14 3c0206 3c0306 3c0406",  # enable unsolicited
        "e081 9000 3301 0701 7b68e5cf8b01 0203 17 02 07 81f401 08 01e803",  # events behind a common time
        "c081 0000 0101 00 0008 ff01 0301 00 0004 3901 1405 01 ff00 0001 e8030000 e9030000",
        "c081 0000 00fc 00 0000 01 03 414243",  # an attribute
    )
]


@cache
def recorded() -> tuple[bytes, ...]:
    """Fragments of real captures, and those above."""
    return (*FRAGMENTS, *(said.octets for path in CAPTURES for said in fragments(path)))


@cache
def recorded_octets() -> tuple[bytes, ...]:
    """What went over the wire in real captures, and the fragments above in link frames."""
    ours = (encode_fragment(fragment, OUTSTATION, MASTER, 0, 0xC4)[0] for fragment in FRAGMENTS)
    return (*ours, *(octets for path in CAPTURES for _, octets in payloads(path)))


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


def understand(octets: bytes) -> int:
    """Read a fragment to the last object; how many headers there were. What it holds never outgrows what came."""
    fragment = parse_fragment(octets)
    found, length, error = read_headers(fragment.payload, fragment.function)
    assert sum(len(header.raw) for header in found) == length
    assert (error is None) is (length == len(fragment.payload))
    for header in found:
        read_objects(header)
    return len(found)


def read_objects(header: ObjectHeader) -> None:
    assert header.count <= 65_536
    row = header.row
    if not header.data or row is None:
        return
    if row.kind == "command":
        for octets in header.objects():
            decode_output(row.group, row.variation, octets.tobytes())
        return
    records = objects.decode(row, header.data, header.count)
    if row.coding is not Coding.RECORD:
        objects.values(row, records)
        objects.flags(row, records)
        objects.times_ms(row, records)


def test_mutated_fragments_are_read_or_refused() -> None:
    chance, refused = random.Random(1815), 0
    for _ in range(ROUNDS):
        try:
            understand(mutate(chance.choice(recorded()), chance))
        except Dnp3Error:
            refused += 1
    assert 0 < refused < ROUNDS


@pytest.mark.parametrize("step", [1, 17, 1_500])
def test_mutated_octets_through_every_layer(step: int) -> None:
    chance = random.Random(1816 + step)
    for _ in range(ROUNDS // (40 if step == 1 else 8)):
        listen(mutate(chance.choice(recorded_octets()), chance)[:3_000], step)


def listen(stream: bytes, step: int) -> int:
    """A stream from the master through link, transport and application; how many fragments were understood."""
    reader, reassembler = LinkReader(), Reassembler()
    layer = LinkLayer(LinkParameters(local=OUTSTATION, remote=MASTER), 0.0)
    understood = 0
    for at in range(0, len(stream), step):
        for frame in reader.feed(stream[at : at + step]):
            segment = layer.receive(frame, 0.0).segment if layer.accepts(frame) else frame.data
            fragment = reassembler.receive(segment) if segment else None
            if fragment is not None:
                understood += try_to_understand(fragment)
    assert reader.skipped <= len(stream)
    return understood


def try_to_understand(fragment: bytes) -> int:
    try:
        return understand(fragment)
    except Dnp3Error:
        return 0


def test_mutated_fragments_in_good_frames() -> None:
    chance = random.Random(1817)
    for _ in range(ROUNDS // 8):
        fragment = mutate(chance.choice(recorded()), chance)[:2_048]
        stream, _ = encode_fragment(fragment or b"\0", OUTSTATION, MASTER, chance.randrange(64), 0xC4)
        listen(stream, 1_500)


def test_random_octets() -> None:
    chance = random.Random(1818)
    for _ in range(ROUNDS // 10):
        stream = chance.choice([b"", b"\x05\x64"]) + chance.randbytes(chance.randint(0, 600))
        listen(stream, chance.randint(1, 300))


def test_random_segments_and_fragments() -> None:
    chance, reassembler = random.Random(1819), Reassembler(2_048)
    for _ in range(ROUNDS // 4):
        segment = bytes((chance.choice([0x40, 0xC0, 0x80, 0x00]) | chance.randrange(3),))
        fragment = reassembler.receive(segment + chance.randbytes(chance.randrange(250)))
        if fragment is not None:
            try_to_understand(fragment)


def test_random_headers_of_every_object() -> None:
    chance, keys = random.Random(1820), list(OBJECTS)
    for _ in range(ROUNDS // 4):
        group, variation = chance.choice([*keys, (110, 7), (0, 250), (chance.randrange(256), chance.randrange(256))])
        qualifier = chance.choice([0, 1, 6, 7, 8, 0x17, 0x28, 0x5B, chance.randrange(256)])
        function = chance.choice([*Function, chance.randrange(256)])
        span = chance.choice([b"\1", b"\1\0", b"\0\1", b"\0\0\xff\xff", b"\xff\xff"])
        head = bytes((0xC0, function)) + (b"\0\0" if function > 128 else b"")
        head += bytes((group, variation, qualifier)) + span
        try_to_understand(head + chance.randbytes(chance.choice([0, 1, 7, 11, 12, 13, 40])))


@pytest.mark.parametrize(
    "payload",
    [
        "1e05 01 0000 ffff",  # 65,536 announced, none there
        "1e06 01 0000 ffff",
        "6eff 01 0000 ffff",
        "0101 01 0000 ffff ff",
        "2008 28 ffff 0000",
        "00ff 28 ffff 0000 ff ff",
        "0c01 28 ffff",
        "3c01 08 ffff",
        "5001 00 00ff",
    ],
)
def test_what_is_announced_is_not_allocated(payload: str) -> None:
    octets = bytes.fromhex(payload)
    for function in (Function.WRITE, Function.SELECT, Function.RESPONSE, Function.READ):
        read_headers(octets, function)
        tracemalloc.start()
        for _ in range(50):
            read_headers(octets, function)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 50_000


def test_a_reader_holds_one_frame_at_most() -> None:
    reader = LinkReader()
    head = encode_frame(0xC4, OUTSTATION, MASTER, bytes(250))[:-1]
    for _ in range(1_000):
        reader.feed(head)
        assert len(reader._buffer) <= MAX_FRAME
    reader.feed(b"\x05\x64" * 10_000)
    assert len(reader._buffer) <= MAX_FRAME


def test_segments_without_an_end_are_bounded() -> None:
    reassembler = Reassembler(2_048)
    reassembler.receive(b"\x40" + bytes(249))
    for seq in range(1, 1_000):
        assert reassembler.receive(bytes((seq % 64,)) + bytes(249)) is None
        assert len(reassembler._gathered) <= 2_048
