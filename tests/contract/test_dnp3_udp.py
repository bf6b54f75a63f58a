"""DNP3 over UDP: whole link frames in datagrams, one association per peer and link address."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from gateway.points import Kind, Point, PointCatalogue
from protocols.dnp3.datagrams import DATAGRAM, datagrams
from protocols.dnp3.link import LinkReader
from protocols.dnp3.plan import ServerPlan, UnsolicitedPlan
from protocols.dnp3.pointtypes import PointType as T
from protocols.dnp3.transport import encode_fragment
from tests.contract.server_suite import until
from tests.kit.dnp3kit import NOON, NOON_TAG, Row, Site, columns, master, plan, site
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0
from tests.peers.rawdnp3udp import connect

FEW = columns([Row(row=2, type=T.BI, index=0, event_class=1)])
STATIC = "010200000001"
EVENT = "02021701" + "00" + "81" + NOON_TAG


def play(talk: Callable[[Site], Awaitable[None]], made: ServerPlan, points: PointCatalogue | None = None) -> None:
    async def run() -> None:
        async with site(made, **({} if points is None else {"points": points})) as running:
            running.port.set(2, 0.0, 1)
            await talk(running)

    asyncio.run(run())


def udp(*masters: object, **keys: object) -> ServerPlan:
    return plan(*masters, listen=None, udp=("127.0.0.1", 0), system={}, **keys)  # type: ignore[arg-type]


def test_a_master_polls_and_confirms() -> None:
    async def talk(running: Site) -> None:
        rldc = await connect(running.server.udp_port)
        assert (await rldc.read(CLASS_0))[0].objects == STATIC
        running.port.change([(2, 1.0, 0, NOON)])
        assert await rldc.poll() == EVENT
        await until(lambda: running.main.outstation.store.__len__() == 0)
        await rldc.close()

    play(talk, udp(master(bindings=FEW)))


def test_masters_are_told_apart_by_peer_and_link_address() -> None:
    """Two behind one address and a third with its own have their own events; a stranger and a broken datagram none."""
    masters = [
        master(bindings=FEW),
        master(name="second", address=2, bindings=FEW),
        master(name="third", address=1, addresses=("127.0.0.3",), bindings=FEW),
    ]

    async def talk(running: Site) -> None:
        port = running.server.udp_port
        first, second = await connect(port), await connect(port, address=2)
        third = await connect(port, source="127.0.0.3")
        stranger = await connect(port, source="127.0.0.9")
        running.port.change([(2, 1.0, 0, NOON)])
        for rldc in (first, second, third):
            assert await rldc.poll() == EVENT
        await stranger.request(raw.READ, CLASS_0)
        assert await stranger.silent()
        (said,) = running.port.log.said("connection refused")
        assert said["peer"] == "127.0.0.9"
        first.writer.write(b"no frame")
        first.writer.write(raw.frame(0xC4, 10, 1, b"\xc0\xc0\x17")[:-1])  # cut short: lost, with its datagram
        assert (await first.ask(raw.DELAY)).objects
        assert (await third.read(CLASS_0))[0].objects == "010200000081"
        for rldc in (first, second, third, stranger):
            await rldc.close()

    play(talk, udp(*masters))


def test_unsolicited_responses_go_to_where_the_master_last_spoke() -> None:
    async def talk(running: Site) -> None:
        rldc = await connect(running.server.udp_port)
        await rldc.request(raw.DELAY)
        null = await rldc.hear()
        answers = [null, await rldc.hear()]
        (null,) = (answer for answer in answers if answer.unsolicited)
        await rldc.confirm(null)
        await rldc.ask(raw.ENABLE, "3c0206")
        running.port.change([(2, 1.0, 0, NOON)])
        told = await rldc.hear()
        assert told.unsolicited and told.objects == EVENT
        await rldc.confirm(told)
        moved = await connect(running.server.udp_port)  # another port: the master started anew
        assert (await moved.ask(raw.DELAY)).objects
        running.port.change([(2, 0.0, 0, NOON)])
        told = await moved.hear()
        assert told.unsolicited and told.objects == EVENT.replace("81" + NOON_TAG, "01" + NOON_TAG)
        await moved.confirm(told)
        await rldc.close()
        await moved.close()

    play(talk, udp(master(bindings=FEW, unsolicited=UnsolicitedPlan())))


def test_long_answers_are_whole_frames_in_each_datagram() -> None:
    count = 3_000
    points = PointCatalogue.of([Point(row=row, name=f"p{row}", kind=Kind.ANALOG) for row in range(count)])
    rows = columns([Row(row=row, type=T.AI, index=row) for row in range(count)])

    async def talk(running: Site) -> None:
        rldc = await connect(running.server.udp_port)
        answers = await rldc.read("1e0506")
        assert sum(len(answer.objects) for answer in answers) // 2 > count * 5
        assert max(rldc.sizes) <= DATAGRAM  # type: ignore[attr-defined]
        await rldc.close()

    play(talk, udp(master(bindings=rows)), points)


def test_frames_are_cut_between_and_never_within() -> None:
    frames, _ = encode_fragment(bytes(range(256)) * 8, 1, 10, 0)
    pieces = datagrams(frames)
    assert b"".join(pieces) == frames and len(pieces) == 2
    assert sum(len(LinkReader().feed(piece)) for piece in pieces) == len(LinkReader().feed(frames)) == 9
    assert datagrams(b"") == []


def test_no_datagram_does_harm_and_strangers_leave_nothing_behind() -> None:
    good = raw.frame(0xC4, 10, 1, b"\xc0\xc1\x01" + bytes.fromhex(CLASS_0))
    dice = random.Random(7)

    def mutated() -> bytes:
        octets = bytearray(good * dice.randint(1, 3))
        for _ in range(dice.randint(1, 4)):
            octets[dice.randrange(len(octets))] = dice.randrange(256)
        return bytes(octets[: dice.randint(0, len(octets))])

    async def talk(running: Site) -> None:
        endpoint = running.server._udp
        assert endpoint is not None
        for number in range(2_000):
            endpoint.datagram_received(mutated(), ("127.0.0.1", 30_000))
            endpoint.datagram_received(dice.randbytes(dice.randint(0, 300)), ("127.0.0.1", number + 1))
            endpoint.datagram_received(good, (f"10.1.{number % 200}.1", 20_000))
        assert len(running.server.channels) <= 1
        rldc = await connect(running.server.udp_port)
        assert (await rldc.read(CLASS_0))[0].objects == STATIC
        await rldc.close()

    play(talk, udp(master(bindings=FEW)))


def test_more_peers_than_there_may_be_forget_the_silent_one() -> None:
    async def talk(running: Site) -> None:
        port = running.server.udp_port
        masters = [await connect(port, address=number) for number in (1, 2, 3)]
        for rldc in masters:
            assert (await rldc.ask(raw.DELAY)).objects
        assert len(running.server.channels) == 2
        assert (await masters[0].ask(raw.DELAY)).objects  # forgotten, and met again
        for rldc in masters:
            await rldc.close()

    play(talk, udp(*(master(name=f"m{number}", address=number, bindings=FEW) for number in (1, 2, 3)), connections=2))
