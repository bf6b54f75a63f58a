"""The `servers:` section: each server and master checked with its protocol's models, then compiled to a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway import registry
from gateway.contracts import GridSettings, Place, Report
from gateway.contracts.settings import MasterRowSource, MasterSource, ServerSource
from gateway.points.model import PointCatalogue
from gateway.site.addresses import Uses
from gateway.site.maps import MapReader
from gateway.site.plan import ServerEntry
from gateway.site.points import SitePoints
from gateway.site.section import Section

_ANY_HOST = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True, slots=True)
class CheckedServer:
    """A server whose own keys are sound, with the masters whose own keys are sound."""

    protocol: str
    settings: Any
    grid: GridSettings
    section: Section
    masters: list[tuple[Any, Section]]


@dataclass(frozen=True, slots=True)
class CompiledServer:
    """A server with the rows that each of its masters may command, and what it was made of."""

    entry: ServerEntry
    rights: dict[str, Any]
    source: ServerSource


def check_servers(top: Section, report: Report) -> list[CheckedServer]:
    """Servers and masters by their models, names and listen addresses compared; maps are not read yet."""
    checked = (_check_server(section, report) for section in top.entries("servers"))
    servers = [server for server in checked if server is not None]
    named = [(server.settings.name, server.section.key_place("name")) for server in servers]
    unique_names(named, "server", report)
    _unique_addresses(servers, report)
    return servers


def _check_server(section: Section, report: Report) -> CheckedServer | None:
    name = section.word("protocol", report)
    if name is None:
        return None
    try:
        grid: GridSettings = registry.load(registry.grid(name).settings)
    except (registry.UnknownProtocol, ImportError) as error:
        report.error(section.key_place("protocol"), protocol_words(error, name))
        return None
    settings = section.validate(grid.server_model, report)
    masters = [_check_master(master, grid, report) for master in section.entries("masters")]
    sound = [master for master in masters if master is not None]
    unique_names([(master.name, at.key_place("name")) for master, at in sound], "master", report)
    return None if settings is None else CheckedServer(name, settings, grid, section, sound)


def _check_master(section: Section, grid: GridSettings, report: Report) -> tuple[Any, Section] | None:
    settings = section.validate(grid.master_model, report)
    return None if settings is None else (settings, section)


def protocol_words(error: Exception, name: str) -> str:
    """Why a protocol package cannot be used."""
    text = str(error.args[0]) if error.args else str(error)
    return text if isinstance(error, registry.UnknownProtocol) else f"{name} cannot be loaded: {text}"


def unique_names(named: list[tuple[str, Place]], what: str, report: Report) -> None:
    """Each name once; the second one is reported."""
    first: dict[str, Place] = {}
    for name, place in named:
        seen = first.setdefault(name, place)
        if seen is not place:
            report.error(place, f"{what} {name} exists already ({seen})")


def _endpoint(listen: str) -> tuple[str, str]:
    """(host, port) of ``host:port``, ``[v6]:port`` or ``scheme://host:port/path``."""
    bare = listen.rpartition("://")[2].partition("/")[0]
    host, _, port = bare.rpartition(":")
    return host.strip("[]").lower(), port


def _unique_addresses(servers: list[CheckedServer], report: Report) -> None:
    seen: list[tuple[str, str, CheckedServer]] = []
    for server in servers:
        host, port = _endpoint(server.settings.listen)
        if not port:  # a server that dials out or sits on a serial line does not listen
            continue
        for other_host, other_port, other in seen:
            same_host = host == other_host or host in _ANY_HOST or other_host in _ANY_HOST
            if port == other_port and port != "0" and same_host:
                report.error(
                    server.section.key_place("listen"),
                    f"{server.settings.listen} is taken by server {other.settings.name}"
                    f" ({other.settings.listen}, {other.section.key_place('listen')})",
                )
                break
        seen.append((host, port, server))


def compile_servers(
    servers: list[CheckedServer],
    points: SitePoints,
    catalogue: PointCatalogue,
    maps: MapReader,
    report: Report,
    local_remote: tuple[int, float] | None = None,
) -> list[CompiledServer]:
    """Each server. Maps are read here, once all points are known."""
    folder = Path(servers[0].section.file).parent if servers else Path()
    return [_compile(server, folder, points, catalogue, maps, report, local_remote) for server in servers]


def _compile(
    server: CheckedServer,
    folder: Path,
    points: SitePoints,
    catalogue: PointCatalogue,
    maps: MapReader,
    report: Report,
    local_remote: tuple[int, float] | None,
) -> CompiledServer:
    masters = [
        MasterSource(settings, _bindings(settings, section, server, folder, points, maps), section.place, section.keys)
        for settings, section in server.masters
    ]
    own = getattr(server.settings, "map", "")
    rows = _bindings(server.settings, server.section, server, folder, points, maps) if own else []
    source = ServerSource(server.settings, masters, server.section.place, server.section.keys, rows, local_remote)
    plan = server.grid.compile(source, catalogue, report)
    entry = ServerEntry(
        name=server.settings.name,
        protocol=server.protocol,
        listen=server.settings.where(),
        plan=plan,
        masters=[master.settings.name for master in masters],
        bindings={master.settings.name: len(master.rows) for master in masters},
    )
    commands = getattr(plan, "commands", {})
    rights = {name: np.asarray(rows, np.uint32) for name, rows in commands.items()}
    return CompiledServer(entry, rights, source)


def server_uses(server: CompiledServer, names: list[str]) -> Iterator[Uses]:
    """What each master of a server gets, and where; of a server without masters, what everybody gets."""
    entry, source = server.entry, server.source
    for master in source.masters:
        rows = np.array([row.row for row in master.rows], np.uint32)
        words = [row.settings.where() for row in master.rows]
        yield Uses(server=entry.name, protocol=entry.protocol, master=master.settings.name, rows=rows, addresses=words)
    if source.masters or not source.settings.where_of(""):
        return
    own = [row.row for row in source.rows] if source.rows else range(len(names))
    words = [source.settings.where_of(names[row]) for row in own]
    rows = np.array(own, np.uint32)
    yield Uses(server=entry.name, protocol=entry.protocol, master="", rows=rows, addresses=words)


def _bindings(
    settings: Any, section: Section, server: CheckedServer, folder: Path, points: SitePoints, maps: MapReader
) -> list[MasterRowSource]:
    found = maps.master_map(folder / settings.map, server.grid.row_model, section.key_place("map"))
    if found is None:
        return []
    rows = points.rows
    out: list[MasterRowSource] = []
    for row, place in zip(found.models, found.places, strict=True):
        at = rows.get(row.point)
        if at is None:
            points.find(row.point, place.at("point"))
        else:
            out.append(MasterRowSource(row, at, place))
    return out
