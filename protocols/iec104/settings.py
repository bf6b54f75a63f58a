"""How servers with `protocol: iec104` are read and checked. Imported only while a site is checked."""

from __future__ import annotations

import ipaddress
from itertools import combinations
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfoNotFoundError, available_timezones

import numpy as np
from pydantic import Field

from gateway.contracts import MasterSystemRows
from gateway.contracts.endpoints import endpoint
from gateway.contracts.places import Report, nearest
from gateway.contracts.settings import (
    Cell,
    MasterRow,
    MasterSource,
    ServerSettings,
    ServerSource,
    Strict,
)
from gateway.points import PointCatalogue, Rows
from gateway.tls.settings import TlsMasterSettings, TlsSettings, tls_plan
from protocols.iec104.clock import ClockSync
from protocols.iec104.compile import compile_rows
from protocols.iec104.connection import ApciParameters
from protocols.iec104.plan import (
    ClockTrust,
    MasterPlan,
    ResetProcess,
    ServerPlan,
)
from protocols.iec104.time56 import Zone

_Window = Annotated[int, Field(ge=1, le=32_767)]
_Timeout = Annotated[float, Field(ge=1, le=255)]


class ApciSettings(Strict):
    """k, w in APDUs; t0 to t3 in s, with the ranges of the standard."""

    k: _Window = 12
    w: _Window = 8
    t0_s: _Timeout = 30
    t1_s: _Timeout = 15
    t2_s: _Timeout = 10
    t3_s: Annotated[float, Field(ge=1, le=172_800)] = 20


class Iec104ServerSettings(ServerSettings):
    """Keys of a server."""

    apci: ApciSettings = ApciSettings()
    tls: TlsSettings | None = None
    time_zone: str = "UTC"
    command_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 30
    select_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 15
    command_max_age_s: Annotated[float | None, Field(gt=0)] = None
    clock_sync: ClockSync = ClockSync.CONFIRM
    clock_trusted: ClockTrust = ClockTrust.ALWAYS
    day_of_week: bool = True
    end_of_initialisation: bool = True
    reset_process: ResetProcess = ResetProcess.REFUSE


class EventSettings(Strict):
    """The master's event queue."""

    capacity: Annotated[int, Field(ge=1, le=10_000_000)] = 150_000


class Iec104MasterSettings(TlsMasterSettings):
    """Keys of a master."""

    links: Annotated[int, Field(ge=1, le=16)] = 1
    events: EventSettings = EventSettings()
    objects_per_asdu: Annotated[int, Field(ge=1, le=127)] = 127
    clock: bool = False
    parameters: bool = True


class Iec104Row(MasterRow):
    """Columns of a master map."""

    ca: int
    ioa: int
    type: str
    group: Annotated[int | None, Cell] = None
    deadband: Annotated[float | None, Cell] = None
    deadband_percent: Annotated[float | None, Cell] = None
    cyclic: Annotated[str | None, Cell] = None
    background: Annotated[str | None, Cell] = None
    mode: Annotated[str | None, Cell] = None
    pulse: Annotated[str | None, Cell] = None

    def where(self) -> str:
        """Address and type."""
        return f"ca {self.ca} ioa {self.ioa} {self.type}"


class Iec104Settings:
    """`gateway.contracts.GridSettings` of IEC 60870-5-104."""

    server_model: type[Any] = Iec104ServerSettings
    master_model: type[Any] = Iec104MasterSettings
    row_model: type[Any] = Iec104Row

    def compile(self, server: ServerSource, catalogue: PointCatalogue, report: Report) -> ServerPlan:
        """Check one server; problems go to `report`, and the plan is only good when no error was added."""
        settings: Iec104ServerSettings = server.settings
        host, port = _listen(server, report)
        _check_windows(server, report)
        _check_addresses(server, report)
        _check_clock(server, report)
        masters = [_master(source, catalogue, report) for source in server.masters]
        return ServerPlan(
            name=settings.name,
            host=host,
            port=port,
            masters=masters,
            apci=_apci(settings.apci),
            time_zone=_time_zone(server, report),
            tls=tls_plan(server, report),
            command_timeout_s=settings.command_timeout_s,
            select_timeout_s=settings.select_timeout_s,
            command_max_age_s=settings.command_max_age_s,
            clock_sync=settings.clock_sync,
            clock_trusted=settings.clock_trusted,
            day_of_week=settings.day_of_week,
            end_of_initialisation=settings.end_of_initialisation,
            reset_process=settings.reset_process,
            system={master.name: MasterSystemRows.of(settings.name, master.name, catalogue) for master in masters},
            commands={master.name: _commandable(master) for master in masters},
        )


