"""A DNP3 server on TCP with a core played by the test, and maps written as rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.contracts import MasterSystemRows
from gateway.points import Kind, PointCatalogue
from protocols.dnp3.plan import BindingColumns, MasterPlan, Mode, Parameters, ServerPlan
from protocols.dnp3.pointtypes import TYPES, PointType
from protocols.dnp3.server import Dnp3Server
from tests.contract.server_suite import FakePort, catalogue
from tests.kit import serving
from tests.kit.serving import begin, filled, until_done
from tests.peers.rawdnp3 import RawDnp3

NOON = serving.NOON
NOON_TAG = (NOON // 1_000_000).to_bytes(6, "little").hex()
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
    ("horn", Kind.CONTROL),  # 10
)
SYSTEM = MasterSystemRows(online=7, events_waiting=8, events_lost=9)
BOTH = Mode.DIRECT | Mode.SELECT


@dataclass(kw_only=True)
class Row:
    """One row of a map, defaults as in a map."""

    row: int
    type: PointType
    index: int
    event_class: int = 0
    class_0: bool = True
    static_var: int = 0
    event_var: int = 0
    command_event_var: int = 0
    limit: float = float("nan")
    newest_only: bool = False
    mode: int = 0
    controls: int = 7
    scale: float = 1.0
    offset: float = 0.0


def columns(rows: list[Row]) -> BindingColumns:
    rows = sorted(rows, key=lambda row: (row.type, row.index))

    def column(name: str, kind: type[Any], default: str = "") -> Any:
        values = [getattr(row, name) or (getattr(TYPES[row.type], default) if default else 0) for row in rows]
        return np.array(values, kind)

    return BindingColumns(
        row=column("row", np.uint32),
        type=column("type", np.uint8),
        index=column("index", np.uint16),
        event_class=column("event_class", np.uint8),
        class_0=column("class_0", np.bool_),
        static_var=column("static_var", np.uint8, "static"),
        event_var=column("event_var", np.uint8, "event"),
        command_event_var=column("command_event_var", np.uint8),
        limit=column("limit", np.float64),
        newest_only=column("newest_only", np.bool_),
        mode=column("mode", np.uint8),
        controls=column("controls", np.uint8),
        scale=column("scale", np.float64),
        offset=column("offset", np.float64),
    )


T = PointType
ROWS = [
    Row(row=2, type=T.BI, index=0, event_class=1),
    Row(row=3, type=T.DBI, index=0, event_class=1),
    Row(row=0, type=T.AI, index=0, event_class=2, limit=5.0),
    Row(row=1, type=T.AI, index=1, event_class=1, limit=0.01),
    Row(row=4, type=T.CTR, index=0, event_class=3),
    Row(row=4, type=T.FCTR, index=0, event_class=3),
    Row(row=6, type=T.BO, index=0, event_class=1, mode=BOTH),
    Row(row=10, type=T.BO, index=5, mode=Mode.DIRECT),
    Row(row=5, type=T.AO, index=0, event_class=2, mode=Mode.SELECT),
    Row(row=5, type=T.AO, index=1, mode=Mode.DIRECT),
]


def master(**keys: Any) -> MasterPlan:
    """The one master of most tests; `parameters` may be a dict."""
    parameters = keys.pop("parameters", {})
    keys = {
        "name": "main",
        "address": 1,
        "outstation": 10,
        "addresses": ("127.0.0.1",),
        "bindings": columns(ROWS),
        "commands": True,
        "parameters": Parameters(**parameters),
        **keys,
    }
    return MasterPlan(**keys)


def plan(*masters: MasterPlan, **keys: Any) -> ServerPlan:
    keys = {"name": "rldc", "listen": ("127.0.0.1", 0), "system": {"main": SYSTEM}, **keys}
    return ServerPlan(masters=list(masters) or [master()], **keys)


class Site:
    """The server under test and the masters that the test connected."""

    def __init__(self, port: FakePort, server: Dnp3Server) -> None:
        self.port, self.server = port, server
        self._masters: list[RawDnp3] = []

    async def connect(self, **keys: Any) -> RawDnp3:
        connected = await RawDnp3.connect(self.server.bound_port, **keys)
        self._masters.append(connected)
        return connected

    @property
    def main(self) -> Any:
        return self.server.associations["main"]

    async def end(self) -> None:
        for connected in self._masters:
            await connected.close()
        await self.server.stop()


@asynccontextmanager
async def site(
    made: ServerPlan | None = None,
    points: PointCatalogue = POINTS,
    confirmed: dict[str, int] | None = None,
    port: FakePort | None = None,
) -> AsyncIterator[Site]:
    port = filled(points) if port is None else port
    server = Dnp3Server(made or plan(), port)
    await begin(server, port, confirmed)
    async with until_done(Site(port, server)) as running:
        yield running


def run(conversation: Callable[[Site], Awaitable[None]], made: ServerPlan | None = None) -> None:
    async def play() -> None:
        async with site(made) as running:
            await conversation(running)

    asyncio.run(play())
