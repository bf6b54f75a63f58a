"""Checked rows of MQTT devices become plans, one per connection. Used only while checking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import DeviceRowSource, DeviceSource
from gateway.points import DOUBLE_OFF, DOUBLE_ON, KIND_BY_WORD, Kind
from protocols.mqtt.address import check_topic
from protocols.mqtt.fieldplan import (
    BrokerPlan,
    Clock,
    CommandPlan,
    DevicePlan,
    JsonBinding,
    MetricBinding,
    ReplyPlan,
)
from protocols.mqtt.jsonpath import parse_path
from protocols.mqtt.linkplan import LinkPlan
from protocols.mqtt.linksettings import link_plan
from protocols.mqtt.order import DEFAULT_TEMPLATE, PLACEHOLDERS, as_literal, unknown_placeholders
from protocols.mqtt.reading import Reading
from protocols.mqtt.sparkplugtopic import Source, parse_source

SCANS_TO_MAX_AGE: Final = 3.0
_JSON_ONLY: Final = ("json_path", "time", "quality", "payload", "reply_topic")


def compile_devices(devices: list[DeviceSource], report: Report) -> list[BrokerPlan]:
    """One plan per connection: devices of the same broker, user, host id and TLS share one."""
    connections: dict[tuple[LinkPlan, str, int], _Connection] = {}
    clients: dict[tuple[str, str], tuple[LinkPlan, Place]] = {}
    for source in devices:
        settings = source.settings
        link = link_plan(settings, source.place, source.key, report)
        first = clients.setdefault((str(link.broker), link.client_id), (link, source.key("client_id")))
        if link.client_id and first[0] != link:
            report.error(
                source.key("client_id"),
                f"client_id {link.client_id} is that of another connection ({first[1]}): they would end each other",
            )
        plan = connections.setdefault(
            (link, settings.host_id, settings.qos), _Connection(link, settings.host_id, settings.qos, report)
        )
        plan.add(source)
    return [connection.plan() for connection in connections.values()]


@dataclass(slots=True)
class _Connection:
    link: LinkPlan
    host: str
    qos: int
    report: Report
    devices: list[DevicePlan] = field(default_factory=list)
    topics: dict[str, list[JsonBinding]] = field(default_factory=dict)
    metrics: dict[Source, dict[str, list[MetricBinding]]] = field(default_factory=dict)
    commands: dict[int, CommandPlan] = field(default_factory=dict)

    def add(self, source: DeviceSource) -> None:
        """One device with its rows."""
        rows = _Rows(self, source, len(self.devices))
        for row in source.rows:
            rows.add(row)
        settings = source.settings
        silent = settings.silent_s
        if silent is None:
            silent = SCANS_TO_MAX_AGE * settings.interval_s if settings.interval_s else 0.0
        self.devices.append(
            DevicePlan(
                name=settings.name,
                rows=np.array([row.row for row in source.rows], np.uint32),
                silent_s=silent,
                command_s=settings.command_s,
                status_topic=_topic(settings.status_topic, source.key("status_topic"), self.report, empty=True),
                status_path=parse_path(settings.status_json),
                status_offline=frozenset(_words(settings.status_offline)),
                sources=tuple(rows.sources),
                measures=rows.measures,
            )
        )

    def plan(self) -> BrokerPlan:
        """Everything as tuples."""
        rows = [device.rows for device in self.devices]
        return BrokerPlan(
            devices=[device.name for device in self.devices],
            rows=np.concatenate([np.empty(0, np.uint32), *rows]),
            link=self.link,
            plans=self.devices,
            topics={topic: tuple(bindings) for topic, bindings in self.topics.items()},
            metrics={
                source: {name: tuple(bindings) for name, bindings in metrics.items()}
                for source, metrics in self.metrics.items()
            },
            commands=self.commands,
            host=self.host,
            qos=self.qos,
        )


class _Rows:
    """The rows of one device on their way into the connection."""

    def __init__(self, connection: _Connection, source: DeviceSource, index: int) -> None:
        self._to, self._device, self._index = connection, source.settings, index
        self._report = connection.report
        self.sources: dict[Source, None] = {}
        self.measures = False

    def add(self, source: DeviceRowSource) -> None:
        """One row; what is wrong with it is in the report."""
        kind = KIND_BY_WORD[source.settings.kind]
        reading = self._reading(source, kind)
        if reading is None:
            return
        self.measures |= not kind.commanded
        if source.settings.metric is not None:
            self._metric(source, kind, reading)
        elif kind.commanded:
            self._command(source, kind, reading)
        else:
            self._json(source, reading)

    def _json(self, source: DeviceRowSource, reading: Reading) -> None:
        row = source.settings
        topic = _topic(row.topic or self._device.topic, source.place.at("topic"), self._report)
        time = row.time or self._device.time
        quality = row.quality or self._device.quality
        binding = JsonBinding(
            row=source.row,
            device=self._index,
            name=source.name,
            path=parse_path(row.json_path or ""),
            reading=reading,
            clock=Clock(path=parse_path(time), unit=self._device.time_unit) if time else Clock(),
            quality=parse_path(quality) if quality else None,
            max_age_ns=self._max_age_ns(row),
        )
        self._to.topics.setdefault(topic, []).append(binding)

    def _metric(self, source: DeviceRowSource, kind: Kind, reading: Reading) -> None:
        row = source.settings
        for name in _JSON_ONLY:
            if getattr(row, name) is not None:
                column = "json" if name == "json_path" else name
                self._report.error(source.place.at(column), f"{source.name}: a row with a metric has no {column}")
        try:
            owner = parse_source(row.topic or self._device.topic)
        except ValueError as error:
            self._report.error(source.place.at("topic"), f"{source.name}: {error}")
            return
        self.sources[owner] = None
        binding = MetricBinding(
            row=source.row,
            device=self._index,
            name=source.name,
            reading=reading,
            commanded=kind.commanded,
            max_age_ns=self._max_age_ns(row),
        )
        self._to.metrics.setdefault(owner, {}).setdefault(row.metric, []).append(binding)
        if kind.commanded:
            self._to.commands[source.row] = CommandPlan(
                row=source.row,
                device=self._index,
                name=source.name,
                source=owner,
                metric=row.metric,
                feedback=row.feedback is not None,
                control=kind is Kind.CONTROL,
                scale=reading.scale,
                offset=reading.offset,
            )

    def _command(self, source: DeviceRowSource, kind: Kind, reading: Reading) -> None:
        row, report = source.settings, self._report
        topic = _topic(row.topic or self._device.topic, source.place.at("topic"), report)
        template = DEFAULT_TEMPLATE if row.payload is None else row.payload
        for name in unknown_placeholders(template):
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            report.error(source.place.at("payload"), f"{source.name}: {{{name}}} is not known: {known}")
        if "{value}" not in template:
            report.error(source.place.at("payload"), f"{source.name}: the payload has no {{value}}")
        reply = self._reply(source, template)
        if reply is None and row.feedback is None:
            report.error(
                source.place.at("feedback"),
                f"{source.name}: a broker's acknowledgement does not say that the device acted:"
                " a feedback point or a reply_topic is needed",
            )
        on, off = _words(row.on or ""), _words(row.off or "")
        if bool(on) != bool(off):
            report.error(source.place.at("on" if off else "off"), f"{source.name}: on and off are both needed, or none")
        self._to.commands[source.row] = CommandPlan(
            row=source.row,
            device=self._index,
            name=source.name,
            topic=topic,
            template=template,
            words=(as_literal(_first(row.on)), as_literal(_first(row.off))) if on and off else None,
            reply=reply,
            feedback=row.feedback is not None,
            control=kind is Kind.CONTROL,
            scale=reading.scale,
            offset=reading.offset,
        )

    def _reply(self, source: DeviceRowSource, template: str) -> ReplyPlan | None:
        row = source.settings
        if row.reply_topic is None:
            for name in ("reply_id", "reply_json", "reply_done", "reply_failed"):
                if getattr(row, name) is not None:
                    self._report.error(source.place.at(name), f"{source.name}: {name} without a reply_topic")
            return None
        if "{id}" not in template:
            text = f"{source.name}: a reply is told by the command's id: the payload needs an {{id}}"
            self._report.error(source.place.at("payload"), text)
        return ReplyPlan(
            topic=row.reply_topic,
            id=parse_path(row.reply_id or "id"),
            path=parse_path(row.reply_json or ""),
            done=frozenset(_words(row.reply_done or "")),
            failed=frozenset(_words(row.reply_failed or "")),
        )

    def _max_age_ns(self, row: Any) -> int:
        age_s = row.max_age_s
        if age_s is None:
            age_s = SCANS_TO_MAX_AGE * (row.scan_s(self._device) or 0.0)
        return int(age_s * 1e9)

    def _reading(self, source: DeviceRowSource, kind: Kind) -> Reading | None:
        row, report, place = source.settings, self._report, source.place
        scale, offset = 1.0 if row.scale is None else row.scale, row.offset or 0.0
        two = kind in (Kind.BINARY, Kind.CONTROL, Kind.DOUBLE)
        if (row.on or row.off) and not two:
            at = place.at("on" if row.on else "off")
            report.error(at, f"{source.name}: on and off are for binary, double and control; expected states")
            return None
        if two and (scale, offset) != (1.0, 0.0):
            report.error(place.at("scale"), f"{source.name}: a {kind.word} has no scale or offset: use on and off")
            return None
        words, otherwise = self._on_off(row, kind)
        if row.states is not None:
            words |= self._states(source)
        return Reading(kind=kind, words=words, otherwise=otherwise, scale=scale, offset=offset)

    @staticmethod
    def _on_off(row: Any, kind: Kind) -> tuple[dict[str, float], float | None]:
        on, off = (DOUBLE_ON, DOUBLE_OFF) if kind is Kind.DOUBLE else (1.0, 0.0)
        words = {**dict.fromkeys(_words(row.on or ""), on), **dict.fromkeys(_words(row.off or ""), off)}
        if row.on and not row.off:
            return words, off
        return words, on if row.off and not row.on else None

    def _states(self, source: DeviceRowSource) -> dict[str, float]:
        """``idle=0|charging=1``."""
        out: dict[str, float] = {}
        for part in source.settings.states.split("|"):
            word, _, number = part.rpartition("=")
            try:
                out[word.strip().lower()] = float(number)
            except ValueError:
                word = ""
            if not word.strip():
                text = f'{source.name}: expected word=number, with | between, found "{part}"'
                self._report.error(source.place.at("states"), text)
        return out


def _words(text: str) -> Mapping[str, None]:
    return dict.fromkeys(word.strip().lower() for word in text.split("|") if word.strip())


def _first(text: str) -> str:
    return next(word.strip() for word in text.split("|") if word.strip())


def _topic(text: str, place: Place, report: Report, empty: bool = False) -> str:
    if empty and not text:
        return ""
    try:
        return check_topic(text)
    except ValueError as error:
        report.error(place, f"{error}" if text else "a topic is needed: in this column, or as key of the device")
        return text
