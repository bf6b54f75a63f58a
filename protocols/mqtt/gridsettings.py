"""How servers with `protocol: mqtt` are read and checked. Imported only while a site is checked."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import Field

from gateway.contracts import MasterSystemRows
from gateway.contracts.places import Report
from gateway.contracts.settings import (
    Cell,
    MasterRow,
    MasterSettings,
    MasterSource,
    PeerAddress,
    ServerSettings,
    ServerSource,
    Strict,
)
from gateway.points import PointCatalogue, Rows
from protocols.mqtt.address import check_topic, fill
from protocols.mqtt.gridcompile import compile_rows
from protocols.mqtt.gridplan import (
    CommandRules,
    JsonPlan,
    MasterPlan,
    ServerPlan,
    SparkplugPlan,
)
from protocols.mqtt.linkplan import LinkPlan
from protocols.mqtt.linksettings import (
    KeepAlive,
    Milliseconds,
    Seconds,
    TlsSettings,
    Topic,
    Url,
    Version,
    checked,
    link_plan,
)
from protocols.mqtt.sparkplugtopic import Source, check_id

_Id = Annotated[str, checked(lambda text: text and check_id(text))]


class MqttServerSettings(ServerSettings):
    """Keys of a server."""

    listen: str = ""
    url: Url
    username: str = ""
    password: str = ""
    tls: TlsSettings | None = None
    version: Version = "3.1.1"
    keep_alive_s: KeepAlive = 30
    timeout_ms: Milliseconds = 5000
    reconnect_max_s: Seconds = 10
    command_timeout_s: Seconds = 30
    command_max_age_s: Seconds = 10
    command_time_required: bool = False

    def where(self) -> str:
        """It listens nowhere: it connects there."""
        return self.url


class EventSettings(Strict):
    """What is held while the broker is away."""

    capacity: Annotated[int, Field(ge=1, le=10_000_000)] = 150_000


class MqttMasterSettings(MasterSettings):
    """Keys of a master: a map in one form, on a connection of its own."""

    addresses: list[PeerAddress] = Field(default_factory=list)
    form: Literal["json", "sparkplug"] = "json"
    client_id: str = ""
    qos: Literal[0, 1] = 1
    events: EventSettings = EventSettings()
    refresh_s: Annotated[float, Field(ge=0, le=86_400)] = 0
    gather_ms: Annotated[float, Field(ge=0, le=60_000)] = 0
    node: _Id = ""
    topic: str = "vpp/telemetry/{node}"
    payload: Literal["auto", "point", "group"] = "auto"
    retain: bool = False
    status_topic: str = "vpp/status/{node}"
    command_topic: str = "vpp/commands/{node}"
    group: _Id = ""
    edge: _Id = ""
    primary_host: _Id = ""


class MqttMasterRow(MasterRow):
    """Columns of a master map."""

    topic: Annotated[Topic | None, Cell] = None
    name: Annotated[str | None, Cell] = None
    device: Annotated[Annotated[str, checked(check_id)] | None, Cell] = None
    deadband: Annotated[Annotated[float, Field(ge=0)] | None, Cell] = None
    deadband_percent: Annotated[Annotated[float, Field(ge=0, le=100)] | None, Cell] = None
    retain: Annotated[bool | None, Cell] = None
    command: Annotated[bool | None, Cell] = None

    def where(self) -> str:
        """The topic that the row names, else the name under which it is told."""
        name = f"{self.device}/{self.name or self.point}" if self.device else self.name or self.point
        return f"topic {self.topic}" if self.topic else f"name {name}"


class MqttGridSettings:
    """`gateway.contracts.GridSettings` of MQTT."""

    server_model: type[Any] = MqttServerSettings
    master_model: type[Any] = MqttMasterSettings
    row_model: type[Any] = MqttMasterRow

    def compile(self, server: ServerSource, catalogue: PointCatalogue, report: Report) -> ServerPlan:
        """Check one server; problems go to `report`, and the plan is only good when no error was added."""
        settings: MqttServerSettings = server.settings
        if settings.listen:
            report.error(server.key("listen"), "mqtt does not listen: the broker's address belongs into url")
        if not server.masters:
            report.warning(server.place, f"server {settings.name} has no masters: nothing is published")
        masters = [_master(source, server, catalogue, report) for source in server.masters]
        _check_unique(server, report)
        return ServerPlan(
            name=settings.name,
            masters=masters,
            system={master.name: MasterSystemRows.of(settings.name, master.name, catalogue) for master in masters},
            commands={master.name: _commandable(master) for master in masters},
        )


SETTINGS: Final = MqttGridSettings()


def _master(source: MasterSource, server: ServerSource, catalogue: PointCatalogue, report: Report) -> MasterPlan:
    settings: MqttMasterSettings = source.settings
    if not source.rows:
        report.warning(source.key("map"), f"the map of master {settings.name} has no point: nothing is published")
    if settings.addresses:
        report.error(source.key("addresses"), "a broker does not connect to us: addresses mean nothing here")
    keys: MqttServerSettings = server.settings
    form = _json(source, report) if settings.form == "json" else _sparkplug(source, report)
    template = settings.topic if settings.form == "json" else ""
    node = form.node if isinstance(form, JsonPlan) else ""
    return MasterPlan(
        name=settings.name,
        link=_link(source, server, report),
        bindings=compile_rows(source, template, node, catalogue, report),
        form=form,
        capacity=settings.events.capacity,
        qos=settings.qos,
        gather_s=settings.gather_ms / 1000,
        refresh_s=settings.refresh_s,
        rules=CommandRules(
            allowed=settings.commands,
            timeout_s=keys.command_timeout_s,
            max_age_s=keys.command_max_age_s,
            time_required=keys.command_time_required,
        ),
    )


def _link(source: MasterSource, server: ServerSource, report: Report) -> LinkPlan:
    class Keys:
        """The server's keys, and the client id of the master."""

        client_id = source.settings.client_id

        def __getattr__(self, name: str) -> Any:
            return getattr(server.settings, name)

    return link_plan(Keys(), server.place, server.key, report)


