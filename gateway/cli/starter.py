"""A starter site as texts: site.yaml with a comment at each key, device maps and masters' maps. Touches no file."""

from __future__ import annotations

import csv
import io
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A kind of device whose map is shipped. `prefix` and `first` of its points: of further ones, and of the first."""

    driver: str
    map: str
    first: str
    prefix: str
    port: int
    commands: tuple[str, ...] = ()
    keys: str = ""
    what: str


PROFILES: Final[dict[str, Profile]] = {
    "pcs": Profile(
        driver="modbus",
        map="pcs.csv",
        first="bess1/pcs",
        prefix="bess{}/pcs",
        port=502,
        commands=("run", "power_setpoint"),
        keys="unit: 1\n    scan_ms: 200\n    timeout_ms: 500",
        what="the power conversion system of a battery, Modbus TCP",
    ),
    "meter": Profile(
        driver="modbus",
        map="meter.csv",
        first="poi",
        prefix="poi{}",
        port=502,
        keys="unit: 1\n    scan_ms: 200\n    timeout_ms: 500",
        what="an energy meter, Modbus TCP",
    ),
    "pv_inverter": Profile(
        driver="sunspec",
        map="pv_inverter.csv",
        first="pv1",
        prefix="pv{}",
        port=502,
        commands=("power_limit",),
        keys="unit: 1\n    scan_ms: 500",
        what="a solar inverter with SunSpec models, Modbus TCP",
    ),
    "pmu": Profile(
        driver="c37118",
        map="pmu.csv",
        first="poi/pmu",
        prefix="poi{}/pmu",
        port=4712,
        keys="id: 1                            # IDCODE of its stream",
        what="a phasor measurement unit, IEEE C37.118",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that is asked for."""

    name: str
    profile: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Master:
    """A master that is let in from these addresses; `link` is its DNP3 link address."""

    name: str
    addresses: tuple[str, ...]
    link: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the site is to be. `opcua`, `hmi`: where it listens; empty: none. Same with the two `listen`: by itself."""

    site: str
    state_dir: str = "var"
    devices: tuple[Device, ...] = ()
    iec104: tuple[Master, ...] = ()
    dnp3: tuple[Master, ...] = ()
    iec104_listen: str = ""
    dnp3_listen: str = ""
    opcua: str = ""
    history: bool = True
    hmi: str = ""


@dataclass(frozen=True, slots=True)
class _Point:
    name: str
    kind: str
    ranged: bool


def files(wishes: Wishes, maps: Mapping[str, str]) -> dict[str, str]:
    """Path below the site's folder -> text. `maps`: text of each shipped device map by its file name."""
    prefixes = _prefixes(wishes.devices)
    points = [point for device in wishes.devices for point in _points(device, prefixes[device.name], maps)]
    out = {"site.yaml": "".join(_site(wishes, prefixes))}
    for device in wishes.devices:
        name = PROFILES[device.profile].map
        out[f"pointmaps/devices/{name}"] = maps[name]
    for masters, rows in ((wishes.iec104, _iec104_rows), (wishes.dnp3, _dnp3_rows)):
        for master in masters:
            out[f"pointmaps/masters/{master.name}.csv"] = "".join(rows(points))
    return out


def _prefixes(devices: tuple[Device, ...]) -> dict[str, str]:
    counts: dict[str, int] = {}
    out = {}
    for device in devices:
        profile = PROFILES[device.profile]
        number = counts[device.profile] = counts.get(device.profile, 0) + 1
        out[device.name] = profile.first if number == 1 else profile.prefix.format(number)
    return out


def _points(device: Device, prefix: str, maps: Mapping[str, str]) -> Iterator[_Point]:
    """What masters get of a device: all that is measured, and what its profile lets them command."""
    profile = PROFILES[device.profile]
    text = (line for line in io.StringIO(maps[profile.map]) if not line.startswith("#"))
    for row in csv.DictReader(text):
        if row["kind"] not in ("setpoint", "control") or row["point"] in profile.commands:
            yield _Point(f"{prefix}/{row['point']}", row["kind"], bool(row.get("low") and row.get("high")))


# -- site.yaml -----------------------------------------------------------------------------------------------------


