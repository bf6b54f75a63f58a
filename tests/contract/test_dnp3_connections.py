"""Connections of DNP3 masters: who may come, who is dropped, what is no DNP3. The core is the test's."""

from __future__ import annotations

import asyncio
import socket

import numpy as np
import pytest

from gateway.points import PointCatalogue
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import until
from tests.kit.dnp3kit import NOON, NOON_TAG, Row, Site, columns, master, plan, run, site
from tests.kit.dnp3words import STATIC, ready
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASS_0, RawDnp3


def test_a_stranger_is_refused_and_logged_once() -> None:
    async def talk(site: Site) -> None:
        for _ in range(2):
            stranger = await site.connect(source="127.0.0.2")
            assert await stranger.ended()
        assert len(site.port.log.said("connection refused")) == 1

    run(talk)


def test_a_frame_for_someone_else_is_not_answered() -> None:
    async def talk(site: Site) -> None:
        for keys in ({"address": 2}, {"outstation": 11}):
            other = await site.connect(**keys)
            await other.request(raw.READ, CLASS_0)
            assert await other.silent()

    run(talk)


def test_two_masters_have_their_own_maps_and_events() -> None:
    backup = master(name="backup", address=2, bindings=columns([Row(row=2, type=T.BI, index=7, event_class=3)]))

    async def talk(site: Site) -> None:
        rldc, other = await ready(site), await ready(site, address=2)
        site.port.change([(2, 0.0, 0, NOON)])
        assert await rldc.poll() == "02021701" + "00" + "01" + NOON_TAG
        assert await other.poll() == "02021701" + "07" + "01" + NOON_TAG
        (answer,) = await other.read(CLASS_0)
        assert answer.objects == "010200070701"

    run(talk, plan(master(), backup))


def test_two_outstations_answer_on_one_connection() -> None:
    second = master(name="second", outstation=11, bindings=columns([Row(row=0, type=T.AI, index=3)]))

    async def talk(site: Site) -> None:
        rldc = await site.connect()
        (answer,) = await rldc.read(CLASS_0)
        assert answer.objects == STATIC
        rldc.outstation = 11
        (answer,) = await rldc.read(CLASS_0)
        assert answer.objects == "1e0500030301" + "00000000"
        assert site.server.associations["second"].channel is site.main.channel

    run(talk, plan(master(), second))


def test_a_master_that_comes_back_is_served_at_once_and_the_dead_connection_goes() -> None:
    async def talk(site: Site) -> None:
        old = await ready(site)
        new = await site.connect()
        (answer,) = await new.read(CLASS_0)
        assert answer.objects == STATIC
        assert await old.ended()
        stray = await site.connect()  # says nothing: it takes the place of nobody
        assert (await new.read(CLASS_0))[0].objects == STATIC
        await stray.close()

    run(talk)


def test_a_silent_peer_is_asked_and_then_dropped() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        control, _ = await rldc.hear_frame()
        assert control == raw.PRM | raw.LINK_STATUS
        await rldc.say(raw.frame(raw.DIR | 11, 10, 1))
        control, _ = await rldc.hear_frame()
        assert control == raw.PRM | raw.LINK_STATUS

    run(talk, plan(master(parameters={"keep_alive_s": 0.1})))


def test_the_core_is_told_who_is_online() -> None:
    async def talk(site: Site) -> None:
        assert site.port.published[7] == 0.0
        rldc = await ready(site)
        assert site.port.published[7] == 1.0
        await rldc.close()
        await until(lambda: site.port.published[7] == 0.0)
        site.port.change([(2, 0.0, 0, NOON)])
        await until(lambda: site.port.published.get(8) == 1.0)

    run(talk)


