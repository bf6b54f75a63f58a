"""Commands to our outstation: select, operate and what the master hears of the broker's answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.contracts import Action, Command, OnOutcome, Outcome, Pulse, Reason, Stage
from protocols.dnp3.control import STATUS_OF
from protocols.dnp3.outputs import CommandStatus
from protocols.dnp3.plan import Mode
from protocols.dnp3.pointtypes import PointType as T
from tests.contract.server_suite import until
from tests.kit.dnp3kit import NOON, Row, Site, columns, master, plan, run
from tests.kit.dnp3orders import (
    CLOSE,
    FORMAT,
    LATCH_OFF,
    LATCH_ON,
    LOCAL,
    NO_SELECT,
    NOT_AUTHORISED,
    NOT_SUPPORTED,
    OFF,
    ON,
    PULSE_OFF,
    PULSE_ON,
    SUCCESS,
    TIMEOUT,
    TOO_MANY,
    TRIP,
    analog,
    crob,
    fail,
    heard,
    statuses,
)
from tests.peers import rawdnp3 as raw
from tests.peers.rawdnp3 import RawDnp3


@pytest.mark.parametrize(
    ("objects", "row", "value", "pulse"),
    [
        (crob(0, LATCH_ON), 6, 1.0, Pulse.DEFAULT),
        (crob(0, LATCH_OFF), 6, 0.0, Pulse.DEFAULT),
        (crob(0, CLOSE, on_ms=100), 6, 1.0, Pulse.DEFAULT),
        (crob(0, TRIP, on_ms=100), 6, 0.0, Pulse.DEFAULT),
        (crob(5, PULSE_ON, on_ms=500), 10, 1.0, Pulse.SHORT),
        (crob(5, PULSE_ON, on_ms=5_000), 10, 1.0, Pulse.LONG),
        (crob(5, PULSE_OFF), 10, 0.0, Pulse.SHORT),
        (analog(1, "00008042"), 5, 64.0, Pulse.DEFAULT),
        (analog(1, "40000000", 1), 5, 64.0, Pulse.DEFAULT),
        (analog(1, "c0ff", 2), 5, -64.0, Pulse.DEFAULT),
        (analog(1, "0000000000005040", 4), 5, 64.0, Pulse.DEFAULT),
    ],
)
def test_a_direct_operate_reaches_the_broker(objects: str, row: int, value: float, pulse: Pulse) -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        answer = await rldc.ask(raw.DIRECT, objects)
        assert answer.objects == objects  # echoed with SUCCESS
        assert heard(site) == [(row, value, pulse)]
        origin = site.port.commands.received[0].origin
        assert (origin.protocol, origin.server, origin.master, origin.peer) == ("dnp3", "rldc", "main", "127.0.0.1")
        await rldc.request(raw.DIRECT_NO_ACK, objects)
        await until(lambda: len(site.port.commands.received) == 2)
        assert await rldc.silent()

    run(talk)


def test_a_command_without_acknowledgement_repeated_is_carried_out_once_and_not_answered() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.DELAY)
        await rldc.request(raw.DIRECT_NO_ACK, ON)
        await rldc.again(raw.DIRECT_NO_ACK, ON)
        assert await rldc.silent()
        assert len(site.port.commands.received) == 1

    run(talk)


def test_a_select_is_operated_once() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        for objects in (crob(0, LATCH_ON), analog(0, "0000c842")):
            assert (await rldc.ask(raw.SELECT, objects)).objects == objects
            answer = await rldc.ask(raw.OPERATE, objects)
            assert answer.objects == objects
            await rldc.again(raw.OPERATE, objects)  # the answer was lost, so the master says: the same answer
            assert (await rldc.hear()).octets == answer.octets
            assert statuses((await rldc.ask(raw.OPERATE, objects)).objects) == [NO_SELECT]
        assert heard(site) == [(6, 1.0, Pulse.DEFAULT), (5, 100.0, Pulse.DEFAULT)]
        assert [command.action for command in site.port.commands.selects] == [Action.SELECT, Action.SELECT]

    run(talk)


@pytest.mark.parametrize(
    "between",
    [
        [(raw.OPERATE, OFF, NO_SELECT)],
        [(raw.DELAY, "", None), (raw.OPERATE, ON, NO_SELECT)],
        [(raw.DIRECT, OFF, SUCCESS), (raw.OPERATE, ON, NO_SELECT)],
        [(raw.SELECT, OFF, SUCCESS), (raw.OPERATE, ON, NO_SELECT)],
        [(raw.OPERATE, OFF, NO_SELECT), (raw.OPERATE, ON, NO_SELECT)],
    ],
)
def test_an_operate_that_does_not_match_the_select_does_nothing(between: list[tuple[int, str, int | None]]) -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.SELECT, ON)
        for function, objects, status in between:
            answer = await rldc.ask(function, objects)
            assert status is None or statuses(answer.objects) == [status]
        direct = [command for command in site.port.commands.received if command.value == 1.0]
        assert direct == []

    run(talk)


def test_a_select_expires_and_dies_with_its_connection() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.SELECT, ON)
        await asyncio.sleep(0.15)
        assert statuses((await rldc.ask(raw.OPERATE, ON)).objects) == [TIMEOUT]
        await rldc.ask(raw.SELECT, ON)
        again = await site.connect()
        again.seq = rldc.seq
        assert statuses((await again.ask(raw.OPERATE, ON)).objects) == [NO_SELECT]
        assert heard(site) == []

    run(talk, plan(master(parameters={"select_timeout_s": 0.1})))


@pytest.mark.parametrize(
    ("function", "objects", "status"),
    [
        (raw.DIRECT, crob(9, LATCH_ON), NOT_SUPPORTED),  # no such output
        (raw.DIRECT, crob(0, 0x00), NOT_SUPPORTED),  # NUL
        (raw.DIRECT, crob(0, 0x05), NOT_SUPPORTED),  # reserved
        (raw.DIRECT, crob(0, 0xC3), NOT_SUPPORTED),  # trip and close
        (raw.DIRECT, crob(0, 0x43), NOT_SUPPORTED),  # close and latch
        (raw.DIRECT, crob(0, 0x13), NOT_SUPPORTED),  # queue
        (raw.DIRECT, crob(0, 0x33), NOT_SUPPORTED),  # queue and clear
        (raw.DIRECT, crob(0, LATCH_ON, count=2), NOT_SUPPORTED),
        (raw.DIRECT, crob(0, CLOSE, count=2), NOT_SUPPORTED),
        (raw.DIRECT, crob(5, PULSE_ON, count=255, on_ms=3_000), NOT_SUPPORTED),  # 765 s
        (raw.DIRECT, crob(0, LATCH_ON, status=4), FORMAT),
        (raw.DIRECT, analog(0, "00000000"), NO_SELECT),  # must be selected
        (raw.SELECT, analog(1, "00000000"), NOT_SUPPORTED),  # is operated directly
        (raw.DIRECT, analog(1, "0000c07f"), 12),  # NaN
        (raw.DIRECT, analog(1, "0000807f"), 12),  # infinite
    ],
)
def test_what_cannot_be_is_refused_and_recorded(function: int, objects: str, status: int) -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        answer = await rldc.ask(function, objects)
        assert statuses(answer.objects) == [status]
        assert answer.objects[:-2] == objects[:-2]
        assert heard(site) == [] and site.port.commands.selects == []
        assert len(site.port.commands.refused) == (objects[8:10] != "09")

    run(talk)


def test_a_binary_output_takes_the_operations_of_its_map() -> None:
    rows = [Row(row=6, type=T.BO, index=0, mode=Mode.DIRECT, controls=1)]

    async def talk(site: Site) -> None:
        rldc = await site.connect()
        assert statuses((await rldc.ask(raw.DIRECT, ON)).objects) == [SUCCESS]
        for code in (PULSE_ON, CLOSE, TRIP):
            assert statuses((await rldc.ask(raw.DIRECT, crob(0, code))).objects) == [NOT_SUPPORTED]

    run(talk, plan(master(bindings=columns(rows))))


def test_a_master_without_the_right_is_told_so() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        assert statuses((await rldc.ask(raw.DIRECT, ON)).objects) == [NOT_AUTHORISED]
        assert statuses((await rldc.ask(raw.SELECT, ON)).objects) == [NOT_AUTHORISED]
        assert [command.refusal for command in site.port.commands.refused] == [Reason.NOT_AUTHORISED] * 2

    run(talk, plan(master(commands=False)))


def test_several_objects_have_their_own_status_and_too_many_are_told() -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        three = "0c012803" + "00" + "".join(i + crob(0, LATCH_ON)[10:] for i in ("0000", "0900", "0500"))
        answer = await rldc.ask(raw.DIRECT, three)
        octets = bytes.fromhex(answer.objects)[5:]
        assert [octets[13 * i + 12] for i in range(3)] == [SUCCESS, NOT_SUPPORTED, TOO_MANY]
        assert len(heard(site)) == 1

    run(talk, plan(master(parameters={"max_controls": 2})))


def refuse(reason: Reason) -> Any:
    return lambda command, tell: tell(Outcome(id=command.id, stage=Stage.REFUSED, reason=reason))


def test_every_reason_has_a_status_and_only_ok_is_success() -> None:
    assert set(STATUS_OF) == set(Reason)
    assert [reason for reason, status in STATUS_OF.items() if status is CommandStatus.SUCCESS] == [Reason.OK]


@pytest.mark.parametrize("script", [refuse, fail])
def test_the_brokers_answer_is_the_masters(script: Any) -> None:
    async def talk(site: Site) -> None:
        rldc = await site.connect()
        for reason in Reason:
            site.port.commands.script = script(reason)
            expected = STATUS_OF[reason] or CommandStatus.UNDEFINED
            assert statuses((await rldc.ask(raw.DIRECT, ON)).objects) == [expected], reason
        site.port.commands.script = refuse(Reason.LOCAL)
        assert statuses((await rldc.ask(raw.SELECT, ON)).objects) == [LOCAL]
        assert statuses((await rldc.ask(raw.OPERATE, ON)).objects) == [NO_SELECT]

    run(talk)


def test_the_answer_waits_for_the_device_and_nobody_else_does() -> None:
    other = master(name="other", address=2)
    kept: list[tuple[Command, OnOutcome]] = []

    def later(command: Command, tell: OnOutcome) -> None:
        tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
        kept.append((command, tell))

    async def talk(site: Site) -> None:
        site.port.commands.script = later
        rldc, backup = await site.connect(), await site.connect(address=2)
        seq = await rldc.request(raw.DIRECT, ON)
        await until(lambda: len(kept) == 1)
        assert (await backup.read(raw.CLASS_0))[0].objects
        await rldc.again(raw.DIRECT, ON)  # a repetition is not carried out, nor answered before the first
        assert await rldc.silent()
        command, tell = kept.pop()
        tell(Outcome(id=command.id, stage=Stage.COMPLETED))
        answer = await rldc.hear()
        assert (answer.seq, answer.objects) == (seq, ON) and len(site.port.commands.received) == 1

    run(talk, plan(master(), other))


def test_a_newer_request_drops_the_answer_and_not_the_command() -> None:
    kept: list[tuple[Command, OnOutcome]] = []

    async def talk(site: Site) -> None:
        site.port.commands.script = lambda command, tell: kept.append((command, tell))
        rldc = await site.connect()
        await rldc.request(raw.DIRECT, ON)
        await until(lambda: len(kept) == 1)
        assert (await rldc.ask(raw.DELAY)).objects
        command, tell = kept.pop()
        tell(Outcome(id=command.id, stage=Stage.COMPLETED))
        assert await rldc.silent()

    run(talk)


def test_a_result_that_does_not_come_is_no_success() -> None:
    async def talk(site: Site) -> None:
        site.port.commands.script = lambda command, tell: tell(Outcome(id=command.id, stage=Stage.ACCEPTED))
        rldc = await site.connect()
        answer = await rldc.ask(raw.DIRECT, ON)
        assert statuses(answer.objects) == [CommandStatus.DOWNSTREAM_FAIL]

    run(talk, plan(master(parameters={"command_wait_s": 0.05})))


def test_command_events_tell_every_attempt() -> None:
    rows = [
        Row(row=6, type=T.BO, index=0, event_class=1, mode=Mode.DIRECT, command_event_var=2),
        Row(row=5, type=T.AO, index=3, event_class=1, mode=Mode.DIRECT, command_event_var=5),
    ]

    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.DIRECT, ON)
        site.port.commands.script = refuse(Reason.OUT_OF_RANGE)
        await rldc.ask(raw.DIRECT, analog(3, "00007a44"))
        told = await rldc.poll()
        assert told.startswith("0d021701" + "00" + "80")  # g13v2: SUCCESS, on
        assert told.endswith("2b051701" + "03" + "0c" + "00007a44")  # g43v5: OUT_OF_RANGE, 1000

    run(talk, plan(master(bindings=columns(rows))))


def test_scaled_set_points_are_commanded_in_engineering_units() -> None:
    rows = [Row(row=5, type=T.AO, index=0, mode=Mode.DIRECT, scale=0.1, offset=-100.0)]

    async def talk(site: Site) -> None:
        rldc = await site.connect()
        await rldc.ask(raw.DIRECT, analog(0, "e803", 2))
        assert heard(site) == [(5, 0.0, Pulse.DEFAULT)]
        site.port.set(5, 0.0, NOON)
        (answer,) = await rldc.read("280206")
        assert answer.objects == "2802000000" + "01" + "e803"

    run(talk, plan(master(bindings=columns(rows))))


def test_a_command_of_a_master_that_left_is_not_answered_to_another() -> None:
    kept: list[tuple[Command, OnOutcome]] = []

    async def talk(site: Site) -> None:
        site.port.commands.script = lambda command, tell: kept.append((command, tell))
        rldc: RawDnp3 = await site.connect()
        await rldc.request(raw.DIRECT, ON)
        await until(lambda: len(kept) == 1)
        await rldc.close()
        await until(lambda: site.main.channel is None)
        again = await site.connect()
        await again.ask(raw.DELAY)
        command, tell = kept.pop()
        tell(Outcome(id=command.id, stage=Stage.COMPLETED))
        assert await again.silent()

    run(talk)