def _site(wishes: Wishes, prefixes: Mapping[str, str]) -> Iterator[str]:
    yield _HEAD.format(site=wishes.site, state_dir=_quoted(wishes.state_dir))
    yield (
        "devices:                             # what the gateway reads and writes\n" if wishes.devices else _NO_DEVICES
    )
    for device in wishes.devices:
        profile = PROFILES[device.profile]
        yield (
            f"  - name: {device.name}  # {profile.what}\n    driver: {profile.driver}\n    url: {_quoted(device.url)}\n"
            f"    map: pointmaps/devices/{profile.map}  # its registers: compare with the maker's list\n"
            f"    prefix: {prefixes[device.name]}  # point names become {prefixes[device.name]}/<point>\n"
            f"    {profile.keys}\n"
        )
    yield from _servers(wishes)
    yield from _control(wishes, prefixes)
    yield _HISTORY if wishes.history else _NO_HISTORY
    yield _HMI.format(listen=wishes.hmi) if wishes.hmi else _NO_HMI


def _servers(wishes: Wishes) -> Iterator[str]:
    if not (wishes.iec104 or wishes.dnp3 or wishes.opcua):
        yield _NO_SERVERS
        return
    yield "\nservers:                             # whom it serves, each server in a process of its own\n"
    if wishes.iec104:
        yield _IEC104.format(listen=wishes.iec104_listen or f"{_host(wishes.iec104)}:2404")
        for master in wishes.iec104:
            yield _MASTER.format(name=master.name, addresses=_list(master.addresses), extra="")
    if wishes.dnp3:
        yield _DNP3.format(listen=wishes.dnp3_listen or f"{_host(wishes.dnp3)}:20000")
        for master in wishes.dnp3:
            link = f"        address: {master.link}                   # the master's link address\n"
            yield _MASTER.format(name=master.name, addresses=_list(master.addresses), extra=link)
    if wishes.opcua:
        yield _OPCUA.format(listen=wishes.opcua, users=_quoted(f"{wishes.state_dir.rstrip('/')}/users.yaml"))


def _control(wishes: Wishes, prefixes: Mapping[str, str]) -> Iterator[str]:
    units = [prefixes[device.name] for device in wishes.devices if device.profile == "pcs"]
    if not units:
        return
    yield _CONTROL
    for prefix in units:
        yield _UNIT.format(unit=prefix.partition("/")[0], prefix=prefix)


def _host(masters: tuple[Master, ...]) -> str:
    """The loopback address while nobody comes from elsewhere."""
    far = any(
        not ipaddress.ip_network(address, strict=False).is_loopback for each in masters for address in each.addresses
    )
    return "0.0.0.0" if far else "127.0.0.1"  # noqa: S104 - the person named masters beyond this machine


def _list(words: tuple[str, ...]) -> str:
    return f"[{', '.join(_quoted(word) for word in words)}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${") + '"'


# -- masters' maps -------------------------------------------------------------------------------------------------

_IEC104_TYPES: Final = {
    "binary": ("M_SP_TB_1", 1001, ""),
    "double": ("M_DP_TB_1", 2001, ""),
    "analog": ("M_ME_TF_1", 4001, ""),
    "counter": ("M_IT_TB_1", 5001, ""),
    "control": ("C_SC_NA_1", 6001, "direct"),
    "setpoint": ("C_SE_NC_1", 7001, "direct"),
}
"""Kind -> type identification, first information object address, way of commanding."""

_DNP3_TYPES: Final = {
    "binary": ("BI", "1", "g1v2,g2v2", ""),
    "double": ("DBI", "1", "g3v2,g4v2", ""),
    "analog": ("AI", "2", "g30v5,g32v7", ""),
    "counter": ("CTR", "3", "g20v1,g22v5", ""),
    "control": ("BO", "1", "g10v2,g11v2", "direct|select"),
    "setpoint": ("AO", "1", "g40v3,g42v7", "direct|select"),
}
"""Kind -> point type, class of its events, variations, way of commanding."""


