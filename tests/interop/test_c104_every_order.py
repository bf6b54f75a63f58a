"""c104, an independent master in a process of its own, commands every type we take, sets clocks, tests and resets.

Value and qualifier arrive at the broker as c104 sent them. Its ways, worked around here:

- It misses an answer that comes before its own call has begun to wait: the device takes its time, and what c104 calls
  undone is commanded again.
- It executes as soon as a select is confirmed: to see one cancelled, the confirmation comes when c104 has given up.
- It does not take the answer to its own test command for one: the frame is looked at.
- It has no order for a reset of process: a relay makes one of an interrogation, octet for octet.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import time
from typing import Any

import pytest

from gateway.contracts import Action, Command, OnOutcome, Outcome, Pulse, Reason, Stage
from tests.contract.server_suite import until
from tests.kit.station104 import Station, station
from tests.peers.c104_plant import (
    CATALOGUE,
    COMMANDS,
    CON,
    CONTROL_ROWS,
    CONTROLS,
    KNOWN,
    LONG,
    MAP,
    NO,
    ONLY_SELECT,
    ORIGINATOR,
    RUNNING,
    SCATTERED,
    SHORT,
    TERM,
    device,
    play,
)
from tests.peers.c104_process import TRIES, TypedMaster, typed_master
from tests.peers.raw104 import Frame

pytestmark = pytest.mark.skipif(importlib.util.find_spec("c104") is None, reason="c104 is not installed here")

OFF_ON = {45: (0, 1), 46: (1, 2), 47: (1, 2)}
"""How SCS, DCS and RCS say 0 and 1."""
QUALIFIERS = {
    "NONE": Pulse.DEFAULT,
    "SHORT_PULSE": Pulse.SHORT,
    "LONG_PULSE": Pulse.LONG,
    "PERSISTENT": Pulse.PERSISTENT,
}
SETPOINTS = {
    48: ((-0.5, -500.0), (0.25, 250.0)),
    49: ((-77, -77.0), (32767, 32767.0)),
    50: ((96.5, 96.5), (-1.25e9, -1.25e9)),
    51: ((0xDEADBEEF, float(0xDEADBEEF)), (0, 0.0)),
}


def orders(type_id: int) -> list[tuple[dict[str, object], float, Pulse]]:
    """What c104 is told, and value and pulse that must reach the broker."""
    switched = [
        ({"value": sent, "qualifier": qualifier}, float(at), pulse)
        for number, (qualifier, pulse) in enumerate(QUALIFIERS.items())
        for at, sent in enumerate(OFF_ON.get(type_id, ()))
        if (at + number) % 2
    ]
    return switched + [
        ({"value": sent, "qualifier": 0}, value, Pulse.DEFAULT) for sent, value in SETPOINTS.get(type_id, ())
    ]


async def commanded(master: TypedMaster, name: str, **facts: object) -> int:
    """A command that c104 calls done, and terminated; how often it was given until c104 did not miss the answer."""
    for tries in range(1, TRIES + 1):
        master.forget()
        if await master.order("command", COMMANDS, ioa=CONTROL_ROWS[name], **facts):
            await master.hears(lambda: TERM in master.answers(name))
            return tries
        with contextlib.suppress(AssertionError):  # what it missed must not be taken for an answer to the next
            await master.hears(lambda: TERM in master.answers(name))
    raise AssertionError(f"c104 calls {name} {facts} undone, heard {master.frames}")


@pytest.mark.parametrize("timed", [False, True], ids=["untimed", "CP56"])
@pytest.mark.parametrize("select", [False, True], ids=["direct", "select"])
def test_every_command_reaches_the_broker_as_it_was_sent(timed: bool, select: bool) -> None:
    """A bit string has no select."""
    names = {type_id: pair[timed] for type_id, pair in CONTROLS.items() if not (select and type_id == 51)}

    async def talk(running: Station, master: TypedMaster) -> None:
        broker = running.port.commands
        for name, order, value, pulse in ((name, *each) for type_id, name in names.items() for each in orders(type_id)):
            broker.received.clear()
            broker.selects.clear()
            when = {"time_s": time.time()} if timed else {}
            tries = await commanded(master, name, select=select, **order, **when)
            assert master.answers(name) == [CON, CON, TERM][not select :]
            *_, confirmed, terminated = master.frames
            assert confirmed["raw"][24:] == terminated["raw"][24:]  # the element comes back as it was
            assert {frame["originator"] for frame in master.frames} == {ORIGINATOR}
            told = (CONTROL_ROWS[name], value, pulse)
            executed = [(each.row, each.value, each.pulse) for each in broker.received]
            assert executed == [told] * len(executed) and 1 <= len(executed) <= tries
            selected = {(each.row, each.value, each.pulse, each.action) for each in broker.selects}
            assert selected == ({(*told, Action.SELECT)} if select else set())
        assert broker.refused == []

    play(talk, command_max_age_s=60)


def test_what_is_refused_or_fails_is_told_so() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        broker = running.port.commands

        async def command(name: str, *answers: tuple[str, bool], ioa: int = 0, **facts: object) -> bool:
            master.forget()
            done = await master.order("command", COMMANDS, ioa=ioa or CONTROL_ROWS[name], **facts)
            await master.hears_answers(name, *answers)
            return done

        on: dict[str, Any] = {"value": 1, "qualifier": "NONE"}
        assert not await command("C_SC_NA_1", ("UNKNOWN_IOA", True), ioa=9999, **on)
        assert not await command("C_SE_NB_1", NO, value=5, qualifier=3)  # a reserved qualifier
        assert not await command("C_DC_NA_1", NO, value=3, qualifier="NONE")  # a state that is none
        assert not await command("C_SC_TA_1", NO, time_s=time.time() - 3_600, **on)  # too old
        assert not await command("C_SC_NA_1", NO, ioa=ONLY_SELECT, **on)  # without its select
        assert [command.refusal for command in broker.refused] == [
            Reason.OUT_OF_RANGE,
            Reason.OUT_OF_RANGE,
            Reason.EXPIRED,
            Reason.NOT_SELECTED,
        ]
        assert broker.received == []
        broker.script = device(Stage.REFUSED)
        assert not await command("C_SC_NA_1", NO, **on)
        broker.script = device(Stage.ACCEPTED, Stage.FAILED)
        await command("C_SE_NC_1", CON, ("ACTIVATION_TERMINATION", True), value=1.5, qualifier=0)

    play(talk, command_max_age_s=60)


def test_a_cancelled_select_does_not_execute() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        broker = running.port.commands
        waiting: list[tuple[Command, OnOutcome]] = []
        broker.script = lambda command, tell: waiting.append((command, tell))
        on: dict[str, Any] = {"ioa": ONLY_SELECT, "value": 1, "qualifier": "LONG_PULSE"}
        assert not await master.order("command", COMMANDS, select=True, **on)  # c104 gives up
        ((selected, tell),) = waiting
        tell(Outcome(id=selected.id, stage=Stage.COMPLETED))
        await master.hears_answers("C_SC_NA_1", CON)
        broker.script = device(Stage.ACCEPTED, Stage.COMPLETED)
        await master.order("command", COMMANDS, select=True, cause="DEACTIVATION", **on)
        await master.hears_answers("C_SC_NA_1", CON, ("DEACTIVATION_CON", False))
        master.forget()
        assert not await master.order("command", COMMANDS, **on)
        await master.hears_answers("C_SC_NA_1", NO)
        assert [command.action for command in broker.selects] == [Action.SELECT, Action.CANCEL]
        assert broker.received == []

    play(talk)


# --- System


def test_clock_is_set_by_right_and_told_to_every_station() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        clock = running.server.clock
        clock.offset_ns = 3_600_000_000_000
        await master.ask("clock")
        await master.hears_answers("C_CS_NA_1", CON)
        assert abs(clock.offset_ns) < 60_000_000_000  # c104 told this machine's time
        await master.ask("clock", 0xFFFF)
        await master.hears(lambda: len(master.answers("C_CS_NA_1")) == 5)
        assert set(master.answers("C_CS_NA_1")) == {CON}

    play(talk, clock_sync="offset", master={"clock": True})


def test_a_clock_that_may_not_be_set_is_refused() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        assert not await master.order("clock")
        await master.hears_answers("C_CS_NA_1", NO)
        assert running.server.clock.offset_ns == 0

    play(talk, clock_sync="refuse")


def test_test_command_with_and_without_time() -> None:
    async def talk(running: Station, master: TypedMaster) -> None:
        for with_time, type_, octets in ((False, "C_TS_NA_1", 2), (True, "C_TS_TA_1", 9)):
            master.forget()
            await master.order("test", with_time=with_time)
            await master.hears_answers(type_, CON)
            ((ioa, element),) = Frame(bytes.fromhex(master.frames[0]["raw"])).objects(octets)
            assert (ioa, len(element)) == (0, octets)

    play(talk)


class Relay:
    """TCP between c104 and the station; `reset` makes the next interrogation a reset of process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.reset = False

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await until(lambda: not self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, far), (near, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await source.readexactly(2)
                body = await source.readexactly(head[1])
                if self.reset and body[4:5] == b"\x64" and body[6] == 6:
                    self.reset = False
                    body = body[:4] + b"\x69" + body[5:-1] + b"\x01"
                sink.write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            sink.close()


def test_end_of_initialisation_at_the_start_and_after_a_reset_of_process() -> None:
    async def act() -> None:
        keys: dict[str, Any] = {"end_of_initialisation": True, "reset_process": "confirm"}
        async with (
            station(CATALOGUE, MAP, **keys) as running,
            Relay(running.server.bound_port) as relay,
            typed_master(relay.port, KNOWN) as master,
        ):
            addresses = (RUNNING, SHORT, LONG, SCATTERED, COMMANDS)
            await master.hears(lambda: len(master.initialised) >= len(addresses) <= len(master.frames))
            assert master.initialised == [{"ca": ca, "cause": "LOCAL_POWER_ON"} for ca in addresses]
            assert master.answers("M_EI_NA_1") == [("INITIALIZED", False)] * len(addresses)
            master.forget()
            relay.reset = True
            await master.order("interrogate", LONG, qualifier="GROUP_9")
            await master.hears_answers("C_RP_NA_1", CON)
            await master.hears(lambda: bool(master.initialised))
            assert master.initialised == [{"ca": LONG, "cause": "REMOTE_RESET"}]
            await master.ask("interrogate", RUNNING, qualifier="STATION")

    asyncio.run(act())
