"""A master map's rows become the columns that the server works with. Used only while checking."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import MasterRowSource, MasterSource
from gateway.points import Kind, PointCatalogue
from protocols.mqtt.address import check_topic, fill
from protocols.mqtt.gridplan import BindingColumns
from protocols.mqtt.sparkplug import BD_SEQ

_STEPPED: Final = (Kind.BINARY, Kind.DOUBLE, Kind.CONTROL)
_CONTROL: Final = "Node Control/"


def compile_rows(
    source: MasterSource, template: str, node: str, catalogue: PointCatalogue, report: Report
) -> BindingColumns:
    """Columns of the map of one master; `template` is the topic of the JSON form, empty for Sparkplug."""
    points: dict[int, Place] = {}
    names: dict[tuple[str, str], Place] = {}
    rows: list[MasterRowSource] = []
    for row in source.rows:
        first = points.setdefault(row.row, row.place)
        if first is not row.place:
            report.error(row.place.at("point"), f"point {row.settings.point} stands here already ({first})")
            continue
        name = row.settings.name or row.settings.point
        first = names.setdefault((row.settings.device or "", name), row.place)
        if first is not row.place:
            report.error(row.place.at("name"), f"name {name} is taken ({first})")
        _check_form(row, name, template, report)
        rows.append(row)
    retain = source.settings.retain
    return BindingColumns(
        row=np.array([row.row for row in rows], np.uint32),
        limit=np.array([_limit(row, catalogue, report) for row in rows], np.float64),
        name=[row.settings.name or row.settings.point for row in rows],
        topic=[_topic(row, template, node, source, report) for row in rows],
        retain=np.array([retain if row.settings.retain is None else row.settings.retain for row in rows], np.bool_),
        device=[row.settings.device or "" for row in rows],
        command=np.array([_command(row, catalogue, report) for row in rows], np.bool_),
    )


def _check_form(row: MasterRowSource, name: str, template: str, report: Report) -> None:
    settings: Any = row.settings
    if template:
        if settings.device is not None:
            report.error(row.place.at("device"), "device is for form: sparkplug")
        return
    for column in ("topic", "retain"):
        if getattr(settings, column) is not None:
            report.error(row.place.at(column), f"{column} is for form: json: Sparkplug has its own")
    if name == BD_SEQ or name.startswith(_CONTROL):
        report.error(row.place.at("name"), f"metric {name} is Sparkplug's own")


def _topic(row: MasterRowSource, template: str, node: str, source: MasterSource, report: Report) -> str:
    if not template:
        return ""
    if row.settings.topic:
        return str(row.settings.topic)
    try:
        return check_topic(fill(template, node=node, point=row.settings.name or row.settings.point))
    except ValueError as error:
        report.error(source.key("topic"), f"topic: {error}")
        return ""


def _limit(row: MasterRowSource, catalogue: PointCatalogue, report: Report) -> float:
    settings: Any = row.settings
    kind = catalogue.kind(row.row)
    if settings.deadband is None and settings.deadband_percent is None:
        return math.nan
    column = "deadband" if settings.deadband is not None else "deadband_percent"
    if kind in _STEPPED:
        report.error(row.place.at(column), f"{settings.point} is of kind {kind.word}: it has no deadband")
        return math.nan
    if settings.deadband is not None:
        if settings.deadband_percent is not None:
            report.error(row.place.at("deadband_percent"), "deadband or deadband_percent, not both")
        return float(settings.deadband)
    span = float(catalogue.high[row.row] - catalogue.low[row.row])
    if math.isnan(span):
        report.error(row.place.at(column), f"{settings.point} has no range (low, high) to take a part of")
    return span * float(settings.deadband_percent) / 100


def _command(row: MasterRowSource, catalogue: PointCatalogue, report: Report) -> bool:
    commanded = catalogue.kind(row.row).commanded
    if row.settings.command and not commanded:
        report.error(row.place.at("command"), f"{row.settings.point} is measured: it cannot be commanded")
    return commanded if row.settings.command is None else bool(row.settings.command) and commanded
