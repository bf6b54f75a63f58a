"""Requests of a DNP3 master beside its polls: variations, time, freezes, classes. The core is the test's."""

from __future__ import annotations

from gateway.points import Quality
from tests.kit.dnp3kit import NOON, NOON_TAG, Site, master, plan, run
from tests.kit.dnp3words import BAD_PARAMETER, CLASS_3, NEED_TIME, NO_FUNCTION, NO_OBJECT, RESTART, ready
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASSES


def test_unknown_functions_objects_and_ranges_are_told() -> None:
    cases = [
        (15, "", NO_FUNCTION),  # initialize data
        (31, "", NO_FUNCTION),
        (120, "", NO_FUNCTION),
        (raw.READ, "0c0106", NO_OBJECT),  # control blocks are not read
        (raw.READ, "460106", NO_OBJECT),  # files
        (raw.READ, "1e0906", NO_OBJECT),  # g30v9
        (raw.READ, "1f0006", NO_OBJECT),  # no frozen analog is there
        (raw.READ, "1e00000909", BAD_PARAMETER),
        (raw.READ, "1e005b01", BAD_PARAMETER),  # free format
        (raw.READ, "1e000105", BAD_PARAMETER),  # cut off
        (raw.READ, "1e0000" + "0500", BAD_PARAMETER),  # the end before the start
        (raw.READ, "200000" + "0001", BAD_PARAMETER),  # events have no range
        (raw.WRITE, "1e05" + "0000" + "00" + "0100000000", NO_OBJECT),
        (raw.WRITE, "500100" + "0404" + "00", BAD_PARAMETER),
        (raw.WRITE, "500100" + "0707" + "01", BAD_PARAMETER),
        (raw.WRITE, "320107" + "02" + "000000000000" * 2, BAD_PARAMETER),
        (raw.WRITE, "320307" + "01" + "000000000000", BAD_PARAMETER),  # no time was recorded
        (raw.SELECT, "1e0506", NO_OBJECT),
        (raw.SELECT, "0c0100" + "0000" + "0301" + "00" * 9, BAD_PARAMETER),
        (raw.ENABLE, "3c0206", NO_FUNCTION),  # no unsolicited responses for this master
        (raw.COLD_RESTART, "", NO_FUNCTION),
        (raw.FREEZE, "0100" + "06", NO_OBJECT),
        (raw.ASSIGN, "010006", BAD_PARAMETER),  # no class before it
        (raw.FREEZE_AT_TIME, "140006", BAD_PARAMETER),
    ]

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for function, objects, bit in cases:
            answer = await rldc.ask(function, objects)
            assert (answer.iin, answer.objects) == (bit, ""), (function, objects, hex(answer.iin), answer.objects)
        (answer,) = await rldc.read("1e0006" + "460106" + "010006")  # what can be answered is
        assert answer.iin == NO_OBJECT and answer.objects.startswith("1e05") and "0102" in answer.objects

    run(talk)


def test_values_are_read_by_variation_range_count_and_index() -> None:
    cases = [
        ("1e0106", "1e01000001" + "0100000000" + "0101000000"),
        ("1e03000101", "1e03000101" + "01000000"),
        ("1e060701", "1e06000000" + "01" + "00" * 8),
        ("0a00280200" + "0500" + "0000", "0a0200000081" + "0a0200050581"),
        ("0a001701" + "05", "0a0200050581"),
        ("010106", "010100000001"),
        ("030106", "030100000003"),
        ("140606", "140600000004" + "00"),
        ("220006", "2203000001" + "0000a040" + "0ad7233c"),  # deadbands
        ("500106", "500100000f" + "0000"),
    ]

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        for objects, expected in cases:
            (answer,) = await rldc.read(objects)
            assert (answer.objects, answer.iin) == (expected, 0), objects

    run(talk)


def test_what_has_no_flags_gives_way_to_what_has_when_there_is_something_to_say() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.set(0, 1e12, NOON)
        site.port.set(1, float("nan"), NOON)
        site.port.set(2, 1.0, NOON, int(Quality.COMM_LOST))
        (answer,) = await rldc.read("1e0306")  # 32-bit without flags
        assert answer.objects == "1e01000001" + "21" + "ffffff7f" + "20" + "00000000"
        (answer,) = await rldc.read("010106")
        assert answer.objects == "0102000000" + "84"

    run(talk)


