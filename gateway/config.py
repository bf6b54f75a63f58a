"""site.yaml and its point maps: checked as a whole, compiled to a `SitePlan`.

`load_site` reports every problem at once, each with its file and line (YAML) or file, row and column (CSV). The
format is described in ``config/README.md``.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gateway import registry
from gateway.alarms import AlarmCatalogue, Priority
from gateway.alarms.section import AUDIT_FAILING, AlarmSection, audit_seed, device_seeds, master_seeds
from gateway.contracts import ConfigError, FieldSettings, MasterSystemRows, Place, Problem, Report
from gateway.contracts.settings import DeviceSource
from gateway.control.compile import compile_control, local_remote_switch
from gateway.control.section import ControlSection
from gateway.control.words import control_lines
from gateway.history.settings import CheckedHistory, check_history
from gateway.points.calculated import CalculatedPoint, order
from gateway.points.expression import Expression, ExpressionError
from gateway.points.model import KIND_BY_WORD, NO_ROW, Kind
from gateway.refusals import refused_point
from gateway.site.addresses import Addresses, addresses
from gateway.site.maps import FLOAT_COLUMNS, MapReader, alarm_wish, check_alarm, check_limits
from gateway.site.model import CalculatedSettings, SiteSettings
from gateway.site.plan import DeviceSystemRows, ServerEntry, SitePlan
from gateway.site.points import SYSTEM, SitePoints
from gateway.site.screen import check_screen, screen_holders, screen_rights
from gateway.site.section import Section
from gateway.site.servers import (
    CheckedServer,
    CompiledServer,
    check_servers,
    compile_servers,
    protocol_words,
    server_uses,
    unique_names,
)
from gateway.site.substitution import substitute
from gateway.site.yamlfile import read_yaml


def load_site(path: Path) -> SitePlan:
    """The compiled site. Raises `ConfigError` with every problem; warnings alone go to `SitePlan.warnings`."""
    report = Report()
    with _no_garbage_runs():
        plan = _Loader(Path(path), report).load()
    report.problems = list(dict.fromkeys(report.problems))
    if plan is None or report.errors:
        raise ConfigError(report)
    plan.warnings = report.warnings
    return plan


@contextlib.contextmanager
def _no_garbage_runs() -> Iterator[None]:
    """Loading makes a million objects and no garbage in circles: the collector's searches are a third of its time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@dataclass(slots=True)
class _Calculated:
    """A calculated point that has its row; its expression is compiled once all points are known."""

    row: int
    settings: CalculatedSettings
    place: Place


