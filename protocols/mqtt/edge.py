"""The Sparkplug form of output: an edge node with its devices (Eclipse Sparkplug 3.0, chapters 5 and 6). Pure.

connect     the will is NDEATH with the bdSeq of the NBIRTH to come
opened      NBIRTH (seq 0), then a DBIRTH of each device that is there; with a primary host: once it is online
events      NDATA and DDATA by alias; those from before the birth are historical: it told what came of them
a device    whose points are all lost: DDEATH, once what was waiting for it is told; DBIRTH when one is back
rebirth     on NCMD: all births anew, seq 0, the same bdSeq
host gone   NDEATH, and a new connection that waits for it
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from gateway.contracts import Outcome, Reason, TableView
from gateway.events import Events
from gateway.points import ALL_FLAGS, Kind, PointCatalogue, Quality
from protocols.mqtt.form import Effects, Leave, Outgoing, Request
from protocols.mqtt.gridplan import MasterPlan, SparkplugPlan
from protocols.mqtt.jsoncommand import late
from protocols.mqtt.linkplan import Will
from protocols.mqtt.quality import properties_of
from protocols.mqtt.sparkplug import (
    ANSWER,
    BD_SEQ,
    REBIRTH,
    DataType,
    Metric,
    Payload,
    Scalar,
    decode,
    encode,
    encode_metric,
    encode_payload,
    encode_properties,
    encode_value,
)
from protocols.mqtt.sparkplugtopic import Source, host_online, parse_topic, state_topics
from protocols.mqtt.wire import number_field, octets_field

SEQUENCES: Final = 256
METRICS_MOST: Final = 500
"""Of one payload."""
_TYPES: Final = {
    Kind.ANALOG: DataType.DOUBLE,
    Kind.COUNTER: DataType.DOUBLE,
    Kind.SETPOINT: DataType.DOUBLE,
    Kind.BINARY: DataType.BOOLEAN,
    Kind.CONTROL: DataType.BOOLEAN,
    Kind.DOUBLE: DataType.UINT8,
}
_BITS: Final = int(ALL_FLAGS)
_NEVER: Final = int(Quality.NEVER_REPORTED)
_GONE: Final = np.uint32(Quality.COMM_LOST | Quality.NEVER_REPORTED)
_HISTORICAL: Final = number_field(5, 1)
_NULL: Final = number_field(7, 1)
_FIRST_ALIAS: Final = 1
_PACK_DOUBLE: Final = struct.Struct("<Bd").pack
_DOUBLE_KEY: Final = 13 << 3 | 1


@dataclass(slots=True)
class _Member:
    """The node itself, or one of its devices."""

    source: Source
    positions: list[int]
    born: bool = False
    mark: int = 0
    """Events up to this place in the connection's order are from before its birth."""