def test_the_link_layer_answers() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.link(raw.LINK_STATUS)
        assert (await rldc.hear_frame())[0] == 11
        await rldc.link(raw.TEST_LINK, fcb=True, fcv=True)  # before a reset: not answered
        await rldc.link(raw.RESET_LINK)
        assert (await rldc.hear_frame())[0] == 0
        request = bytes.fromhex("c0" + "c101" + CLASS_0)
        await rldc.link(raw.CONFIRMED, fcb=True, fcv=True, data=request)
        assert (await rldc.hear_frame())[0] == 0
        assert (await rldc.hear()).objects == STATIC
        await rldc.link(raw.CONFIRMED, fcb=True, fcv=True, data=request)  # the same frame count bit: a repetition
        assert (await rldc.hear_frame())[0] == 0
        assert await rldc.silent()

    run(talk)


def test_a_broadcast_is_carried_out_and_told_in_the_next_answer() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        await rldc.request(raw.WRITE, "220317" + "01" + "00" + "00004842", dest=0xFFFF)
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == 0x01 and not answer.con
        assert (await rldc.ask(raw.DELAY)).iin == 0
        await rldc.request(raw.RECORD, dest=0xFFFE)  # must be confirmed
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == 0x01 and answer.con
        answer = await rldc.ask(raw.DELAY)
        assert answer.iin == 0x01 and answer.con
        await rldc.confirm(answer)
        assert (await rldc.ask(raw.DELAY)).iin == 0
        (answer,) = await rldc.read("220317" + "01" + "00")
        assert answer.objects == "2203000000" + "00004842"

    run(talk)


# Garbage, frames with wrong CRCs and fragments that are none, among good ones.
@pytest.mark.parametrize(
    "octets",
    [
        "00" * 8_000,
        "0564" * 4_000,
        "ff" * 20_000,
    ],
)
def test_what_is_no_dnp3_closes_its_own_connection_and_nothing_else(octets: str) -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        bad = await site.connect()
        await bad.say(bytes.fromhex(octets))
        assert await bad.ended()
        assert (await rldc.read(CLASS_0))[0].objects == STATIC

    run(talk)


@pytest.mark.parametrize(
    "octets",
    [
        "0564",
        "056405c001000a00" + "ffff",
        "056408c40a000100" + "0000",
        "deadbeef",
    ],
)
def test_a_broken_frame_is_skipped(octets: str) -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        await rldc.say(bytes.fromhex(octets))
        assert (await rldc.read(CLASS_0))[0].objects == STATIC
        for fragment in ("", "c0", "00013c0106", "d1013c0106", "c18100003c0106"):
            await rldc.fragment(bytes.fromhex(fragment) or b"\x00")
        assert (await rldc.read(CLASS_0))[0].objects == STATIC
        assert site.server.malformed or octets == "0564"

    run(talk)


def test_a_master_that_does_not_read_holds_up_nobody() -> None:
    points = PointCatalogue(
        names=["p"] * 20_000,
        kinds=np.zeros(20_000, np.uint8),
        low=np.full(20_000, np.nan),
        high=np.full(20_000, np.nan),
    )
    wide = columns([Row(row=i, type=T.AI, index=i) for i in range(20_000)])
    deaf = master(name="deaf", address=2, addresses=("127.0.0.2",), bindings=wide)

    async def talk() -> None:
        async with site(plan(master(bindings=columns([Row(row=0, type=T.AI, index=0)])), deaf), points) as running:
            rldc = await ready(running)
            other = await running.connect(address=2, source="127.0.0.2")
            # What it does not read piles up here soon, and not in the kernel first.
            other.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            flood = asyncio.create_task(_flood(other))
            for _ in range(8):
                await rldc.read(CLASS_0)
            flood.cancel()
            await asyncio.gather(flood, return_exceptions=True)
            assert running.server.associations["deaf"].channel is not None
            other.writer.transport.abort()

    asyncio.run(talk())


async def _flood(rldc: RawDnp3) -> None:
    while True:
        await rldc.request(raw.READ, CLASS_0)
        await asyncio.sleep(0)  # what the kernel takes at once does not make it wait


def test_octets_of_every_connection_are_left_for_the_trace() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        await rldc.close()
        await until(lambda: site.main.channel is None)
        records = site.port.trace.records("main")
        assert [record.outgoing for record in records if record.data] == [False, True]

    run(talk)
