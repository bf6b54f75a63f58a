"""Unsolicited responses: what goes when, and how it and a poll keep out of each other's way."""

from __future__ import annotations

from typing import Any

from protocols.dnp3.plan import ServerPlan, UnsolicitedPlan
from tests.contract.server_suite import until
from tests.kit.dnp3kit import NOON, NOON_TAG, Site, master, plan, run
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import CLASSES, RawDnp3

RESTART, CLASS_1, CLASS_2 = 0x80, 0x02, 0x04
FAULT_OFF = "02021701" + "00" + "01" + NOON_TAG
EVERY_CLASS = "3c02063c03063c0406"


def unsolicited(parameters: dict[str, Any] | None = None, **keys: Any) -> ServerPlan:
    return plan(master(unsolicited=UnsolicitedPlan(**keys), parameters=parameters or {}))


async def enabled(site: Site) -> RawDnp3:
    """A master that has confirmed the null response and enabled every class."""
    rldc = await site.connect()
    await rldc.confirm(await rldc.hear())
    await rldc.ask(raw.WRITE, "500100" + "0707" + "00")
    assert (await rldc.ask(raw.ENABLE, EVERY_CLASS)).iin == 0
    return rldc


def test_the_null_response_comes_first_and_again_until_it_is_confirmed() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        null = await rldc.hear()
        assert (null.octets[1], null.objects, null.iin) == (130, "", RESTART)
        assert null.octets[0] == 0xF0  # FIR FIN CON UNS, sequence 0
        assert (await rldc.hear()).octets == null.octets
        site.port.change([(2, 0.0, 0, NOON)])
        assert (await rldc.hear()).objects == ""
        await rldc.confirm(null)
        assert await rldc.silent()  # nothing is enabled

    run(talk, unsolicited({"confirm_timeout_s": 0.1}))


def test_events_come_by_themselves_once_enabled() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        told = await rldc.hear()
        assert (told.unsolicited, told.con, told.seq, told.objects) == (True, True, 1, FAULT_OFF)
        site.port.change([(0, 50.0, 0, NOON)])
        assert await rldc.silent()  # one at a time
        await rldc.confirm(told)
        told = await rldc.hear()
        assert (told.seq, told.objects[:4]) == (2, "2007")
        await rldc.confirm(told)
        await until(lambda: site.port.confirmed.get("main") == 2)
        assert await rldc.poll() == ""

    run(talk, unsolicited())


def test_classes_are_enabled_apart_and_disabled() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.confirm(await rldc.hear())
        await rldc.ask(raw.ENABLE, EVERY_CLASS)  # the configuration allows class 2 alone
        site.port.change([(2, 0.0, 0, NOON)])
        assert await rldc.silent()
        site.port.change([(0, 50.0, 0, NOON)])
        told = await rldc.hear()
        assert told.objects.startswith("2007") and told.iin & CLASS_1
        await rldc.confirm(told)
        assert (await rldc.ask(raw.DISABLE, "3c0306")).iin & CLASS_1
        site.port.change([(0, 90.0, 0, NOON)])
        assert await rldc.silent()
        assert (await rldc.ask(raw.ENABLE, "3c0106")).iin & 0x200  # class 0 has no events
        assert len(await rldc.poll()) > 0

    run(talk, unsolicited(classes=(2,)))


def test_what_is_not_confirmed_is_sent_again_then_after_a_pause_then_on_the_next_connection() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        first = await rldc.hear()
        assert (await rldc.hear()).octets == first.octets  # one retry
        fresh = await rldc.hear()  # after the pause, anew
        assert fresh.objects == first.objects and fresh.seq == first.seq + 1
        await rldc.close()
        await until(lambda: site.main.channel is None)
        rldc = await site.connect()
        told = await rldc.hear()
        assert told.objects == first.objects
        await rldc.confirm(told)
        await until(lambda: len(site.main.outstation.store) == 0)

    run(talk, unsolicited({"confirm_timeout_s": 0.15}, retries=1, retry_pause_s=0.1))


def test_a_read_waits_for_the_confirmation_of_what_was_sent_before() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        told = await rldc.hear()
        seq = await rldc.request(raw.READ, CLASSES + raw.CLASS_0)
        assert await rldc.silent()
        await rldc.confirm(told)
        answer = await rldc.hear()
        assert answer.seq == seq and not answer.unsolicited
        assert not answer.objects.startswith("0202")  # the event was confirmed

    run(talk, unsolicited())