def _iec104_rows(points: list[_Point]) -> Iterator[str]:
    yield "# What this master sees: one row per point. Addresses are agreed with the operator; change them here.\n"
    yield "# deadband_percent is of the point's range: a smaller change is not reported.\n"
    yield "point,ca,ioa,type,deadband_percent,mode\n"
    used: dict[str, int] = {}
    for kind, point in _by_kind(points, _IEC104_TYPES):
        name, first, mode = _IEC104_TYPES[kind]
        number = used[kind] = used.get(kind, 0) + 1
        deadband = "0.5" if kind == "analog" and point.ranged else ""
        yield f"{point.name},1,{first + number - 1},{name},{deadband},{mode}\n"


def _dnp3_rows(points: list[_Point]) -> Iterator[str]:
    yield "# What this master sees: one row per point. Indices are agreed with the operator; change them here.\n"
    yield "point,type,index,class,static,event,mode\n"
    used: dict[str, int] = {}
    for kind, point in _by_kind(points, _DNP3_TYPES):
        name, event_class, variations, mode = _DNP3_TYPES[kind]
        number = used[kind] = used.get(kind, 0) + 1
        yield f"{point.name},{name},{number - 1},{event_class},{variations},{mode}\n"


def _by_kind(points: list[_Point], kinds: Mapping[str, object]) -> Iterator[tuple[str, _Point]]:
    for kind in kinds:
        yield from ((kind, point) for point in points if point.kind == kind)


# -- texts ---------------------------------------------------------------------------------------------------------

_HEAD: Final = """\
# A GridGate site, begun by `gridgate init`. All keys: config/README.md of GridGate.
#   gridgate check site.yaml           says everything that is wrong, with its line, or what the site is
#   gridgate run site.yaml             serves it
#   gridgate points site.yaml --watch  shows what the devices say
# Paths are relative to this file.

site: {site}
state_dir: {state_dir}                 # journals, history, audit, users: everything that must survive

"""
_NO_DEVICES: Final = """\
devices: []                          # none yet; for example:
#  - {name: meter, driver: modbus, url: "tcp://192.168.1.51:502", map: pointmaps/devices/meter.csv, prefix: poi}
"""
_NO_SERVERS: Final = """
servers: []                          # nobody is served yet; for example:
#  - name: sldc
#    protocol: iec104
#    listen: 0.0.0.0:2404
#    masters:
#      - {name: sldc-main, addresses: [10.1.2.0/24], map: pointmaps/masters/sldc-main.csv, commands: true}
"""
_IEC104: Final = """\
  - name: iec104
    protocol: iec104
    listen: {listen}
    time_zone: Asia/Kolkata          # of the time tags; ask the operator
    masters:
"""
_DNP3: Final = """\
  - name: dnp3
    protocol: dnp3
    listen: {listen}
    outstation: 10                   # our link address
    masters:
"""
_MASTER: Final = """\
      - name: {name}
{extra}        addresses: {addresses}  # a peer at any other address is refused
        map: pointmaps/masters/{name}.csv
        commands: true               # false: it may only look
"""
_OPCUA: Final = """\
  - name: opcua
    protocol: opcua
    listen: opc.tcp://{listen}
    users: {users}  # people who may log in: gridgate user add site.yaml NAME --role viewer
"""
_CONTROL: Final = """
control:                             # what the gateway does by itself, with or without the outside
  units:
"""
_UNIT: Final = """\
    - unit: {unit}
      setpoint: {prefix}/power_setpoint
      heartbeat: {prefix}/heartbeat  # counts while the control cycle runs: without it the PCS runs down to 0 by itself
      ramp_kw_per_s: 500             # how fast the set-point may move
      soc: {prefix}/soc
      soc_limits: [10, 95]           # no discharge at or below, no charge at or above
"""
_HISTORY: Final = """
history:                             # every change, in files below state_dir: gridgate export, gridgate archive
  store: {retention_days: 30}
"""
_NO_HISTORY: Final = """
# history:                           # nothing is recorded; this would record every change for 30 days
#   store: {retention_days: 30}
"""
_HMI: Final = """
hmi:                                 # the page for technicians; its first user: gridgate user add site.yaml admin
  listen: {listen}                   # beyond the loopback address it makes itself a certificate (TLS)
"""
_NO_HMI: Final = """
# hmi:                               # the page for technicians is not served
#   listen: 127.0.0.1:8080
"""
