"""What outlives the DNP3 process: events, what the master set, freezes to come. The core is the test's."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.contract.server_suite import FakePort, until
from tests.kit.dnp3kit import NOON, NOON_TAG, POINTS, Site, plan, run, site
from tests.kit.dnp3words import ready
from tests.peers import rawdnp3 as raw


def test_what_is_confirmed_is_told_to_the_core_and_not_given_again() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.change([(2, 0.0, 0, NOON), (2, 1.0, 0, NOON + 1_000_000)])
        await rldc.poll()
        await until(lambda: site.port.confirmed.get("main") == 2)

    run(talk)


def test_events_survive_the_process() -> None:
    async def talk() -> None:
        async with site() as running:
            running.port.change([(2, 0.0, 0, NOON), (0, 77.0, 0, NOON), (4, 9.0, 0, NOON)])
            rldc = await ready(running)
            await rldc.read("3c0306")  # class 2 is confirmed, out of the middle
            port = running.port
        port.seq = 3
        async with site(port=port, confirmed=port.confirmed) as running:
            rldc = await running.connect()
            fault, energy = "02021701" + "00" + "01" + NOON_TAG, "16051701" + "00" + "01" + "09000000" + NOON_TAG
            assert await rldc.poll() == fault + energy

    asyncio.run(talk())


def test_what_the_master_set_survives_the_process() -> None:
    async def talk() -> None:
        async with site() as running:
            rldc = await ready(running)
            running.port.set(4, 120.0, NOON)
            await rldc.ask(raw.FREEZE_CLEAR, "140006")
            await rldc.ask(raw.WRITE, "220317" + "01" + "00" + "00004842")
            await rldc.ask(raw.ASSIGN, "3c0206" + "140006")
            await rldc.poll()
            port = running.port
        port.set(4, 125.0, NOON)
        async with site(port=port) as running:
            rldc = await ready(running)
            (answer,) = await rldc.read("140006" + "150106" + "220317" + "01" + "00")
            assert answer.objects == (
                "1401000000" + "01" + "05000000" + "1501000000" + "01" + "78000000" + "2203000000" + "00004842"
            )
            (answer,) = await rldc.read("3c0206")  # it has moved by 5 since, in the class assigned
            assert answer.objects == "16051701" + "00" + "01" + "05000000" + NOON_TAG
            assert running.port.log.said("frozen values, classes and deadbands set aside") == []

    asyncio.run(talk())


def test_freezes_at_a_time_survive_the_process() -> None:
    async def talk() -> None:
        async with site() as running:
            rldc = await ready(running)
            later = (time.time_ns() // 1_000_000 + 3_600_000).to_bytes(6, "little").hex()
            await rldc.ask(raw.FREEZE_AT_TIME, "320207" + "01" + later + "e8030000" + "140006")
            await until(lambda: running.main.memory._writing is None)
            port = running.port
            (kept,) = running.main.outstation.schedules.entries
        async with site(port=port) as running:
            (entry,) = running.main.outstation.schedules.entries
            assert (entry.at_ns, entry.interval_ns) == (kept.at_ns, 1_000_000_000)
            assert entry.freeze.positions.tolist() == kept.freeze.positions.tolist()
            # As if the process had been away until long after: it is made once, at once, and goes on.
            path = port.state_dir / "dnp3" / "rldc" / "main.json"
        path.write_text(path.read_text().replace(str(kept.at_ns), str(kept.at_ns - 7_200 * 10**9)))
        port.set(4, 44.0, NOON)
        async with site(port=port) as running:
            await until(lambda: running.main.outstation.database.frozen_value.max() == 44.0)
            (entry,) = running.main.outstation.schedules.entries
            assert entry.at_ns > time.time_ns() - 2 * 10**9

    asyncio.run(talk())


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"CTR 0 energy": 1}', '{"CTR 0 energy": {"zero": "x"}}', '{"freezes": [{}]}', '{"freezes": 1}', "\xff"],
)
def test_a_memory_that_cannot_be_read_is_set_aside(content: str) -> None:
    port = FakePort(POINTS)
    path = port.state_dir / "dnp3" / "rldc" / "main.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode("latin-1"))

    async def talk() -> None:
        async with site(port=port) as running:
            assert (await ready(running)).seq == 1
            assert len(port.log.said("frozen values, classes and deadbands set aside")) == 1

    asyncio.run(talk())
    assert path.with_suffix(".unreadable").exists() and not path.exists()


def test_no_server_without_its_journal() -> None:
    port = FakePort(POINTS)
    (port.state_dir / "journal").write_text("in the way")

    async def talk() -> None:
        with pytest.raises(OSError):
            async with site(plan(), port=port):
                pass

    asyncio.run(talk())
