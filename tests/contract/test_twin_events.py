"""A change of quality that a master cannot see is no event: DNP3 and IEC 104 over TCP, the core is the test's."""

from __future__ import annotations

import asyncio

import numpy as np

from gateway.points import Quality
from tests.kit import dnp3kit as dnp3
from tests.kit import iec104kit as iec104
from tests.kit.dnp3kit import NOON, NOON_TAG, PointType, Row
from tests.peers import rawdnp3 as raw

SILENT, LOST = int(Quality.NOT_TOPICAL), int(Quality.COMM_LOST)
POWER, FREQUENCY, FAULT, BREAKER, ENERGY, SETPOINT, RUN = range(7)


def g32v7(index: int, flags: str, value: float) -> str:
    return f"20071701{index:02x}{flags}" + np.float32(value).tobytes().hex() + NOON_TAG


def test_a_dnp3_master_hears_once_that_a_source_went_silent_and_that_it_is_back() -> None:
    async def talk(site: dnp3.Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.WRITE, "500100" + "0707" + "00")
        for quality in (SILENT, SILENT | LOST, LOST):
            site.port.change([(POWER, 0.0, quality, NOON)])
        assert await rldc.poll() == g32v7(0, "04", 0)  # COMM_LOST alone
        site.port.change([(POWER, 0.0, SILENT, NOON)])  # as it stands after a restart of the core
        assert await rldc.poll() == ""
        site.port.change([(POWER, 0.0, 0, NOON)])
        assert await rldc.poll() == g32v7(0, "01", 0)  # ONLINE

    dnp3.run(talk)


def test_every_type_of_dnp3_point_tells_it_once_in_one_batch_too() -> None:
    async def talk(site: dnp3.Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.WRITE, "500100" + "0707" + "00")
        rows = (POWER, FREQUENCY, FAULT, BREAKER, ENERGY, SETPOINT, RUN)
        site.port.change([(row, float(row), quality, NOON) for quality in (SILENT, LOST) for row in rows])
        assert len(site.main.outstation.store) == len(rows)
        (answer,) = await rldc.read("1e05000000")
        assert answer.objects == "1e050000000400000000"  # COMM_LOST, as it stands

    dnp3.run(talk)


def test_a_value_that_moves_meanwhile_is_told_and_an_untrusted_time_where_dnp3_shows_it() -> None:
    rows = [
        Row(row=FAULT, type=PointType.BI, index=0, event_class=1, event_var=2),
        Row(row=BREAKER, type=PointType.DBI, index=0, event_class=1, event_var=3),
    ]

    async def talk() -> None:
        async with dnp3.site(dnp3.plan(dnp3.master(bindings=dnp3.columns(rows)))) as site:
            store = site.main.outstation.store
            site.port.change([(FAULT, 2.0, LOST, NOON), (FAULT, 0.0, SILENT, NOON)])
            assert len(store) == 2
            untrusted = int(Quality.TIME_INVALID)
            site.port.change([(FAULT, 0.0, SILENT | untrusted, NOON)])  # an absolute time has no word for it
            assert len(store) == 2
            site.port.change([(BREAKER, 3.0, untrusted, NOON)])  # a common time of occurrence has
            assert len(store) == 3

    asyncio.run(talk())


def test_a_dnp3_server_that_starts_again_tells_no_twin_of_what_its_journal_holds() -> None:
    port = dnp3.FakePort(dnp3.POINTS)
    for row in range(len(dnp3.POINTS)):
        port.set(row, float(row), NOON)

    async def silent() -> None:
        async with dnp3.site(port=port) as site:
            site.port.change([(POWER, 0.0, SILENT, NOON)])

    async def lost() -> None:
        port.set(POWER, 0.0, NOON, LOST)
        async with dnp3.site(port=port, confirmed=dict(port.confirmed)) as site:
            rldc = await site.connect()
            await rldc.ask(raw.WRITE, "500100" + "0707" + "00")
            assert await rldc.poll() == g32v7(0, "04", 0)
            assert await rldc.poll() == ""

    asyncio.run(silent())
    asyncio.run(lost())


def test_an_iec104_counter_has_one_doubt_bit_and_tells_it_once() -> None:
    async def talk(site: iec104.Site) -> None:
        master = await site.master()
        for quality in (SILENT, LOST, 0):
            site.port.change([(ENERGY, 4.0, quality, NOON)])
        heard = [await master.hear_i() for _ in range(2)]
        assert [frame.objects(12)[0][1][4] for frame in heard] == [0x80, 0x00]
        assert await nothing_more(site, master)

    iec104.run(talk)


def test_an_iec104_measured_value_shows_the_difference_and_tells_both() -> None:
    async def talk(site: iec104.Site) -> None:
        master = await site.master()
        for quality in (SILENT, LOST, LOST | int(Quality.INVALID), 0):
            site.port.change([(FREQUENCY, 1.0, quality, NOON)])
        heard = [await master.hear_i() for _ in range(3)]
        assert [frame.objects(12)[0][1][4] for frame in heard] == [0x40, 0xC0, 0x00]  # NT, IV and NT, good
        assert await nothing_more(site, master)

    iec104.run(talk)


async def nothing_more(site: iec104.Site, master: iec104.Raw104) -> bool:
    """The next thing that the master hears is the change that follows."""
    site.port.change([(FAULT, 0.0, 0, NOON)])
    return iec104.said(await master.hear_i()) == (30, 3, False)
