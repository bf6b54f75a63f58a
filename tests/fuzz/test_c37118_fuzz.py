"""Octets that no PMU should send: only the package's own error escapes, nothing becomes a value, the driver lives."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.contracts import DeviceState
from protocols.c37118.configuration import Analog, Assembler, Configuration, Digital, Phasor, Pmu, parse
from protocols.c37118.configurationframes import encode
from protocols.c37118.decode import Decoder
from protocols.c37118.driver import PmuDriver
from protocols.c37118.encode import Measured, data_frame
from protocols.c37118.frame import C37Error, FrameType, Head, Splitter, build, check, command_of, head_of, header_of
from protocols.c37118.plan import Url
from protocols.c37118.session import Session
from tests.kit.pmukit import at, bound, stream
from tests.kit.recordingport import RecordingPort, until

MAP = "point,kind,channel\nf,analog,FREQ\nv,analog,VA.mag\na,analog,VA.ang\np,analog,P\nb,binary,CB"
PMU = Pmu(
    name="North",
    id=7,
    phasors=(Phasor(name="VA"),),
    analogs=(Analog(name="P"),),
    digitals=(Digital(names=("CB", *[""] * 15)),),
)
FOUND = Configuration(type=FrameType.CFG2, id=7, pmus=(PMU,))
DATA = data_frame(FOUND, [Measured.nothing(PMU)], soc=1000, fraction=0)
REAL = [*encode(FOUND), *encode(replace(FOUND, type=FrameType.CFG3)), DATA]
TYPES = st.sampled_from(list(FrameType))


@given(st.binary(max_size=300))
def test_random_octets_to_the_splitter(data: bytes) -> None:
    try:
        frames = Splitter().feed(data)
    except C37Error:
        return
    assert all(check(frame) == frame for frame in frames)


@given(st.binary(max_size=300), TYPES)
def test_random_bodies_to_every_reader(body: bytes, kind: FrameType) -> None:
    frame = build(Head(type=kind, id=7), body)
    head_of(frame), header_of(frame)
    for read in (command_of, Assembler().take, lambda each: parse(kind, 7, each[14:-2])):
        try:
            read(frame)
        except C37Error:
            continue


@settings(deadline=None)
@given(st.sampled_from(REAL), st.data())
def test_mutated_frames_with_a_good_chk_to_a_session(frame: bytes, data: st.DataObject) -> None:
    """The frame is cut and changed, then given the right size and CHK again: the worst that passes the check."""
    body = bytearray(frame[14:-2])
    for _ in range(data.draw(st.integers(0, 4))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(body)))
    head = head_of(frame)
    mutated = build(head, bytes(body[:cut] if data.draw(st.booleans()) else body))
    plan = stream(MAP, cfg=3 if head.type == FrameType.CFG3 else 2)
    session = Session(plan, Counter(), {})
    session.begin(0.0)
    try:
        session.stream(mutated + DATA, 0.1)
        session.stream(mutated, 0.2)
    except C37Error:
        return


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_random_datagrams_to_a_session(datagrams: list[bytes]) -> None:
    counters: Counter[str] = Counter()
    session = Session(stream(MAP, url="udp-listen://127.0.0.1:4713"), counters, {})
    session.begin(0.0)
    for datagram in datagrams:
        assert session.datagram(datagram, 0.1) == []
    assert counters["malformed"] == len(datagrams)


@given(st.binary(min_size=len(DATA) - 16, max_size=len(DATA) - 16))
def test_any_content_of_a_data_frame_is_a_value_or_invalid(body: bytes) -> None:
    points = bound("FREQ", "DFREQ", "VA.mag", "VA.ang", "P", "STAT", "DIGITAL[1]", binary=["CB"])
    frame = build(Head(type=FrameType.DATA, id=7, soc=2**32 - 1, fraction=0xFFFFFF, time_quality=255), body)
    batch, _ = Decoder(FOUND, points).decode([frame, frame])
    assert (abs(batch.values) < 1e42).all(), "every value is a number"


def test_a_peer_that_sends_mutations_never_ends_the_driver() -> None:
    """For each connection the peer answers with a real frame, changed at random, whole or in part."""
    chance = random.Random(7)

    def mutation() -> bytes:
        octets = bytearray(b"".join(chance.choices(REAL, k=2)))
        for _ in range(chance.randint(0, 3)):
            octets[chance.randrange(len(octets))] ^= 1 << chance.randrange(8)
        return bytes(octets[: chance.randint(1, len(octets))])

    connections = 0
    open_writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        open_writers.add(writer)
        with contextlib.suppress(ConnectionError):
            await reader.read(100)
            writer.write(mutation())
            await asyncio.sleep(0.01)
        writer.close()
        open_writers.discard(writer)

    async def scene() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = Url(scheme="tcp", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        port = RecordingPort(5)
        plan = at(stream(MAP, timeout_ms=100, reconnect_max_s=0.2), address)
        task = asyncio.create_task(PmuDriver(plan, port).run())
        await until(lambda: connections >= 12, "a dozen connections")
        assert not task.done()
        assert DeviceState.LOST in port.states_of("pmu1")
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        server.close()
        await server.wait_closed()
        await until(lambda: not open_writers, "every connection served")

    asyncio.run(scene())