def test_a_read_repeated_while_it_waits_is_answered_once() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        told = await rldc.hear()
        seq = await rldc.request(raw.READ, CLASSES)
        await rldc.again(raw.READ, CLASSES)
        assert await rldc.silent()
        await rldc.confirm(told)
        answer = await rldc.hear()
        assert (answer.seq, answer.objects) == (seq, "")
        assert await rldc.silent()

    run(talk, unsolicited())


def test_a_master_that_never_confirms_the_null_response_is_not_held_up_twice() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        assert (await rldc.hear()).unsolicited
        for _ in range(3):
            assert (await rldc.read(raw.CLASS_0))[0].objects

    run(talk, unsolicited({"confirm_timeout_s": 0.2}, retry_pause_s=60.0))


def test_a_read_gets_the_events_whose_confirmation_did_not_come() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        await rldc.hear()
        seq = await rldc.request(raw.READ, CLASSES)
        answer = await rldc.hear()
        assert (answer.seq, answer.unsolicited, answer.objects) == (seq, False, FAULT_OFF)

    run(talk, unsolicited({"confirm_timeout_s": 0.2}))


def test_other_requests_do_not_wait() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        told = await rldc.hear()
        assert (await rldc.ask(raw.DELAY)).objects == "340207010000"
        await rldc.confirm(told)
        await until(lambda: len(site.main.outstation.store) == 0)

    run(talk, unsolicited())


def test_nothing_unsolicited_while_an_answer_waits_for_its_confirmation() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        await rldc.ask(raw.DISABLE, EVERY_CLASS)
        site.port.change([(2, 0.0, 0, NOON)])
        (answer,) = await rldc.read(CLASSES, confirm=False)
        await rldc.confirm(answer)
        await rldc.ask(raw.ENABLE, EVERY_CLASS)
        site.port.change([(2, 1.0, 0, NOON)])
        assert (await rldc.hear()).unsolicited

    run(talk, unsolicited())


def test_events_wait_for_company() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        site.port.change([(0, 50.0, 0, NOON)])
        assert await rldc.silent()
        site.port.change([(4, 9.0, 0, NOON)])
        told = await rldc.hear()
        assert [told.objects.count(group) for group in ("02021701", "20071701", "16051701")] == [1, 1, 1]

    run(talk, unsolicited(hold_off_events=3, hold_off_s=60.0))


def test_events_do_not_wait_for_ever() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        site.port.change([(2, 0.0, 0, NOON)])
        assert (await rldc.hear()).objects == FAULT_OFF

    run(talk, unsolicited(hold_off_events=100, hold_off_s=0.05))


def test_at_start_where_the_configuration_says_so() -> None:
    async def talk(site: Site) -> None:
        site.port.change([(2, 0.0, 0, NOON)])
        rldc = await site.connect()
        await rldc.confirm(await rldc.hear())
        assert (await rldc.hear()).objects == FAULT_OFF

    run(talk, unsolicited(at_start=True))


def test_a_cut_between_event_and_confirmation_loses_and_doubles_nothing() -> None:
    async def talk(site: Site) -> None:
        told: list[int] = []
        made = 0
        rldc = await enabled(site)
        for turn in range(6):
            for _ in range(50):
                made += 1
                site.port.change([(2, float(made % 2), 0, NOON + made * 1_000_000)])
            for _ in range(turn % 3):
                response = await rldc.hear()
                await rldc.confirm(response)
                told += times(response.objects)
            held = made - len(told)
            await until(lambda held=held: len(site.main.outstation.store) == held)
            await rldc.close()
            await until(lambda: site.main.channel is None)
            rldc = await site.connect()
        while len(told) < made:
            response = await rldc.hear()
            await rldc.confirm(response)
            told += times(response.objects)
        assert told == [NOON // 1_000_000 + number + 1 for number in range(made)]

    run(talk, unsolicited())


def times(objects: str) -> list[int]:
    """Of blocks of g2v2 with one-octet indices, in ms."""
    octets, out, at = bytes.fromhex(objects), [], 0
    while at < len(octets):
        assert octets[at : at + 3] == b"\x02\x02\x17"
        out += [int.from_bytes(octets[at + 6 + 8 * i : at + 12 + 8 * i], "little") for i in range(octets[at + 3])]
        at += 4 + 8 * octets[at + 3]
    return out


def test_a_restart_takes_the_unsolicited_side_back_to_its_beginning() -> None:
    async def talk(site: Site) -> None:
        rldc = await enabled(site)
        await rldc.request(raw.COLD_RESTART)
        first, second = await rldc.hear(), await rldc.hear()
        assert first.objects.startswith("3402") and second.unsolicited and second.objects == ""
        assert second.iin & RESTART

    run(talk, unsolicited({"restart": True}))
