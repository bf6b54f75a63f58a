"""The gateway reads and commands an RTU that is not ours: c104's server in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.contracts import DeviceState, Write, WriteRefused
from gateway.points import Quality
from protocols.iec104.field.driver import RtuDriver
from tests.kit.ports import free_ports
from tests.kit.recordingport import RecordingPort, until
from tests.kit.rtukit import at, rtu

pytest.importorskip("c104", reason="c104 is not installed")

SCRIPT = Path(__file__).parents[1] / "peers" / "c104_typed_server.py"
NOON_MS = 1_700_000_000_123

LINES = (
    # point, kind, ioa, type, bit, value shown, value expected
    ("sp", "binary", 1, "M_SP_TB_1", None, 1, 1.0),
    ("dp", "double", 2, "M_DP_TB_1", None, 2, 2.0),
    ("st", "analog", 3, "M_ST_TB_1", None, -7, -7.0),
    ("bo", "analog", 4, "M_BO_TB_1", None, 0xDEADBE01, float(0xDEADBE01)),
    ("na", "analog", 5, "M_ME_TD_1", None, 0.5, 75.0),
    ("nb", "analog", 6, "M_ME_TE_1", None, -1234, -1234.0),
    ("nc", "analog", 7, "M_ME_TF_1", None, 1.5, 1.5),
    ("it", "counter", 8, "M_IT_TB_1", None, 99, 99.0),
    ("ep", "double", 9, "M_EP_TD_1", None, 2, 2.0),
    ("sp_", "binary", 11, "M_SP_NA_1", None, 1, 1.0),
    ("dp_", "double", 12, "M_DP_NA_1", None, 1, 1.0),
    ("st_", "analog", 13, "M_ST_NA_1", None, 63, 63.0),
    ("bo_", "binary", 14, "M_BO_NA_1", 4, 0x10, 1.0),
    ("na_", "analog", 15, "M_ME_NA_1", None, -1.0, 0.0),
    ("nb_", "analog", 16, "M_ME_NB_1", None, 32767, 32767.0),
    ("nc_", "analog", 17, "M_ME_NC_1", None, 2.25, 2.25),
    ("it_", "counter", 18, "M_IT_NA_1", None, -5, -5.0),
    ("ps_", "binary", 19, "M_PS_NA_1", 3, 0x08, 1.0),
)
COMMANDS = (
    ("sc", "control", 101, "C_SC_NA_1", "direct", 1.0, 1.0),
    ("dc", "control", 102, "C_DC_TA_1", "direct", 1.0, 2.0),
    ("rc", "control", 103, "C_RC_NA_1", "select", 1.0, 2.0),
    ("sna", "setpoint", 104, "C_SE_NA_1", "direct", 75.0, 0.5),
    ("snb", "setpoint", 105, "C_SE_NB_1", "select", -55.0, -55.0),
    ("snc", "setpoint", 106, "C_SE_TC_1", "direct", 12.5, 12.5),
)
MAP = "point,kind,ca,ioa,type,bit,low,high,mode\n"
MAP += "".join(
    f"{point},{kind},1,{ioa},{type_},{'' if bit is None else bit},{'0,100' if point.startswith('na') else ','},\n"
    for point, kind, ioa, type_, bit, *_ in LINES
)
MAP += "".join(
    f"{point},{kind},2,{ioa},{type_},,{'0,100' if point == 'sna' else ','},{mode}\n"
    for point, kind, ioa, type_, mode, *_ in COMMANDS
)
ROW = {line[0]: row for row, line in enumerate((*LINES, *COMMANDS))}


class Rtu:
    """c104's station, our driver on it and the core."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.commands: list[dict[str, Any]] = []
        self._done: asyncio.Queue[None] = asyncio.Queue()
        self.reading = asyncio.create_task(self._read())
        self.port: RecordingPort = RecordingPort(len(ROW))
        self.driver: RtuDriver = None  # type: ignore[assignment]

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if said.pop("say") == "command":
                self.commands.append(said)
            else:
                self._done.put_nowait(None)

    async def done(self) -> None:
        async with asyncio.timeout(20):
            await self._done.get()

    async def order(self, **facts: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(facts).encode() + b"\n")
        await self.done()

    def shows(self, point: str) -> tuple[float, int, int]:
        row = ROW[point]
        return float(self.port.value[row]), int(self.port.quality[row]), int(self.port.time_ns[row])


