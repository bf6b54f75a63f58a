"""Messages of a broker connection in words, for `gridgate trace`. Pure; never raises for what a peer sent.

vpp/telemetry/site {"node":"site",...}
spBv1.0/plants/NDATA/site seq 7: poi/frequency 49.98; poi/power 180.2 (quality 500)
"""

from __future__ import annotations

from typing import Final

from gateway.contracts import DescribedFrame
from gateway.points import PointCatalogue
from protocols.mqtt.errors import MqttError
from protocols.mqtt.gridplan import MasterPlan, ServerPlan
from protocols.mqtt.quality import GOOD
from protocols.mqtt.sparkplug import ANSWER, QUALITY, Metric, decode
from protocols.mqtt.sparkplugtopic import NAMESPACE, parse_topic

SHOWN: Final = 8
"""Metrics of a payload, unless everything is asked for."""
TEXT_SHOWN: Final = 300
_LARGEST: Final = 1 << 24


class Describer:
    """Implements `gateway.contracts.FrameDescriber`."""

    def __init__(self, plan: ServerPlan, catalogue: PointCatalogue, master: str, full: bool = False) -> None:
        self._full = full
        self._rest = {False: b"", True: b""}
        self._plan: MasterPlan | None = next((each for each in plan.masters if each.name == master), None)

    def feed(self, outgoing: bool, data: bytes) -> list[DescribedFrame]:
        """Complete PUBLISH packets in these octets and what was left of earlier ones."""
        rest = self._rest[outgoing] + data
        out = []
        while (size := _size(rest)) and len(rest) >= size:
            out.append(DescribedFrame(rest[:size], self._words(rest[:size])))
            rest = rest[size:]
        self._rest[outgoing] = rest if len(rest) <= _LARGEST else b""
        return out

    def why(self, outgoing: bool, data: bytes) -> list[str]:
        """See `FrameDescriber`."""
        if not outgoing:
            return ["A message of a topic to which this connection has subscribed: a command, or a host's state."]
        topic = data.decode("utf-8", "replace")
        if "BIRTH" in topic:
            return ["A birth: all metrics as they stand, after a connection or on a host's request."]
        return ["Points of this message changed beyond their deadbands, or their period was due."]

    def _words(self, frame: bytes) -> str:
        start = next((at for at in range(1, min(len(frame), 6)) if frame[at] < 0x80), 1) + 1
        length = int.from_bytes(frame[start : start + 2], "big")
        topic = frame[start + 2 : start + 2 + length].decode("utf-8", "replace")
        payload = frame[start + 2 + length :]
        kept = " (retained)" if frame[0] & 1 else ""
        return f"{topic}{kept} {self._payload(topic, payload)}"

    def _payload(self, topic: str, payload: bytes) -> str:
        if topic.startswith(f"{NAMESPACE}/"):
            try:
                parse_topic(topic)
                return self._sparkplug(payload)
            except MqttError as error:
                if not topic.startswith(f"{NAMESPACE}/STATE/"):
                    return f"no Sparkplug: {error}"
        text = payload.decode("utf-8", "replace")
        text = "".join(sign if sign.isprintable() else "?" for sign in text)
        return text if self._full or len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}... {len(payload)} octets"

    def _sparkplug(self, data: bytes) -> str:
        payload = decode(data)
        most = len(payload.metrics) if self._full else SHOWN
        parts = [self._metric(metric) for metric in payload.metrics[:most]]
        if len(payload.metrics) > most:
            parts.append(f"and {len(payload.metrics) - most} more")
        seq = "" if payload.seq is None else f"seq {payload.seq}: "
        return seq + "; ".join(parts)

    def _metric(self, metric: Metric) -> str:
        name = metric.name or self._by_alias(metric.alias)
        value = "null" if metric.null else str(metric.typed(metric.datatype))
        notes = [f"quality {code}"] if (code := metric.properties.get(QUALITY, GOOD)) != GOOD else []
        notes += ["historical"] if metric.historical else []
        notes += [str(answer)] if (answer := metric.properties.get(ANSWER)) else []
        return f"{name} {value}" + (f" ({', '.join(notes)})" if notes else "")

    def _by_alias(self, alias: int | None) -> str:
        names = [] if self._plan is None else self._plan.bindings.name
        return names[alias - 1] if alias is not None and 0 < alias <= len(names) else f"alias {alias}"


def _size(data: bytes) -> int:
    """Octets of the packet that begins here; 0 when that is not known yet."""
    size = shift = 0
    for at in range(1, min(len(data), 5)):
        size |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            return at + 1 + size
    return 0 if len(data) < 5 else 5
