"""The site of a soak: ten devices, masters of every kind, history, alarms and page; and the plan that goes with it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Final

from gateway.users.roles import Role
from gateway.users.store import User, hash_password, write_users
from tests.kit.mqttkit import MOSQUITTO
from tests.kit.opcuaapp import App
from tests.kit.ports import free_port, free_ports
from tests.soak.plan import ALARMED, CLIENT, EXCURSION, HIGHEST, NODE_PEER, SETPOINTS, Peer, SoakPlan

DEVICES: Final = 10
FEW: Final = 2_000
"""Points of an OPC UA client and of the MQTT subscriber; the second client has the next ones."""
IN_SIGHT: Final = 200
"""Points of an HMI socket."""
MAX_AGE_S: Final = 5.0
OVERFLOW_IOA: Final = 400_001
"""Where a 104 master is told that events of its were lost."""
NODE: Final = shutil.which("node") is not None and (NODE_PEER / "node_modules" / "node-opcua-client").is_dir()
SERVERS: Final = ("iec104", "dnp3", "opcua", "hmi")

_SITE: Final = """\
site: soak
state_dir: {state}
devices:
{devices}
servers:
  - name: sldc
    protocol: iec104
    listen: 127.0.0.1:{iec104}
    masters:
{masters104}
  - name: rldc
    protocol: dnp3
    listen: 127.0.0.1:{dnp3}
    outstation: {outstation}
    masters:
{mastersdnp3}
  - {{name: ua, protocol: opcua, listen: "opc.tcp://127.0.0.1:{opcua}", allow_none: true, anonymous: true,
     users: users.yaml, pki: {{folder: {pki}}}}}
{mqtt}hmi: {{listen: "127.0.0.1:{hmi}", users: users.yaml}}
history:
  store: {{retention_days: 30}}
{influx}"""
_DEVICE: Final = (
    '  - {{name: dev{n}, driver: modbus, url: "tcp://127.0.0.1:{port}", map: device.csv, prefix: dev{n}, {scan}}}'
)
_MQTT: Final = """\
  - name: cloud
    protocol: mqtt
    url: "mqtt://127.0.0.1:{port}"
    masters:
      - {{name: main, map: mqtt.csv, topic: "soak/{{point}}", payload: point, status_topic: "", command_topic: ""}}