class _Loader:
    """One loading: goes on after every problem as far as the rest still makes sense."""

    def __init__(self, path: Path, report: Report) -> None:
        self._path = path
        self._report = report
        self._points = SitePoints(report)
        self._maps = MapReader(report)
        self._drivers: dict[str, tuple[FieldSettings, list[DeviceSource]]] = {}
        self._device_names: list[tuple[str, Place]] = []

    def load(self) -> SitePlan | None:
        document = read_yaml(self._path, self._report)
        if document is None:
            return None
        substitute(document, os.environ, self._report)
        top = Section(document)
        site = top.validate(SiteSettings, self._report)
        if not isinstance(document.data, dict):
            return None
        return self._compile(site or SiteSettings.model_construct(site=""), top)

    def _compile(self, site: SiteSettings, top: Section) -> SitePlan:
        report, points = self._report, self._points
        if not top.value.get("devices"):
            report.warning(top.place, "the site has no devices")
        for section in top.entries("devices"):
            self._device(section)
        unique_names(self._device_names, "device", report)
        calculated = [made for section in top.entries("calculated") if (made := self._calculated(section))]
        servers = check_servers(top, report)
        device_system = self._device_system()
        master_system = self._master_system(servers)
        alarms = AlarmSection.read(top, self._path.parent, self._maps, report)
        audit = self._system(AUDIT_FAILING, Kind.BINARY, top.place, "The audit record cannot be written")
        masters = {(at.settings.name, master.name): master for at in servers for master, _ in at.masters}
        seeds = device_seeds(device_system, points) + master_seeds(master_system, masters, points)
        seeds.append(audit_seed(audit, top.place))
        control = ControlSection.read(top, self._path.parent, self._maps, report)
        if control is not None:
            control.system_points(self._system)
            seeds += control.seeds()
        alarm_system = alarms.system_points(self._system, seeds)
        history = check_history(top, report)
        history_rows = {} if history is None else self._history_system(history)
        self._server_system(servers)
        catalogue = points.catalogue()
        screen = check_screen(top, self._path.parent, catalogue, report)
        local_remote = None if control is None else local_remote_switch(control, points, catalogue, report)
        compiled = compile_servers(servers, points, catalogue, self._maps, report, local_remote)
        return SitePlan(
            name=site.site,
            path=self._path.resolve(),
            state_dir=(self._path.parent / site.state_dir).resolve(),
            catalogue=catalogue,
            drivers=self._driver_plans(),
            servers=[server.entry for server in compiled],
            calculated=self._expressions(calculated),
            local_remote=local_remote,
            control=None if control is None else compile_control(control, points, catalogue, report),
            rights={(at.entry.name, master): rows for at in compiled for master, rows in at.rights.items()}
            | (screen_rights(catalogue) if screen is not None else {}),
            holders=screen_holders() if screen is not None else frozenset(),
            screen=screen,
            addresses=None if screen is None else self._addresses(calculated, compiled),
            device_drivers={source.settings.name: source.settings.driver for source in self._sources()},
            device_rows={
                source.settings.name: np.array([row.row for row in source.rows], np.uint32)
                for source in self._sources()
            },
            device_system=device_system,
            master_system=master_system,
            alarms=alarms.compile(points, catalogue, seeds, report),
            alarm_system=alarm_system,
            log_level=site.log.level,
            history=None
            if history is None
            else history.compile(history_rows, catalogue, self._maps, self._path.parent, report),
        )

    def _addresses(self, calculated: list[_Calculated], servers: list[CompiledServer]) -> Addresses:
        rows = [(row.row, row.settings.where()) for source in self._sources() for row in source.rows]
        rows += [(point.row, f"= {point.settings.expr}") for point in calculated]
        names = self._points.names
        uses = [each for server in servers for each in server_uses(server, names)]
        return addresses(len(names), rows, self._points.place, uses)

    def _sources(self) -> Iterator[DeviceSource]:
        for _, sources in self._drivers.values():
            yield from sources

    def _device(self, section: Section) -> None:
        prefix = section.value.get("prefix")
        driver = section.word("driver", self._report)
        protocol = None if driver is None else self._field(driver, section)
        if driver is None or protocol is None:
            self._points.doubt(prefix)
            return
        settings = section.validate(protocol.device_model, self._report)
        folder = self._path.parent
        if settings is not None:
            settings = settings.resolved(folder)
        named = section.value.get("map") if settings is None else settings.map
        found = (
            self._maps.device_map(folder / named, protocol.row_model, section.key_place("map"))
            if isinstance(named, str)
            else None
        )
        if settings is None or found is None:
            self._points.doubt(prefix)
            return
        self._reserved(settings.prefix, section.key_place("prefix"))
        self._device_names.append((settings.name, section.key_place("name")))
        rows = self._points.add_device(settings, found, section.place)
        sources = self._drivers.setdefault(driver, (protocol, []))[1]
        sources.append(DeviceSource(settings, rows, section.place, section.keys))

    def _field(self, driver: str, section: Section) -> FieldSettings | None:
        try:
            settings: FieldSettings = registry.load(registry.field(driver).settings)
        except (registry.UnknownProtocol, ImportError) as error:
            self._report.error(section.key_place("driver"), protocol_words(error, driver))
            return None
        return settings

    def _reserved(self, name: str, place: Place) -> None:
        if name.partition("/")[0] == SYSTEM:
            self._report.error(place, f"names that begin with {SYSTEM}/ are the gateway's own")

    def _driver_plans(self) -> list[tuple[str, Any]]:
        return [
            (name, plan)
            for name, (settings, sources) in self._drivers.items()
            for plan in settings.compile(sources, self._report)
        ]

    def _calculated(self, section: Section) -> _Calculated | None:
        settings = section.validate(CalculatedSettings, self._report)
        if settings is None:
            self._points.doubt(section.value.get("point"))
            return None
        check_limits(settings, section.key_place, self._report)
        check_alarm(settings, section.key_place, self._report)
        self._reserved(settings.point, section.key_place("point"))
        numbers = {name: value for name in FLOAT_COLUMNS if (value := getattr(settings, name, None)) is not None}
        row = self._points.add(
            settings.point,
            KIND_BY_WORD[settings.kind],
            section.key_place("point"),
            settings.description,
            settings.unit,
            **numbers,
        )
        wish = alarm_wish(settings, section.place)
        if row is not None and wish is not None:
            self._points.alarms[row] = wish
        return None if row is None else _Calculated(row, settings, section.key_place("expr"))

    def _expressions(self, calculated: list[_Calculated]) -> list[CalculatedPoint]:
        made = [point for entry in calculated if (point := self._expression(entry)) is not None]
        ordered, circular = order(made)
        if circular:
            places = {entry.row: entry.place for entry in calculated}
            names = ", ".join(self._points.names[point.row] for point in circular)
            self._report.error(
                places[circular[0].row], f"these calculated points need each other's value, in a circle: {names}"
            )
        return ordered

    def _expression(self, entry: _Calculated) -> CalculatedPoint | None:
        try:
            expression = Expression(entry.settings.expr, self._points.rows)
        except ExpressionError as error:
            if not self._points.doubtful(error.unknown):
                self._report.error(entry.place, f"expr: {error}")
            return None
        if not len(expression.inputs):
            self._report.error(entry.place, "expr: no point in it, so it would never be calculated")
            return None
        return CalculatedPoint(row=entry.row, kind=KIND_BY_WORD[entry.settings.kind], expression=expression)

    def _system(self, name: str, kind: Kind, place: Place, description: str) -> int:
        row = self._points.add(f"{SYSTEM}/{name}", kind, place, description)
        return NO_ROW if row is None else row

    def _device_system(self) -> dict[str, DeviceSystemRows]:
        out: dict[str, DeviceSystemRows] = {}
        for name, place in self._device_names:
            if name in out:
                continue
            at = f"device/{name}"
            out[name] = DeviceSystemRows(
                online=self._system(f"{at}/online", Kind.BINARY, place, f"Device {name} answers"),
                errors=self._system(f"{at}/errors", Kind.COUNTER, place, f"Errors of device {name} since start"),
            )
        return out

    def _master_system(self, servers: list[CheckedServer]) -> dict[tuple[str, str], MasterSystemRows]:
        out: dict[tuple[str, str], MasterSystemRows] = {}
        masters = ((server.settings.name, master.name, at) for server in servers for master, at in server.masters)
        for server, master, section in masters:
            if (server, master) in out:
                continue
            at, place = f"master/{server}/{master}", section.key_place("name")
            out[server, master] = MasterSystemRows(
                online=self._system(f"{at}/online", Kind.BINARY, place, f"Master {master} is connected"),
                events_waiting=self._system(f"{at}/events_waiting", Kind.ANALOG, place, f"Events held for {master}"),
                events_lost=self._system(f"{at}/events_lost", Kind.COUNTER, place, f"Events lost for {master}"),
                overflow=self._system(f"{at}/overflow", Kind.BINARY, place, f"Events of {master} overflow"),
            )
        return out

    def _server_system(self, servers: list[CheckedServer]) -> None:
        listening = [server for server in servers if server.settings.listen]
        named = {server.settings.name: server.section.key_place("name") for server in listening}
        for name, place in named.items():
            at = refused_point(name).removeprefix(f"{SYSTEM}/")
            self._system(at, Kind.COUNTER, place, f"Connections that {name} turned away")

    def _history_system(self, history: CheckedHistory) -> dict[str, int]:
        place = history.section.place
        return {
            name: self._system(f"history/{name}", kind, place, words)
            for name, (kind, words) in history.system_points.items()
        }