_SPARKPLUG_ONLY: Final = ("group", "edge", "primary_host")
_JSON_ONLY: Final = ("node", "topic", "payload", "retain", "status_topic", "command_topic")


def _foreign(source: MasterSource, names: tuple[str, ...], form: str, report: Report) -> None:
    for name in names:
        if name in source.keys:
            report.error(source.key(name), f"{name} means nothing with form: {form}")


def _json(source: MasterSource, report: Report) -> JsonPlan:
    settings: MqttMasterSettings = source.settings
    _foreign(source, _SPARKPLUG_ONLY, "json", report)
    node = settings.node or settings.name
    single = settings.payload == "point" or (settings.payload == "auto" and "{point}" in settings.topic)
    if not single and "{point}" in settings.topic:
        report.error(source.key("topic"), "a topic with {point} carries one point: payload: point expected")
    return JsonPlan(
        node=node,
        grouped=not single,
        status_topic=_filled(settings.status_topic, "status_topic", node, source, report),
        command_topic=_filled(settings.command_topic, "command_topic", node, source, report),
    )


def _filled(template: str, key: str, node: str, source: MasterSource, report: Report) -> str:
    if not template:
        return ""
    try:
        return check_topic(fill(template, node=node))
    except ValueError as error:
        report.error(source.key(key), f"{key}: {error}")
        return ""


def _sparkplug(source: MasterSource, report: Report) -> SparkplugPlan:
    settings: MqttMasterSettings = source.settings
    _foreign(source, _JSON_ONLY, "sparkplug", report)
    for name in ("group", "edge"):
        if not getattr(settings, name):
            report.error(source.key(name), f"form: sparkplug needs {name}")
    if settings.group == "STATE":
        report.error(source.key("group"), "no group is called STATE")
    return SparkplugPlan(node=Source(settings.group, settings.edge), primary_host=settings.primary_host)


def _check_unique(server: ServerSource, report: Report) -> None:
    """Two connections of one client id end each other; two nodes of one name contradict each other."""
    seen: dict[tuple[str, str], str] = {}
    for source in server.masters:
        settings = source.settings
        node = f"{settings.group}/{settings.edge}" if settings.form == "sparkplug" else ""
        for key, value in (("client_id", settings.client_id), ("edge", node)):
            other = seen.setdefault((key, value), settings.name) if value else settings.name
            if other != settings.name:
                report.error(source.key(key), f"{key} {value} is that of master {other}")


def _commandable(master: MasterPlan) -> Rows:
    if not master.rules.allowed:
        return np.empty(0, np.uint32)
    return np.unique(master.bindings.row[master.bindings.command])