"""
_INFLUX: Final = '  influxdb: {{url: "http://127.0.0.1:{port}", version: 1, database: {database}}}\n'


def plan(folder: Path, seed: int, seconds: float, points: int, changes_per_s: float, commands_per_s: float) -> SoakPlan:
    """Who takes part, with ports that nobody else has."""
    broker, influx = bool(MOSQUITTO), shutil.which("influxd") is not None
    half = min(FEW, points // 2)
    peers = [
        *(Peer(f"sldc{n}", "iec104", free_port(), f"127.0.1.{n}", 0, points, n) for n in (1, 2, 3)),
        Peer("rldc1", "dnp3", free_port(), "127.0.1.4", 0, points, 4, master=1, unsolicited=True),
        Peer("rldc2", "dnp3", free_port(), "127.0.1.5", 0, points, 5, master=2),
        Peer("ua1", "opcua", free_port(), "127.0.1.6", 0, half, 6),
        Peer("ua2", "opcua", free_port(), "127.0.1.7", half, half, library="nodeopcua" if NODE else ""),
        Peer("page", "hmi", free_port(), "127.0.1.8", 0, min(3 * IN_SIGHT, points), 7),
    ]
    if broker:
        peers.append(Peer("cloud", "mqtt", 0, first=0, count=half))
    if influx:
        peers.append(Peer("influx", "influx", 0, first=0, count=points))
    return SoakPlan(
        seed=seed,
        folder=str(folder),
        seconds=seconds,
        points=points,
        devices=DEVICES,
        changes_per_s=changes_per_s,
        commands_per_s=commands_per_s,
        scan_ms=1000,
        peers=peers,
        field_ports=free_ports(DEVICES),
        field_relays=free_ports(DEVICES),
        listen=dict(zip(SERVERS, free_ports(len(SERVERS)), strict=True)),
        broker_relay=free_port() if broker else 0,
        influx_relay=free_port() if influx else 0,
    )


def write(plan: SoakPlan) -> Path:
    """The site's files in the plan's folder; returns ``site.yaml``."""
    folder = Path(plan.folder)
    devices = "\n".join(
        _DEVICE.format(n=number, port=port, scan=f"scan_ms: {plan.scan_ms}")
        for number, port in enumerate(plan.field_relays)
    )
    text = _SITE.format(
        state=json.dumps(str(folder / "state")),
        devices=devices,
        masters104="\n".join(_master(peer) for peer in plan.peers if peer.protocol == "iec104"),
        mastersdnp3="\n".join(_master(peer) for peer in plan.peers if peer.protocol == "dnp3"),
        mqtt=_MQTT.format(port=plan.broker_relay) if plan.broker_relay else "",
        influx=_INFLUX.format(port=plan.influx_relay, database=plan.database) if plan.influx_relay else "",
        outstation=plan.outstation,
        pki=json.dumps(str(plan.pki)),
        **plan.listen,
    )
    (folder / "site.yaml").write_text(text)
    _device_map(folder / "device.csv", plan)
    for peer in plan.peers:
        if peer.protocol in _MAPS:
            heading, rows = _MAPS[peer.protocol](plan, peer)
            _table(folder / f"{peer.name if peer.protocol != 'mqtt' else 'mqtt'}.csv", heading, rows)
    person = User(name=plan.user, roles=frozenset({Role.ADMINISTRATOR.value}), password=hash_password(plan.password))
    write_users(folder / "users.yaml", {plan.user: person})
    client = App(plan.pki / "clients", CLIENT)
    (plan.pki / "trusted").mkdir(parents=True, exist_ok=True)
    shutil.copy(client.der, plan.pki / "trusted")
    plan.save()
    return folder / "site.yaml"


def _master(peer: Peer) -> str:
    more = f", address: {peer.master}" if peer.protocol == "dnp3" else ""
    more += ", unsolicited: {classes: [1, 2]}" if peer.unsolicited else ""
    more += ", commands: true" if peer.commander else ""
    return f"      - {{name: {peer.name}, addresses: [{peer.address}], map: {peer.name}.csv{more}}}"


def _device_map(path: Path, plan: SoakPlan) -> None:
    heading = ["point", "kind", "table", "address", "type", "low", "high", "alarm_h", "max_age_s"]
    analogs = plan.analogs
    rows: list[list[object]] = [
        [f"p{n}", "analog", "input", n, "uint16", "", "", EXCURSION if n >= analogs - ALARMED else "", MAX_AGE_S]
        for n in range(analogs)
    ]
    rows += [[f"b{n}", "binary", "discrete", n, "bit", "", "", "", MAX_AGE_S] for n in range(plan.per_device - analogs)]
    rows += [[f"s{n}", "setpoint", "holding", 2 * n, "uint32", 0, HIGHEST, "", ""] for n in range(SETPOINTS)]
    _table(path, heading, rows)


def _map104(plan: SoakPlan, peer: Peer) -> tuple[list[str], list[list[object]]]:
    rows: list[list[object]] = [
        [plan.name(point), 1, plan.ioa(point), "M_SP_TB_1" if plan.binary(point) else "M_ME_TF_1", ""]
        for point in range(peer.first, peer.first + peer.count)
    ]
    rows.append([f"system/master/sldc/{peer.name}/overflow", 1, OVERFLOW_IOA, "M_SP_TB_1", ""])
    rows += [[plan.setpoint_name(s), 1, plan.setpoint_ioa(s), "C_SE_NC_1", _mode(s)] for s in plan.allowed(peer)]
    return ["point", "ca", "ioa", "type", "mode"], rows


def _mapdnp3(plan: SoakPlan, peer: Peer) -> tuple[list[str], list[list[object]]]:
    forms = {False: ["g30v5", "g32v7", ""], True: ["g1v2", "g2v2", ""]}
    rows: list[list[object]] = []
    for point in range(peer.first, peer.first + peer.count):
        binary = plan.binary(point)
        kind, event_class = ("BI", 1) if binary else ("AI", 2)
        rows.append([plan.name(point), kind, plan.dnp3_index(point), event_class, *forms[binary]])
    rows += [[plan.setpoint_name(s), "AO", s, 0, "", "", _mode(s)] for s in plan.allowed(peer)]
    return ["point", "type", "index", "class", "static", "event", "mode"], rows


def _mapmqtt(plan: SoakPlan, peer: Peer) -> tuple[list[str], list[list[object]]]:
    return ["point"], [[plan.name(point)] for point in range(peer.first, peer.first + peer.count)]


_MAPS: Final = {"iec104": _map104, "dnp3": _mapdnp3, "mqtt": _mapmqtt}


def _mode(setpoint: int) -> str:
    return "select" if SoakPlan.selected(setpoint) else "direct"


def _table(path: Path, heading: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])