SETTINGS: Final = Iec104Settings()


def _master(source: MasterSource, catalogue: PointCatalogue, report: Report) -> MasterPlan:
    settings: Iec104MasterSettings = source.settings
    if not source.rows:
        report.warning(source.key("map"), f"the map of master {settings.name} has no point: it will see nothing")
    return MasterPlan(
        name=settings.name,
        addresses=tuple(settings.addresses),
        bindings=compile_rows(source.rows, catalogue, report),
        links=settings.links,
        commands=settings.commands,
        capacity=settings.events.capacity,
        objects_per_asdu=settings.objects_per_asdu,
        clock=settings.clock,
        parameters=settings.parameters,
    )


def _apci(settings: ApciSettings) -> ApciParameters:
    return ApciParameters(k=settings.k, w=settings.w, t1_s=settings.t1_s, t2_s=settings.t2_s, t3_s=settings.t3_s)


def _commandable(master: MasterPlan) -> Rows:
    if not master.commands:
        return np.empty(0, np.uint32)
    return np.unique(master.bindings.row[master.bindings.mode != 0])


def _listen(server: ServerSource, report: Report) -> tuple[str, int]:
    text = server.settings.listen
    found = endpoint(text)
    if found is None:
        report.error(
            server.key("listen"),
            f"listen is {text!r}: an address and a port expected, such as 127.0.0.1:2404, 0.0.0.0:2404 or [::]:2404",
        )
    return found or ("", 0)


def _check_windows(server: ServerSource, report: Report) -> None:
    apci: ApciSettings = server.settings.apci
    if apci.t2_s >= apci.t1_s:
        report.error(server.key("apci"), f"t2_s is {apci.t2_s:g}: less than t1_s, which is {apci.t1_s:g}, expected")
    if 3 * apci.w > 2 * apci.k:
        report.warning(server.key("apci"), f"w is {apci.w}: at most two thirds of k, which is {apci.k}, recommended")


def _check_clock(server: ServerSource, report: Report) -> None:
    """The right to move a clock, and a clock that may be moved, go together."""
    moves = server.settings.clock_sync in (ClockSync.OFFSET, ClockSync.SYSTEM)
    rightful = [source for source in server.masters if source.settings.clock]
    if moves and server.masters and not rightful:
        report.warning(
            server.key("clock_sync"), "no master has clock: true: clock synchronisation will be refused to all"
        )
    for source in [] if moves else rightful:
        words = f"clock: true of master {source.settings.name} has no effect while clock_sync is"
        report.warning(source.key("clock"), f"{words} {server.settings.clock_sync}: offset or system expected")


def _time_zone(server: ServerSource, report: Report) -> str:
    name = str(server.settings.time_zone)
    try:
        return Zone(name).name
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = nearest(name, available_timezones())
        report.error(server.key("time_zone"), f"time_zone {name!r} is not known{hint}: a name such as Asia/Kolkata")
        return "UTC"


def _check_addresses(server: ServerSource, report: Report) -> None:
    """Masters are told apart by their addresses: no address may belong to two."""
    networks = [
        (source, ipaddress.ip_network(address, strict=False))
        for source in server.masters
        for address in source.settings.addresses
    ]
    for (one, first), (other, second) in combinations(networks, 2):
        if one is not other and first.version == second.version and first.overlaps(second):
            report.error(
                other.key("addresses"),
                f"master {other.settings.name}: {second} overlaps {first} of master {one.settings.name}; "
                "a peer must belong to one master of a server",
            )