def test_the_time_is_written_and_measured() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        assert (await rldc.ask(raw.DELAY)).iin == NEED_TIME
        answer = await rldc.ask(raw.DELAY)
        assert answer.objects == "34020701" + "0000"
        assert (await rldc.ask(raw.RECORD)).objects == ""
        answer = await rldc.ask(raw.WRITE, "320307" + "01" + NOON_TAG)  # LAN: the time at the record
        assert answer.iin == 0
        assert (await rldc.ask(raw.WRITE, "320107" + "01" + NOON_TAG)).iin == 0
        assert len((await rldc.read("320107" + "01"))[0].objects) == len("32010701") + 12

    run(talk, plan(master(parameters={"need_time_s": 3_600.0})))


def test_counters_are_frozen_at_once_and_cleared() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.set(4, 120.0, NOON)
        assert (await rldc.ask(raw.FREEZE, "140006")).objects == ""
        (answer,) = await rldc.read("3c0406")
        assert answer.objects.startswith("17051701" + "00" + "01" + "78000000")  # g23v5: 120, time of the freeze
        await rldc.request(raw.FREEZE_CLEAR_NO_ACK, "140000" + "0000")
        (answer,) = await rldc.read("140006" + "150106")
        assert answer.objects == "1401000000" + "01" + "00000000" + "1501000000" + "01" + "78000000"
        site.port.change([(4, 125.0, 0, NOON)])
        answer = (await rldc.read("160106"))[0]
        assert answer.objects == "16011701" + "00" + "01" + "05000000"
        assert (await rldc.ask(raw.FREEZE, "140000" + "0909")).iin & BAD_PARAMETER

    run(talk)


def test_counters_are_frozen_at_a_time() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        site.port.set(4, 33.0, NOON)
        # at a time long past, and once: now
        answer = await rldc.ask(raw.FREEZE_AT_TIME, "320207" + "01" + NOON_TAG + "00000000" + "140006")
        assert answer.iin in (0, CLASS_3)
        (answer,) = await rldc.read("150106")
        assert answer.objects == "1501000000" + "01" + "21000000"

    run(talk)


def test_deadbands_are_written_and_classes_assigned() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        assert (await rldc.ask(raw.WRITE, "220317" + "01" + "00" + "00004842")).iin == 0  # power: 50
        site.port.change([(0, 40.0, 0, NOON)])
        assert await rldc.poll() == ""
        assert (await rldc.ask(raw.ASSIGN, "3c0106" + "1e0000" + "0101" + "3c0406" + "010006")).iin == 0
        site.port.change([(1, 99.0, 0, NOON), (2, 0.0, 0, NOON)])
        (answer,) = await rldc.read(CLASSES)
        assert answer.objects == "02021701" + "00" + "01" + NOON_TAG
        site.port.change([(2, 1.0, 0, NOON)])
        assert (await rldc.ask(raw.DELAY)).iin == CLASS_3

    run(talk)


def test_device_attributes_and_octet_strings() -> None:
    keys = {"attributes": ((247, "bess-1"), (252, "GridGate")), "octet_strings": ("Kurnool", "")}

    async def talk(site: Site) -> None:
        rldc = await ready(site)
        (answer,) = await rldc.read("00f7000000")
        assert answer.objects == "00f7000000" + "0106" + b"bess-1".hex()
        (answer,) = await rldc.read("00fe000000")
        assert "00e9000000" + "0201" + "02" in answer.objects  # two analog inputs
        (answer,) = await rldc.read("00ff06")
        assert answer.objects.startswith("00ff000000" + "fe") and "fc00" in answer.objects
        (answer,) = await rldc.read("00c8000000")
        assert answer.iin == NO_OBJECT
        (answer,) = await rldc.read("6e0006")
        assert answer.objects == "6e07000000" + b"Kurnool".hex()

    run(talk, plan(master(parameters=keys)))


def test_a_restart_begins_the_association_anew() -> None:
    async def talk(site: Site) -> None:
        rldc = await ready(site)
        answer = await rldc.ask(raw.COLD_RESTART)
        assert answer.objects == "34020701" + "d007"
        assert (await rldc.ask(raw.DELAY)).iin == RESTART

    run(talk, plan(master(parameters={"restart": True, "restart_delay_ms": 2000})))