class EdgeForm:
    """Implements `protocols.mqtt.form.Form`. `bd_seq` counts connections; keep it over restarts."""

    def __init__(self, plan: MasterPlan, form: SparkplugPlan, catalogue: PointCatalogue, table: TableView) -> None:
        self._plan, self._form, self._table = plan, form, table
        columns = plan.bindings
        self._rows = columns.row.tolist()
        self._types = [_TYPES[Kind(int(catalogue.kinds[row]))] for row in self._rows]
        self._units = [catalogue.units[row] for row in self._rows]
        self._alias = [number_field(2, position + _FIRST_ALIAS) for position in range(len(columns))]
        node = form.node
        self._members = {"": _Member(node, [])}
        for position, device in enumerate(columns.device):
            source = Source(node.group, node.edge, device)
            self._members.setdefault(device, _Member(source, [])).positions.append(position)
        self._by_name = {
            (device, name): at for at, (device, name) in enumerate(zip(columns.device, columns.name, strict=True))
        }
        self._properties: dict[int, bytes] = {}
        self._told_good = np.ones(len(columns), np.bool_)
        self._commanded: dict[int, tuple[float, int]] = {}
        """What was last carried out of a commanded point, and when in ns: its node's word on it."""
        self.bd_seq = -1
        self._seq = 0
        self._place = self._waiting = 0
        self._host_time_ms = 0
        self.ready = False

    # -- the connection -----------------------------------------------------------------------------------------

    def will(self, now_ns: int) -> Will | None:
        """NDEATH of the birth to come."""
        self.bd_seq = (self.bd_seq + 1) % SEQUENCES
        self.ready = False
        self._host_time_ms = 0
        return Will(self._form.node.topic("DEATH"), self._death(now_ns), 1)

    def filters(self) -> list[str]:
        """Commands to the node and its devices (rebirth is one), and the state of the primary host."""
        node = self._form.node
        own = [node.topic("CMD"), Source(node.group, node.edge, "+").topic("CMD")]
        return [*own, *(state_topics(self._form.primary_host) if self._form.primary_host else ())]

    def opened(self, now_ns: int, waiting: int) -> list[Outgoing]:
        """The births, unless a host is to be waited for."""
        self._place = 0
        for member in self._members.values():
            member.born = False
        return [] if self._form.primary_host else self._births(now_ns, waiting)

    def closing(self, now_ns: int) -> list[Outgoing]:
        """NDEATH: a connection that is closed in order has no will."""
        if not self.ready:
            return []
        self.ready = False
        return [Outgoing(self._form.node.topic("DEATH"), self._death(now_ns))]

    def _death(self, now_ns: int) -> bytes:
        now_ms = now_ns // 1_000_000
        metric = Metric(name=BD_SEQ, time_ms=now_ms, datatype=DataType.INT64, value=self.bd_seq)
        return encode(Payload(time_ms=now_ms, metrics=[metric]))

    # -- births and deaths --------------------------------------------------------------------------------------

    def _births(self, now_ns: int, waiting: int) -> list[Outgoing]:
        self._seq = -1
        self.ready = True
        for member in self._members.values():
            member.born = False
        return [self._birth(self._members[""], now_ns, waiting), *self.before(now_ns, waiting)]

    def before(self, now_ns: int, waiting: int) -> list[Outgoing]:
        """Births of devices that are back; deaths of those that are gone once nothing waits."""
        out: list[Outgoing] = []
        self._waiting = waiting
        for name, member in self._members.items():
            if not name:
                continue
            there = self._there(member)
            if there and not member.born:
                out.append(self._birth(member, now_ns, waiting))
            elif member.born and not there and not waiting:
                member.born = False
                out.append(Outgoing(member.source.topic("DEATH"), self._payload([], now_ns)))
        return out

    def _there(self, member: _Member) -> bool:
        """A device is there while one of its measured points is heard."""
        quality = self._table.quality[self._plan.bindings.row[member.positions]]
        return bool(((quality & _GONE) == 0).any())

    def _birth(self, member: _Member, now_ns: int, waiting: int) -> Outgoing:
        member.born, member.mark = True, self._place + waiting
        now_ms = now_ns // 1_000_000
        metrics = [encode_metric(metric) for metric in self._control_metrics(member, now_ms)]
        metrics += [self._birth_metric(position) for position in member.positions]
        return Outgoing(member.source.topic("BIRTH"), self._payload(metrics, now_ns))

    def _control_metrics(self, member: _Member, now_ms: int) -> list[Metric]:
        if member.source.device:
            return []
        return [
            Metric(name=BD_SEQ, time_ms=now_ms, datatype=DataType.INT64, value=self.bd_seq),
            Metric(name=REBIRTH, time_ms=now_ms, datatype=DataType.BOOLEAN, value=False),
        ]

    def _birth_metric(self, position: int) -> bytes:
        row = self._rows[position]
        value, flags = float(self._table.value[row]), int(self._table.quality[row]) & _BITS
        time_ns = int(self._table.time_ns[row])
        if flags & _NEVER and position in self._commanded:
            (value, time_ns), flags = self._commanded[position], 0
        self._told_good[position] = not flags
        unit = self._units[position]
        properties = {**properties_of(flags), **({"engUnit": unit} if unit else {})}
        if self._plan.bindings.command[position] and self._plan.rules.allowed:
            properties[ANSWER] = ""  # what becomes of a command is told here
        metric = Metric(
            name=self._plan.bindings.name[position],
            alias=position + _FIRST_ALIAS,
            time_ms=time_ns // 1_000_000 if time_ns > 0 else None,
            datatype=self._types[position],
            null=bool(flags & _NEVER) or math.isnan(value),
            value=_scalar(self._types[position], value),
            properties=properties,
        )
        return encode_metric(metric)

    def _payload(self, metrics: list[bytes], now_ns: int) -> bytes:
        self._seq = (self._seq + 1) % SEQUENCES
        return encode_payload(now_ns // 1_000_000, metrics, self._seq)

    # -- data ---------------------------------------------------------------------------------------------------

    def dropped(self, count: int) -> None:
        """The oldest waiting events are no more: what comes next is further on in the order."""
        self._place += count

    def messages(self, events: Events, now_ns: int) -> list[Outgoing]:
        """NDATA and DDATA, a new payload where the device changes. A device that was never born is, before its data."""
        out: list[Outgoing] = []
        run: list[bytes] = []
        devices = self._plan.bindings.device
        device = devices[int(events["binding"][0])]
        member: _Member | None = None

        def end() -> None:
            if run:
                topic = self._members[device].source.topic("DATA")
                out.append(Outgoing(topic, self._payload(run, now_ns), len(run)))
                run.clear()

        columns = (events[name].tolist() for name in ("binding", "value", "quality", "time_ns"))
        for place, (binding, value, quality, time_ns) in enumerate(zip(*columns, strict=True), self._place):
            if member is None or devices[binding] != device or len(run) >= METRICS_MOST:
                end()
                device = devices[binding]
                member = self._members[device]
                if not member.born:
                    out.append(self._birth(member, now_ns, max(self._waiting, len(events))))
            run.append(self._data_metric(binding, value, quality & _BITS, time_ns, place < member.mark))
        end()
        self._place += len(events)
        return out

    def _data_metric(self, binding: int, value: float, flags: int, time_ns: int, historical: bool) -> bytes:
        head = self._alias[binding] + number_field(3, time_ns // 1_000_000)
        if historical:
            head += _HISTORICAL
        null = bool(flags & _NEVER) or math.isnan(value)
        if null:
            head += _NULL
        if flags or not self._told_good[binding]:
            head += self._quality(flags)
            self._told_good[binding] = not flags
        if null:
            return head
        datatype = self._types[binding]
        if datatype == DataType.DOUBLE:
            return head + _PACK_DOUBLE(_DOUBLE_KEY, value)
        return head + encode_value(datatype, _scalar(datatype, value))

    def _quality(self, flags: int) -> bytes:
        data = self._properties.get(flags)
        if data is None:
            data = self._properties[flags] = octets_field(9, encode_properties(properties_of(flags)))
        return data

    # -- what comes ---------------------------------------------------------------------------------------------

    def message(self, topic: str, payload: bytes, retained: bool, repeated: bool, now_ns: int, waiting: int) -> Effects:
        """A command, or the state of the primary host. Raises `MqttError`."""
        if self._form.primary_host and topic in state_topics(self._form.primary_host):
            return self._host(payload, now_ns, waiting)
        kind, source = parse_topic(topic)
        if retained or not kind.endswith("CMD") or source.node != self._form.node:
            return Effects()
        effects = Effects()
        command = decode(payload)
        for metric in command.metrics:
            if not source.device and metric.name == REBIRTH:
                if metric.value and self.ready:
                    effects.send = self._births(now_ns, waiting)
            else:
                effects.requests.append(self._request(source, metric, command, payload, repeated, now_ns))
        return effects

    def _host(self, payload: bytes, now_ns: int, waiting: int) -> Effects:
        online, time_ms = host_online(payload)
        if time_ms < self._host_time_ms:
            return Effects()  # the will of a connection that it has left behind
        self._host_time_ms = time_ms
        if online and not self.ready:
            return Effects(send=self._births(now_ns, waiting))
        if not online and self.ready:
            return Effects(send=self.closing(now_ns), leave=Leave("the primary host is offline"))
        return Effects()

    def _request(
        self, source: Source, metric: Metric, command: Payload, payload: bytes, repeated: bool, now_ns: int
    ) -> Request:
        name = metric.name
        if not name and metric.alias is not None:
            at = metric.alias - _FIRST_ALIAS
            if 0 <= at < len(self._rows) and self._plan.bindings.device[at] == source.device:
                name = self._plan.bindings.name[at]
        binding = self._by_name.get((source.device, name), -1)
        time_ms = metric.time_ms if metric.time_ms is not None else command.time_ms
        time_ns = None if time_ms is None else time_ms * 1_000_000
        shown = name or f"alias {metric.alias}"
        key = "" if time_ns is None else hashlib.sha256(f"{source}\0{name}\0".encode() + payload).hexdigest()
        refusal, text, value = Reason.OK, "", math.nan
        number = None if metric.null else metric.typed(metric.datatype or (self._types[binding] if binding >= 0 else 0))
        if binding < 0:
            refusal, text = Reason.UNKNOWN_POINT, f"{source} has no metric {shown}"
        elif not isinstance(number, int | float):
            refusal, text = Reason.OUT_OF_RANGE, f"the value of {shown} is no number"
        else:
            value = float(number)
        old = late(time_ns, self._plan.rules, now_ns)
        if refusal is Reason.OK and old:
            refusal, text = Reason.EXPIRED, old
        if refusal is Reason.OK and repeated and not key:
            refusal, text = Reason.EXPIRED, "delivered again, without a time: whether it was carried out is not known"
        return Request(id="", binding=binding, name=shown, value=value, refusal=refusal, text=text, key=key)

    def answer(self, request: Request, outcome: Outcome, now_ns: int) -> list[Outgoing]:
        """The final word, as data of the metric: with the commanded value when it was carried out."""
        if request.binding < 0 or not outcome.stage.final or not self.ready:
            return []
        position, done = request.binding, outcome.stage == "completed"
        if done:
            self._commanded[position] = (request.value, now_ns)
        row = self._rows[position]
        value, flags = float(self._table.value[row]), int(self._table.quality[row]) & _BITS
        if done:
            value, flags = request.value, 0
        elif flags & _NEVER and position in self._commanded:
            value, flags = self._commanded[position][0], 0
        text = (
            "completed"
            if done
            else f"{outcome.stage}: {outcome.reason}" + (f", {outcome.text}" if outcome.text else "")
        )
        metric = Metric(
            alias=position + _FIRST_ALIAS,
            time_ms=now_ns // 1_000_000,
            null=bool(flags & _NEVER),
            datatype=self._types[position],
            value=_scalar(self._types[position], value),
            properties={**properties_of(flags), ANSWER: text},
        )
        self._told_good[position] = not flags
        member = self._members[self._plan.bindings.device[position]]
        if not member.born:
            return []
        return [Outgoing(member.source.topic("DATA"), self._payload([encode_metric(metric)], now_ns))]


def _scalar(datatype: int, value: float) -> Scalar:
    if datatype == DataType.BOOLEAN:
        return bool(value)
    if datatype == DataType.UINT8:
        return int(value) if 0 <= value <= 255 else 0
    return value
