"""The keys and columns of devices behind an MQTT broker, and their compilation. Imported only while checking."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field

from gateway.contracts.places import Report
from gateway.contracts.settings import Cell, DeviceRow, DeviceSettings
from protocols.mqtt.fieldcompile import compile_devices
from protocols.mqtt.fieldplan import BrokerPlan
from protocols.mqtt.linksettings import (
    JsonPath,
    KeepAlive,
    Milliseconds,
    Seconds,
    TlsSettings,
    Topic,
    Url,
    Version,
    checked,
)
from protocols.mqtt.sparkplugtopic import check_id

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]


class MqttDevice(DeviceSettings):
    """Keys of a device with `driver: mqtt`."""

    url: Url
    topic: str = ""
    client_id: str = ""
    username: str = ""
    password: str = ""
    tls: TlsSettings | None = None
    version: Version = "3.1.1"
    keep_alive_s: KeepAlive = 30
    timeout_ms: Milliseconds = 5000
    reconnect_max_s: Seconds = 10
    qos: Literal[0, 1] = 1
    interval_s: Seconds | None = None
    silent_s: Seconds | None = None
    time: JsonPath = ""
    time_unit: TimeUnit = "auto"
    quality: JsonPath = ""
    status_topic: Annotated[str, Field()] = ""
    status_json: JsonPath = ""
    status_offline: str = "offline|false|0"
    command_s: Seconds = 5
    host_id: Annotated[str, checked(lambda text: text and check_id(text))] = ""

    def resolved(self, folder: Path) -> Self:
        """TLS files are made whole when they are checked."""
        return self


class MqttRow(DeviceRow):
    """Columns of a map of `driver: mqtt`."""

    topic: Annotated[str | None, Cell] = None
    json_path: Annotated[JsonPath | None, Cell] = Field(default=None, alias="json")
    metric: Annotated[str | None, Cell] = None
    time: Annotated[JsonPath | None, Cell] = None
    quality: Annotated[JsonPath | None, Cell] = None
    on: Annotated[str | None, Cell] = None
    off: Annotated[str | None, Cell] = None
    states: Annotated[str | None, Cell] = None
    payload: Annotated[str | None, Cell] = None
    reply_topic: Annotated[Topic | None, Cell] = None
    reply_id: Annotated[JsonPath | None, Cell] = None
    reply_json: Annotated[JsonPath | None, Cell] = None
    reply_done: Annotated[str | None, Cell] = None
    reply_failed: Annotated[str | None, Cell] = None

    def scan_s(self, device: Any) -> float | None:
        """How often the device publishes, where that is known; a commanded point does not age."""
        if self.kind in ("setpoint", "control") or device.interval_s is None:
            return None
        return float(device.interval_s)

    def where(self) -> str:
        """The metric, or the topic and the place in its JSON."""
        if self.metric:
            return f"metric {self.metric}"
        path = "" if self.json_path is None else f"json {self.json_path}"
        return " ".join(part for part in (f"topic {self.topic}" if self.topic else "", path) if part)


class MqttFieldSettings:
    """`gateway.contracts.FieldSettings` of MQTT."""

    device_model = MqttDevice
    row_model = MqttRow

    def compile(self, devices: list[Any], report: Any) -> list[BrokerPlan]:
        """Check all devices and rows; one plan per connection. Rows with a fatal problem are left out of the plans."""
        return compile_devices(devices, cast(Report, report))


SETTINGS = MqttFieldSettings()
