"""Our controlled station on a free port, made from a map as an engineer writes it; the core behind it is the test's."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.contracts import Place, Report
from gateway.contracts.settings import MasterRowSource, MasterSource, ServerSource
from gateway.points import Kind, Point, PointCatalogue
from protocols.iec104.plan import ServerPlan
from protocols.iec104.server import Iec104Server
from protocols.iec104.settings import SETTINGS
from tests.contract.server_suite import FakePort
from tests.peers.raw104 import Raw104

NOON = 1_700_000_000_123_000_000
"""Tuesday, 2023-11-14 22:13:20.123 UTC."""


def points(text: str) -> PointCatalogue:
    """Lines of ``name kind [low high]``."""
    made = []
    for row, line in enumerate(text.split("\n") if "\n" in text else text.split(",")):
        name, kind, *span = line.split()
        low, high = map(float, span) if span else (float("nan"), float("nan"))
        made.append(Point(row=row, name=name, kind=Kind[kind.upper()], low=low, high=high))
    return PointCatalogue.of(made)


def analogs(count: int) -> PointCatalogue:
    """p0, p1, ..."""
    return PointCatalogue.of([Point(row=row, name=f"p{row}", kind=Kind.ANALOG) for row in range(count)])


def plan(catalogue: PointCatalogue, maps: dict[str, str], keys: dict[str, Any], masters: dict[str, Any]) -> ServerPlan:
    """Through the protocol's own settings and checks, as from files. `maps` is CSV text by master; its address is
    127.0.0.1 for the first, 127.0.0.2 for the second and so on."""
    report, place = Report(), Place("map.csv")
    sources = []
    for number, (name, text) in enumerate(maps.items(), 1):
        rows = [
            MasterRowSource(SETTINGS.row_model(**row), catalogue.rows[row["point"]], place)
            for row in csv.DictReader(io.StringIO(text.strip()))
        ]
        settings = {"name": name, "addresses": [f"127.0.0.{number}"], "map": "map.csv", "commands": True, **masters}
        sources.append(MasterSource(SETTINGS.master_model(**settings), rows, place))
    settings = {"name": "sldc", "protocol": "iec104", "listen": "127.0.0.1:1", "end_of_initialisation": False, **keys}
    made = SETTINGS.compile(ServerSource(SETTINGS.server_model(**settings), sources, place), catalogue, report)
    assert not report.errors, report.errors[0]
    made.port = 0
    return made


class Station:
    """The running server, the core's side of it, and the masters that the test connected."""

    def __init__(self, port: FakePort, server: Iec104Server) -> None:
        self.port, self.server = port, server
        self._masters: list[Raw104] = []

    def change(self, *records: tuple[int, float] | tuple[int, float, int] | tuple[int, float, int, int]) -> None:
        """Changes (row, value, quality, time_ns) happen; good and at `NOON` where not said."""
        filled = [(*record, *((0, NOON)[len(record) - 2 :])) for record in records]
        self.port.change([(row, value, int(quality), time_ns) for row, value, quality, time_ns in filled])

    async def connect(self, number: int = 1) -> Raw104:
        """Master number 1, 2, ... connects."""
        master = await Raw104.connect(self.server.bound_port, source=f"127.0.0.{number}")
        self._masters.append(master)
        return master

    async def master(self, number: int = 1) -> Raw104:
        """Connects and starts data transfer."""
        master = await self.connect(number)
        await master.start()
        return master


@asynccontextmanager
async def station(
    catalogue: PointCatalogue, maps: str | dict[str, str], *, master: dict[str, Any] | None = None, **keys: Any
) -> AsyncIterator[Station]:
    """Serves until the end of the block. `keys` are of the server, `master` of every master; point row i shows i."""
    named = {"main": maps} if isinstance(maps, str) else maps
    port = FakePort(catalogue)
    for row in range(len(catalogue)):
        port.set(row, float(row), NOON)
    server = Iec104Server(plan(catalogue, named, keys, master or {}), port)
    port.server = server
    server.resume({})
    await server.start()
    running = Station(port, server)
    try:
        yield running
    finally:
        for connected in running._masters:
            await connected.close()
        await server.stop()