@contextlib.asynccontextmanager
async def c104_rtu(**keys: Any) -> AsyncIterator[Rtu]:
    (port,) = free_ports(1)
    points = [[1, ioa, type_] for _, _, ioa, type_, *_ in LINES]
    points += [[2, ioa, type_, mode] for _, _, ioa, type_, mode, *_ in COMMANDS]
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, str(SCRIPT), str(port), json.dumps(points))
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=os.environ | {"TZ": "UTC"})
    peer = Rtu(process)
    task: asyncio.Task[None] | None = None
    try:
        await peer.done()
        # c104 answers an activation of commands with a confirmation and, for most, a termination.
        peer.driver = RtuDriver(at(rtu(MAP, command_end="confirmation", **keys), ("127.0.0.1", port)), peer.port)
        task = asyncio.create_task(peer.driver.run())
        await until(lambda: DeviceState.ONLINE in peer.port.states_of("rtu1"), "the start of data transfer")
        yield peer
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        process.kill()
        await process.wait()
        await peer.reading
        assert process.stdin is not None
        process.stdin.close()


def play(story: Callable[[Rtu], Any], **keys: Any) -> None:
    async def scene() -> None:
        async with c104_rtu(**keys) as peer:
            await story(peer)

    asyncio.run(scene())


def test_every_type_arrives_with_its_value_quality_and_time() -> None:
    async def story(peer: Rtu) -> None:
        for point, _, ioa, type_, _, value, expected in LINES:
            counting = type_.startswith("M_IT")
            word = "Invalid" if counting else "NonTopical"
            await peer.order(do="set", ca=1, ioa=ioa, value=value, quality=[word], ms=NOON_MS)
            timed = type_[5:7] in ("TB", "TD", "TE", "TF")
            # c104 sends every bit string as good, whatever it is told.
            said = Quality(0) if type_.startswith("M_BO") else Quality.NOT_TOPICAL
            quality = int(Quality.INVALID if counting else said)
            want = expected, quality | (0 if timed else int(Quality.TIME_INVALID))
            try:
                await until(lambda p=point, w=want: peer.shows(p)[:2] == pytest.approx(w), f"{type_}: {want}")
            except AssertionError as error:
                raise AssertionError(f"{error}, but {peer.shows(point)}") from None
            if timed:
                assert peer.shows(point)[2] == NOON_MS * 1_000_000, type_
        assert peer.driver.counters()["rtu1"]["wrong_type"] == 0
        assert peer.driver.counters()["rtu1"]["unknown_points"] == 0

    play(story)


def test_an_interrogation_brings_what_changed_before_the_connection_and_the_clock_is_set() -> None:
    async def story(peer: Rtu) -> None:
        figures = peer.driver.counters()["rtu1"]
        await until(lambda: peer.driver.counters()["rtu1"]["interrogations"] >= 2, "both common addresses")
        for point, *_ in LINES:
            if point not in ("it", "it_", "ep", "ps_"):
                assert peer.port.quality[ROW[point]] & int(Quality.NEVER_REPORTED) == 0, point
        assert figures["malformed"] == 0
        # c104 leaves packed single points out of its answer: told, by name.
        assert [facts["points"] for facts in peer.port.log.of("points missing")] == ["rtu1/ps_"]

    play(story, clock_sync_s=3600)


def test_every_command_is_obeyed_directly_and_selected() -> None:
    async def story(peer: Rtu) -> None:
        for point, _, ioa, _, _, value, heard in COMMANDS:
            await peer.driver.write(Write(row=ROW[point], value=value))
            await until(lambda: bool(peer.commands), "the command")
            said = peer.commands.pop()
            assert (said["ca"], said["ioa"]) == (2, ioa)
            assert said["value"] == pytest.approx(heard, abs=1e-4)
            assert peer.shows(point)[:2] == (value, 0)

    play(story)


def test_a_refused_command_says_so() -> None:
    async def story(peer: Rtu) -> None:
        await peer.order(do="refuse")
        for point in ("sc", "snb"):
            with pytest.raises(WriteRefused, match="negative"):
                await peer.driver.write(Write(row=ROW[point], value=1.0))

    play(story)