def render(report: Report) -> str:
    """One line per problem by file and line, then how many there are."""
    problems = sorted(report.problems, key=_by_place)
    errors, warnings = len(report.errors), len(report.warnings)
    return "\n".join([*map(_line, problems), f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"])


def _by_place(problem: Problem) -> tuple[str, int, str]:
    place = problem.place
    return place.file, place.line or 0, place.column or ""


def _line(problem: Problem) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(problem))


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def summary(plan: SitePlan) -> str:
    """What the site is, for a person: devices, points by kind, servers, masters."""
    kinds = Counter(plan.catalogue.kinds.tolist())
    by_kind = ", ".join(f"{kinds[kind]:,} {kind.word}" for kind in Kind if kinds[kind])
    lines = [
        f"site {plan.name}: {_count(len(plan.catalogue), 'point')} ({by_kind})",
        f"state in {plan.state_dir}",
    ]
    for device, driver in plan.device_drivers.items():
        lines.append(f"device {device}: {driver}, {_count(len(plan.device_rows[device]), 'point')}")
    if plan.calculated:
        lines.append(f"calculated: {_count(len(plan.calculated), 'point')}")
    if plan.alarms is not None:
        lines.append(f"alarms: {_alarms(plan.alarms)}")
    if plan.control is not None:
        lines += control_lines(plan.control, plan.catalogue)
    if plan.screen is not None:
        lines.append(f"hmi: {plan.screen.where}")
    for server in plan.servers:
        lines.append(f"server {server.name}: {server.protocol} on {server.listen}")
        lines += [f"  master {name}: {_bindings(plan, server, name)}" for name in server.masters]
    return "\n".join(lines)


def _alarms(alarms: AlarmCatalogue) -> str:
    counts = Counter(alarms.priority.tolist())
    mix = ", ".join(f"{counts[priority]:,} {priority.word}" for priority in reversed(Priority) if counts[priority])
    return f"{len(alarms):,}" + (f" ({mix})" if mix else "")


def _bindings(plan: SitePlan, server: ServerEntry, master: str) -> str:
    may = len(plan.rights.get((server.name, master), ()))
    return f"{_count(server.bindings[master], 'binding')}, " + (f"may command {may:,}" if may else "no commands")
