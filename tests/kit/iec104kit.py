"""An IEC 104 server on TCP with a core played by the test, and the map and masters of most tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gateway.contracts import Command, MasterSystemRows, OnOutcome, Outcome, Reason, Stage
from gateway.points import Kind, PointCatalogue
from protocols.iec104.elements import BY_NAME
from protocols.iec104.plan import BindingColumns, MasterPlan, Mode, ServerPlan
from protocols.iec104.server import Iec104Server
from tests.contract.server_suite import FakePort, catalogue
from tests.kit import serving
from tests.kit.serving import begin, filled, until_done
from tests.peers.raw104 import Frame, Raw104, asdu

NOON = serving.NOON
NOON_TAG = "9b4e0d164e0b17"
POINTS = catalogue(
    ("power", Kind.ANALOG, -1000.0, 1000.0),  # 0
    ("frequency", Kind.ANALOG),  # 1
    ("fault", Kind.BINARY),  # 2
    ("breaker", Kind.DOUBLE),  # 3
    ("energy", Kind.COUNTER),  # 4
    ("setpoint", Kind.SETPOINT, -1000.0, 1000.0),  # 5
    ("run", Kind.CONTROL),  # 6
    ("online", Kind.BINARY),  # 7
    ("waiting", Kind.ANALOG),  # 8
    ("lost", Kind.COUNTER),  # 9
    ("tap", Kind.CONTROL),  # 10
)
SYSTEM = MasterSystemRows(online=7, events_waiting=8, events_lost=9)
BOTH = Mode.DIRECT | Mode.SELECT
# row, ca, ioa, type, group, deadband, cyclic_s, mode
ROWS: list[tuple[int, int, int, str, int, float, float, int]] = [
    (2, 1, 1001, "M_SP_TB_1", 2, float("nan"), 0, 0),
    (3, 1, 2001, "M_DP_TB_1", 2, float("nan"), 0, 0),
    (0, 1, 4001, "M_ME_TF_1", 1, 5.0, 0, 0),
    (1, 1, 4002, "M_ME_TF_1", 1, 0.01, 0, 0),
    (4, 1, 5001, "M_IT_TB_1", 0, float("nan"), 0, 0),
    (6, 1, 6001, "C_SC_NA_1", 0, float("nan"), 0, BOTH),
    (10, 1, 6002, "C_DC_NA_1", 0, float("nan"), 0, Mode.DIRECT),
    (5, 1, 7001, "C_SE_NC_1", 0, float("nan"), 0, Mode.SELECT),
    (5, 1, 7002, "C_SE_NA_1", 0, float("nan"), 0, Mode.DIRECT),
    (5, 1, 7003, "C_SE_NB_1", 0, float("nan"), 0, Mode.DIRECT),
    (5, 1, 7004, "C_SE_TC_1", 0, float("nan"), 0, Mode.DIRECT),
    (0, 2, 1, "M_ME_NB_1", 0, float("nan"), 0, 0),
]


def columns(rows: list[tuple[int, int, int, str, int, float, float, int]]) -> BindingColumns:
    def static(row: Any) -> int:
        known = BY_NAME[row[3]]
        return known.id if known.control else known.untimed

    rows = sorted(rows, key=lambda row: (row[1], static(row), row[2]))
    return BindingColumns(
        row=np.array([row[0] for row in rows], np.uint32),
        ca=np.array([row[1] for row in rows], np.uint16),
        ioa=np.array([row[2] for row in rows], np.uint32),
        event_type=np.array([BY_NAME[row[3]].id for row in rows], np.uint8),
        static_type=np.array([static(row) for row in rows], np.uint8),
        group=np.array([row[4] for row in rows], np.uint8),
        limit=np.array([row[5] for row in rows], np.float64),
        cyclic_s=np.array([row[6] for row in rows], np.float32),
        mode=np.array([row[7] for row in rows], np.uint8),
    )


def plan(*masters: MasterPlan, **keys: Any) -> ServerPlan:
    made = list(masters) or [main_master()]
    return ServerPlan(name="sldc", host="127.0.0.1", port=0, masters=made, system={"main": SYSTEM}, **keys)


def main_master(**keys: Any) -> MasterPlan:
    keys = {
        "name": "main",
        "addresses": ("127.0.0.1",),
        "bindings": columns(ROWS),
        "commands": True,
        "links": 2,
        **keys,
    }
    return MasterPlan(**keys)


class Site:
    """The server under test and the masters that the test connected."""

    def __init__(self, port: FakePort, server: Iec104Server) -> None:
        self.port, self.server = port, server
        self._masters: list[Raw104] = []

    async def connect(self, **keys: Any) -> Raw104:
        master = await Raw104.connect(self.server.bound_port, **keys)
        self._masters.append(master)
        return master

    async def master(self, **keys: Any) -> Raw104:
        """Connected and started."""
        master = await self.connect(**keys)
        await master.start()
        return master

    async def end(self) -> None:
        for master in self._masters:
            await master.close()
        await self.server.stop()


@asynccontextmanager
async def site(
    made: ServerPlan | None = None,
    points: PointCatalogue = POINTS,
    confirmed: dict[str, int] | None = None,
    state_dir: Path | None = None,
) -> AsyncIterator[Site]:
    port = filled(points)
    port.state_dir = state_dir or port.state_dir
    server = Iec104Server(made or plan(), port)
    await begin(server, port, confirmed)
    async with until_done(Site(port, server)) as running:
        yield running


def run(conversation: Callable[[Site], Awaitable[None]], made: ServerPlan | None = None) -> None:
    async def play() -> None:
        async with site(made) as running:
            await conversation(running)

    asyncio.run(play())


def said(frame: Frame) -> tuple[int, int, bool]:
    return frame.type_id, frame.cause, frame.negative


def seen(frames: list[Frame], sizes: dict[int, int]) -> dict[tuple[int, int], str]:
    """(ca, ioa) -> element, of all value frames."""
    return {
        (frame.ca, ioa): element.hex()
        for frame in frames
        if frame.type_id in sizes
        for ioa, element in frame.objects(sizes[frame.type_id])
    }


SIZES = {1: 1, 3: 1, 11: 3, 13: 5, 15: 5}

SELECT_SC, EXECUTE_SC = asdu(45, 6, 1, 6001, "81"), asdu(45, 6, 1, 6001, "01")


def refuse(command: Command, tell: OnOutcome) -> None:
    tell(Outcome(id=command.id, stage=Stage.REFUSED, reason=Reason.LOCAL))


SELECT_SE, EXECUTE_SE = asdu(50, 6, 1, 7001, "0000c04280"), asdu(50, 6, 1, 7001, "0000c04200")
