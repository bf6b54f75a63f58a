"""Who takes part in a soak, where they meet, and which address each point has for whom. JSON both ways.

A point's index says everything: of the `per_device` points of a device the first nine tenths are analog (input
registers `p0`, `p1`, ...), the rest is binary (`b0`, `b1`, ...). The last `ALARMED` analog points of a device make
excursions beyond their alarm limit. Set-points are 32 bit numbers, `SETPOINTS` to a device.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

ALARMED: Final = 2
"""Of a device: their value is a count too, with `EXCURSION` added while they are beyond the limit."""
EXCURSION: Final = 30_000
SETPOINTS: Final = 4
SHARED: Final = 8
"""The last set-points may be commanded by every commander."""
SETPOINT_IOA: Final = 500_001
HIGHEST: Final = 16_000_000
"""The end of every set-point's range, which begins at 0: a negative value is beyond it."""
VALUES: Final = 1_000_000
"""A commander's values are its number times this, plus 1, 2, 3, ..."""
CLIENT: Final = "scada"
"""The OPC UA application that commands, and so its certificate's files."""
NODE_PEER: Final = Path(__file__).parents[1] / "peers" / "nodeopcua"
NAMESPACE: Final = "urn:gridgate:soak:points"
"""Of the OPC UA node ids, which are strings: the points' names."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A receiver: where it connects, what it may see and command."""

    name: str
    protocol: str
    """`iec104`, `dnp3`, `opcua`, `mqtt`, `influx`, `hmi`."""
    port: int
    """Where it connects on 127.0.0.1: its relay, which comes to the gateway from `address`."""
    address: str = "127.0.0.1"
    first: int = 0
    count: int = 0
    """It has the points from `first` on, so many of them."""
    commander: int = 0
    """0: commands nothing; else its number, see `SoakPlan.value`."""
    master: int = 0
    """Of DNP3: its link address."""
    unsolicited: bool = False
    """Of DNP3: whether the outstation tells it by itself; else it polls."""
    library: str = ""
    """Of OPC UA: `nodeopcua` for node-opcua, else asyncua."""


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """All of a run."""

    seed: int
    folder: str
    seconds: float
    points: int
    devices: int
    changes_per_s: float
    commands_per_s: float
    """Of all commanders together."""
    scan_ms: int
    peers: list[Peer]
    field_ports: list[int]
    """Of the devices."""
    field_relays: list[int]
    """Where the gateway meets them."""
    listen: dict[str, int]
    """Where the gateway listens: `iec104`, `dnp3`, `opcua`, `hmi`."""
    broker_port: int = 0
    """mosquitto itself; the gateway comes through `broker_relay`, the subscriber does not."""
    broker_relay: int = 0
    influx_port: int = 0
    """influxd itself, read at the end; the gateway comes through `influx_relay`."""
    influx_relay: int = 0
    database: str = "plant"
    outstation: int = 10
    user: str = "soak"
    """Of the HMI."""
    password: str = "Ledger-and-Soak-42"

    def save(self) -> Path:
        """As a file in the folder; returns where."""
        path = Path(self.folder) / "plan.json"
        path.write_text(json.dumps(asdict(self), indent=1))
        return path

    @classmethod
    def load(cls, path: str | Path) -> SoakPlan:
        told: dict[str, Any] = json.loads(Path(path).read_text())
        return cls(**(told | {"peers": [Peer(**peer) for peer in told["peers"]]}))

    @property
    def ledgers(self) -> Path:
        """Where everybody writes: `NAME.bin`, `NAME.commands.jsonl`; the plant's is `plant.bin`."""
        return Path(self.folder) / "ledgers"

    @property
    def pki(self) -> Path:
        """Of the OPC UA server; the certificate and key of the client that commands lie below `clients`."""
        return Path(self.folder) / "pki"

    def peer(self, name: str) -> Peer:
        """By its name."""
        return next(peer for peer in self.peers if peer.name == name)

    @property
    def per_device(self) -> int:
        return self.points // self.devices

    @property
    def analogs(self) -> int:
        """Analog points of a device."""
        return self.per_device * 9 // 10

    def place(self, point: int) -> tuple[int, int, bool]:
        """Device, number among its analog or its binary points, whether it is binary."""
        device, number = divmod(point, self.per_device)
        return (device, number - self.analogs, True) if number >= self.analogs else (device, number, False)

    def binary(self, point: int) -> bool:
        return self.place(point)[2]

    def alarmed(self, point: int) -> bool:
        """Whether it makes excursions beyond its alarm limit."""
        _, number, binary = self.place(point)
        return not binary and number >= self.analogs - ALARMED

    def name(self, point: int) -> str:
        """As the gateway, OPC UA (node id, namespace `NAMESPACE`), MQTT and the HMI know it."""
        device, number, binary = self.place(point)
        return f"dev{device}/{'b' if binary else 'p'}{number}"

    def names(self) -> list[str]:
        """Of all points, in order."""
        return [self.name(point) for point in range(self.points)]

    @staticmethod
    def ioa(point: int) -> int:
        """Of IEC 104, common address 1: M_ME_TF_1, binaries M_SP_TB_1."""
        return 1 + point

    def dnp3_index(self, point: int) -> int:
        """Among AI (g30v5, events g32v7, class 2) or, of a binary, BI (g1v2, events g2v2, class 1)."""
        device, number, binary = self.place(point)
        return device * (self.per_device - self.analogs if binary else self.analogs) + number

    def topic(self, point: int) -> str:
        """Of MQTT; the payload is the gateway's JSON for one point."""
        return f"soak/{self.name(point)}"

    @property
    def setpoints(self) -> int:
        return self.devices * SETPOINTS

    @staticmethod
    def setpoint_name(setpoint: int) -> str:
        return f"dev{setpoint // SETPOINTS}/s{setpoint % SETPOINTS}"

    @staticmethod
    def setpoint_ioa(setpoint: int) -> int:
        """C_SE_NC_1. DNP3: AO with the set-point's number as index."""
        return SETPOINT_IOA + setpoint

    @staticmethod
    def selected(setpoint: int) -> bool:
        """Whether it needs a select before execute / operate; the others are direct."""
        return setpoint % SETPOINTS == SETPOINTS - 1

    def allowed(self, peer: Peer) -> list[int]:
        """Set-points that it may command: its own and the shared ones; all others are not in its map."""
        commanders = max(1, sum(each.commander > 0 for each in self.peers))
        own = [s for s in range(self.setpoints - SHARED) if s % commanders == (peer.commander - 1) % commanders]
        return own + list(range(self.setpoints - SHARED, self.setpoints))

    @staticmethod
    def value(peer: Peer, number: int) -> int:
        """The value of its `number`-th command (from 1 on), the only such in the run. Negative it is out of range."""
        return peer.commander * VALUES + number
