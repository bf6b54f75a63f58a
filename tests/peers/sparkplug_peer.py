"""An independent Sparkplug B codec: Google's protobuf with a descriptor made at run time from the published numbers.

Nothing of it comes from the gateway: what one encodes the other decodes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_F = descriptor_pb2.FieldDescriptorProto
U32, U64, FLOAT, DOUBLE, BOOL, TEXT, OCTETS, MESSAGE = (
    _F.TYPE_UINT32, _F.TYPE_UINT64, _F.TYPE_FLOAT, _F.TYPE_DOUBLE,
    _F.TYPE_BOOL, _F.TYPE_STRING, _F.TYPE_BYTES, _F.TYPE_MESSAGE,
)  # fmt: skip

# Number, name, type, whether it is of the message's choice ("value"), whether it repeats, the message.
_MESSAGES: dict[str, list[tuple[int, str, Any, bool, bool, str]]] = {
    "PropertyValue": [
        (1, "type", U32, False, False, ""),
        (2, "is_null", BOOL, False, False, ""),
        (3, "int_value", U32, True, False, ""),
        (4, "long_value", U64, True, False, ""),
        (5, "float_value", FLOAT, True, False, ""),
        (6, "double_value", DOUBLE, True, False, ""),
        (7, "boolean_value", BOOL, True, False, ""),
        (8, "string_value", TEXT, True, False, ""),
    ],
    "PropertySet": [(1, "keys", TEXT, False, True, ""), (2, "values", MESSAGE, False, True, "PropertyValue")],
    "Metric": [
        (1, "name", TEXT, False, False, ""),
        (2, "alias", U64, False, False, ""),
        (3, "timestamp", U64, False, False, ""),
        (4, "datatype", U32, False, False, ""),
        (5, "is_historical", BOOL, False, False, ""),
        (6, "is_transient", BOOL, False, False, ""),
        (7, "is_null", BOOL, False, False, ""),
        (9, "properties", MESSAGE, False, False, "PropertySet"),
        (10, "int_value", U32, True, False, ""),
        (11, "long_value", U64, True, False, ""),
        (12, "float_value", FLOAT, True, False, ""),
        (13, "double_value", DOUBLE, True, False, ""),
        (14, "boolean_value", BOOL, True, False, ""),
        (15, "string_value", TEXT, True, False, ""),
        (16, "bytes_value", OCTETS, True, False, ""),
    ],
    "Payload": [
        (1, "timestamp", U64, False, False, ""),
        (2, "metrics", MESSAGE, False, True, "Metric"),
        (3, "seq", U64, False, False, ""),
        (4, "uuid", TEXT, False, False, ""),
        (5, "body", OCTETS, False, False, ""),
    ],
}


def _payload_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="peer.proto", package="peer", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(field[3] for field in fields):
            message.oneof_decl.add(name="value")
        for number, field_name, kind, chosen, repeated, of in fields:
            field = message.field.add(name=field_name, number=number, type=kind)
            field.label = _F.LABEL_REPEATED if repeated else _F.LABEL_OPTIONAL
            if chosen:
                field.oneof_index = 0
            if of:
                field.type_name = f".peer.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("peer.Payload"))


Payload = _payload_class()


def parse(data: bytes) -> Any:
    """A payload as protobuf reads it; unknown fields are none that we know of."""
    found = Payload()
    found.ParseFromString(data)
    return found


def value_of(metric: Any) -> Any:
    """The value that is set; None for a metric that is null."""
    chosen = metric.WhichOneof("value")
    return None if chosen is None or metric.is_null else getattr(metric, chosen)


def properties_of(metric: Any) -> dict[str, Any]:
    """Properties by name."""
    values = [getattr(value, value.WhichOneof("value")) for value in metric.properties.values]
    return dict(zip(metric.properties.keys, values, strict=True))


class SparkplugPeer:
    """An edge node that encodes by itself: doubles by alias. Its methods give (topic, payload)."""

    def __init__(self, group: str, edge: str, bd_seq: int = 0) -> None:
        self.group, self.edge, self.bd_seq = group, edge, bd_seq
        self._seq = -1
        self._aliases: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def _topic(self, kind: str, device: str) -> str:
        letter = "D" if device else "N"
        return f"spBv1.0/{self.group}/{letter}{kind}/{self.edge}" + (f"/{device}" if device else "")

    def will(self) -> tuple[str, bytes]:
        payload = Payload(timestamp=time.time_ns() // 1_000_000)
        payload.metrics.add(name="bdSeq", datatype=4, long_value=self.bd_seq)
        return self._topic("DEATH", ""), payload.SerializeToString()

    def _next(self) -> int:
        self._seq = (self._seq + 1) % 256
        return self._seq

    def birth(self, values: Mapping[str, float], device: str = "") -> tuple[str, bytes]:
        now = time.time_ns() // 1_000_000
        with self._lock:
            if not device:
                self._seq = -1
            payload = Payload(timestamp=now, seq=self._next())
            if not device:
                payload.metrics.add(name="bdSeq", datatype=4, long_value=self.bd_seq)
            for name, value in values.items():
                alias = self._aliases.setdefault((device, name), len(self._aliases) + 1)
                payload.metrics.add(name=name, alias=alias, timestamp=now, datatype=10, double_value=value)
        return self._topic("BIRTH", device), payload.SerializeToString()

    def data(
        self, values: Mapping[str, float], device: str = "", properties: Mapping[str, str] | None = None, skip: int = 0
    ) -> tuple[str, bytes]:
        now = time.time_ns() // 1_000_000
        with self._lock:
            for _ in range(skip):
                self._next()
            payload = Payload(timestamp=now, seq=self._next())
            for name, value in values.items():
                metric = payload.metrics.add(alias=self._aliases[device, name], timestamp=now, double_value=value)
                for key, text in (properties or {}).items():
                    metric.properties.keys.append(key)
                    metric.properties.values.add(type=12, string_value=text)
        return self._topic("DATA", device), payload.SerializeToString()

    def death(self, device: str) -> tuple[str, bytes]:
        with self._lock:
            return self._topic("DEATH", device), Payload(seq=self._next()).SerializeToString()

    @staticmethod
    def commands(payload: bytes) -> dict[str, Any]:
        return {metric.name: value_of(metric) for metric in parse(payload).metrics}
