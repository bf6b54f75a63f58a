"""The self-test's master: a station that ends a link before it has answered is tried again."""

from __future__ import annotations

import asyncio

from gateway.config import load_site
from protocols.iec104.selftest import Iec104SoeSelftest
from tests.kit.gateway import REPO

START_ACT, START_CON = bytes.fromhex("680407000000"), bytes.fromhex("68040b000000")
TEST_ACT, TEST_CON = bytes.fromhex("680443000000"), bytes.fromhex("680483000000")


def test_a_station_that_closes_before_it_answers_is_tried_again() -> None:
    site = load_site(REPO / "config" / "demo" / "site.yaml")
    heard: list[bytes] = []

    async def station(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readexactly(6))
        if len(heard) > 1:
            writer.write(START_CON)
            while (frame := await reader.readexactly(6)) != TEST_ACT:
                heard.append(frame)
            writer.write(TEST_CON)
            await reader.read()
        writer.close()

    async def talk() -> None:
        master = Iec104SoeSelftest(site.server("sldc").plan, site.catalogue, "sldc-main", seed=1)
        async with await asyncio.start_server(station, "127.0.0.1", 0) as server:
            async with asyncio.timeout(20):
                await master.visit(server.sockets[0].getsockname()[1], None)

    asyncio.run(talk())
    assert heard[:2] == [START_ACT, START_ACT]
