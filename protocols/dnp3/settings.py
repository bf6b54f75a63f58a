"""How servers with `protocol: dnp3` are read and checked. Imported only while a site is checked."""

from __future__ import annotations

import ipaddress
from itertools import combinations
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from pydantic import AfterValidator, Field

from gateway.contracts import MasterSystemRows
from gateway.contracts.endpoints import endpoint
from gateway.contracts.places import Place, Report
from gateway.contracts.settings import (
    Cell,
    MasterRow,
    MasterSource,
    PeerAddress,
    ServerSettings,
    ServerSource,
    Strict,
)
from gateway.points import PointCatalogue, Rows
from gateway.tls.settings import TlsMasterSettings, TlsSettings, tls_plan
from protocols.dnp3.compile import compile_rows
from protocols.dnp3.plan import (
    MasterPlan,
    Parameters,
    SerialPlan,
    ServerPlan,
    UnsolicitedPlan,
)

MAX_ADDRESS: Final = 65_519
"""0xFFF0 and above are reserved (IEEE 1815-2012 9.2.4.1.4)."""

_Seconds = Annotated[float, Field(gt=0, le=3_600)]
_LinkAddress = Annotated[int, Field(ge=0, le=MAX_ADDRESS)]
_Capacity = Annotated[int, Field(ge=1, le=10_000_000)]
_Text = Annotated[str, Field(max_length=200, pattern=r"^[\x20-\x7E]*$")]


def _classes(value: list[int]) -> list[int]:
    wrong = [number for number in value if number not in (1, 2, 3)]
    if wrong:
        raise ValueError(f"class {wrong[0]} sends no events: 1, 2 or 3 expected")
    return value


class TimeSettings(Strict):
    """Whether the master is asked to write the time (IIN1.4)."""

    need: bool = False
    every_s: Annotated[float, Field(gt=0)] = 86_400


class DeviceTexts(Strict):
    """Who we are, as g0 tells it."""

    manufacturer: _Text = "GridGate"
    product: _Text = "GridGate"
    software: _Text = ""
    hardware: _Text = ""
    serial: _Text = ""
    name: _Text = ""
    location: _Text = ""
    id: _Text = ""


class Dnp3ServerSettings(ServerSettings):
    """Keys of a server."""

    listen: str = ""
    udp: str = ""
    serial: str = ""
    outstation: _LinkAddress
    tls: TlsSettings | None = None
    connections: Annotated[int, Field(ge=1, le=1_000)] = 16
    fragment_size: Annotated[int, Field(ge=249, le=65_535)] = 2048
    receive_fragment_size: Annotated[int, Field(ge=249, le=65_535)] = 2048
    confirm_timeout_s: _Seconds = 5
    select_timeout_s: _Seconds = 10
    command_wait_s: _Seconds = 3
    max_controls: Annotated[int, Field(ge=1, le=1_000)] = 16
    keep_alive_s: Annotated[float, Field(ge=0, le=86_400)] = 60
    self_address: bool = False
    time_sync: TimeSettings = TimeSettings()
    restart: Literal["refuse", "session"] = "refuse"
    restart_delay_ms: Annotated[int, Field(ge=0, le=65_535)] = 0
    freeze_and_clear: Literal["offset", "refuse"] = "offset"
    device: DeviceTexts = DeviceTexts()
    octet_strings: list[_Text] = Field(default_factory=list, max_length=256)

    def where(self) -> str:
        """Every place where it meets masters; what it dials stands with each."""
        places = (self.listen, f"udp {self.udp}" if self.udp else "", self.serial)
        return ", ".join(place for place in places if place)


class EventSettings(Strict):
    """The master's event buffers, one per class."""

    capacity: _Capacity = 150_000
    class_1: _Capacity | None = None
    class_2: _Capacity | None = None
    class_3: _Capacity | None = None


class UnsolicitedSettings(Strict):
    """Unsolicited responses."""

    classes: Annotated[list[int], AfterValidator(_classes)] = Field(default_factory=lambda: [1, 2, 3])
    at_start: bool = False
    retries: Annotated[int, Field(ge=0, le=1_000)] = 3
    retry_pause_s: _Seconds = 10
    retry_pause_max_s: _Seconds = 300
    hold_off_events: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    hold_off_s: Annotated[float, Field(ge=0, le=3_600)] = 0


class Dnp3MasterSettings(TlsMasterSettings):
    """Keys of a master."""

    address: _LinkAddress
    addresses: list[PeerAddress] = Field(default_factory=list)
    outstation: _LinkAddress | None = None
    dial: str = ""
    dial_retry_s: _Seconds = 5
    events: EventSettings = EventSettings()
    unsolicited: UnsolicitedSettings | None = None


class Dnp3Row(MasterRow):
    """Columns of a master map."""

    type: str
    index: int
    event_class: Annotated[int | None, Cell] = Field(default=None, alias="class")
    class0: Annotated[bool | None, Cell] = None
    static: Annotated[str | None, Cell] = None
    event: Annotated[str | None, Cell] = None
    deadband: Annotated[float | None, Cell] = None
    deadband_percent: Annotated[float | None, Cell] = None
    events: Annotated[str | None, Cell] = None
    scale: Annotated[float | None, Cell] = None
    offset: Annotated[float | None, Cell] = None
    mode: Annotated[str | None, Cell] = None
    control: Annotated[str | None, Cell] = None
    command_event: Annotated[str | None, Cell] = None

    def where(self) -> str:
        """Type and index."""
        return f"{self.type} {self.index}"


class Dnp3Settings:
    """`gateway.contracts.GridSettings` of DNP3."""

    server_model: type[Any] = Dnp3ServerSettings
    master_model: type[Any] = Dnp3MasterSettings
    row_model: type[Any] = Dnp3Row

    def compile(self, server: ServerSource, catalogue: PointCatalogue, report: Report) -> ServerPlan:
        """Check one server; problems go to `report`, and the plan is only good when no error was added."""
        settings: Dnp3ServerSettings = server.settings
        listen, serial = _listen(server, "listen", report), _serial(server, report)
        udp = _listen(server, "udp", report)
        met = settings.listen or settings.udp or settings.serial
        if not met and not any(m.settings.dial for m in server.masters):
            report.error(server.place, "nowhere to meet a master: listen, udp or serial, or dial of a master, expected")
        if settings.udp and settings.tls is not None:
            report.error(server.key("udp"), "udp beside tls: datagrams are not encrypted; another server expected")
        _check_unique(server, report)
        _check_pinned(server, report)
        masters = [_master(source, server, catalogue, report) for source in server.masters]
        return ServerPlan(
            name=settings.name,
            masters=masters,
            listen=listen,
            udp=udp,
            serial=serial,
            tls=tls_plan(server, report),
            connections=settings.connections,
            system={master.name: MasterSystemRows.of(settings.name, master.name, catalogue) for master in masters},
            commands={master.name: _commandable(master) for master in masters},
        )


SETTINGS: Final = Dnp3Settings()


def _master(source: MasterSource, server: ServerSource, catalogue: PointCatalogue, report: Report) -> MasterPlan:
    settings: Dnp3MasterSettings = source.settings
    if not source.rows:
        report.warning(source.key("map"), f"the map of master {settings.name} has no point: it will see nothing")
    _check_reachable(source, server.settings, report)
    return MasterPlan(
        name=settings.name,
        address=settings.address,
        outstation=_outstation(source, server),
        addresses=tuple(settings.addresses),
        bindings=compile_rows(source.rows, catalogue, report),
        local_remote=server.local_remote,
        devices=_devices(source, catalogue),
        dial=_endpoint(settings.dial, "dial", source.key("dial"), report) if settings.dial else None,
        dial_retry_s=settings.dial_retry_s,
        serial=bool(server.settings.serial),
        commands=settings.commands,
        capacity=_capacity(settings.events),
        unsolicited=_unsolicited(settings.unsolicited),
        parameters=_parameters(server.settings),
    )


def _outstation(source: MasterSource, server: ServerSource) -> int:
    own = source.settings.outstation
    return int(server.settings.outstation if own is None else own)


def _capacity(events: EventSettings) -> tuple[int, int, int]:
    one, two, three = (size or events.capacity for size in (events.class_1, events.class_2, events.class_3))
    return one, two, three


def _unsolicited(settings: UnsolicitedSettings | None) -> UnsolicitedPlan | None:
    if settings is None:
        return None
    keys = settings.model_dump()
    return UnsolicitedPlan(**{**keys, "classes": tuple(sorted(set(keys["classes"])))})


# Variations of g0, IEEE 1815-2012 A.1.
_ATTRIBUTES: Final = {
    "software": 242,
    "hardware": 243,
    "location": 245,
    "id": 246,
    "name": 247,
    "serial": 248,
    "product": 250,
    "manufacturer": 252,
}


def _parameters(settings: Dnp3ServerSettings) -> Parameters:
    texts = settings.device.model_dump()
    return Parameters(
        fragment_size=settings.fragment_size,
        receive_size=settings.receive_fragment_size,
        confirm_timeout_s=settings.confirm_timeout_s,
        select_timeout_s=settings.select_timeout_s,
        command_wait_s=settings.command_wait_s,
        max_controls=settings.max_controls,
        keep_alive_s=settings.keep_alive_s,
        self_address=settings.self_address,
        need_time_s=settings.time_sync.every_s if settings.time_sync.need else None,
        restart=settings.restart == "session",
        restart_delay_ms=settings.restart_delay_ms,
        clear_counters=settings.freeze_and_clear == "offset",
        attributes=tuple((number, texts[name]) for name, number in _ATTRIBUTES.items() if texts[name]),
        octet_strings=tuple(settings.octet_strings),
    )


def _devices(source: MasterSource, catalogue: PointCatalogue) -> Rows:
    """Rows that say of each device behind this master's points whether it answers."""
    rows = [row.row for row in source.rows]
    numbers: list[int] = np.unique(catalogue.device[rows]).tolist() if rows else []
    names = [f"system/device/{catalogue.devices[number]}/online" for number in numbers if number >= 0]
    return np.array([catalogue.rows[name] for name in names if name in catalogue.rows], np.uint32)


def _commandable(master: MasterPlan) -> Rows:
    if not master.commands:
        return np.empty(0, np.uint32)
    return np.unique(master.bindings.row[master.bindings.mode != 0])


def _endpoint(text: str, key: str, place: Place, report: Report) -> tuple[str, int] | None:
    found = endpoint(text)
    if found is None:
        report.error(place, f"{key} is {text!r}: an address and a port expected, such as 127.0.0.1:20000 or [::]:20000")
    return found


def _listen(server: ServerSource, key: str, report: Report) -> tuple[str, int] | None:
    text: str = getattr(server.settings, key)
    return _endpoint(text, key, server.key(key), report) if text else None


_SERIAL_KEYS: Final[dict[str, dict[str, Any]]] = {
    "bytesize": {"7": 7, "8": 8},
    "parity": {"N": "N", "E": "E", "O": "O"},
    "stopbits": {"1": 1, "2": 2},
}


def _serial(server: ServerSource, report: Report) -> SerialPlan | None:
    """``/dev/ttyS0?baudrate=9600&parity=N``, with ``serial://`` before it if one likes."""
    text = server.settings.serial
    if not text:
        return None
    url = urlsplit(text)
    keys: dict[str, Any] = {}
    if not url.path.startswith("/") or url.scheme not in ("", "serial") or url.netloc:
        report.error(server.key("serial"), f"serial is {text!r}: a device expected, /dev/ttyS0?baudrate=9600&parity=N")
    for key, value in parse_qsl(url.query, keep_blank_values=True):
        known = _SERIAL_KEYS.get(key)
        if key == "baudrate" and value.isdecimal() and 50 <= int(value) <= 4_000_000:
            keys[key] = int(value)
        elif known is not None and value in known:
            keys[key] = known[value]
        else:
            report.error(server.key("serial"), f"serial: {key}={value} is none of {_serial_words()}")
    return SerialPlan(path=url.path, **keys)


def _serial_words() -> str:
    return ", ".join(["baudrate=9600", *(f"{key}={'|'.join(values)}" for key, values in _SERIAL_KEYS.items())])


def _check_reachable(source: MasterSource, server: Dnp3ServerSettings, report: Report) -> None:
    settings: Dnp3MasterSettings = source.settings
    if not settings.addresses and not settings.dial and not server.serial:
        report.error(
            source.key("addresses"),
            f"master {settings.name} cannot be reached: addresses (it connects to us) or dial (we connect) expected",
        )
    if settings.addresses and not server.listen and not server.udp and not settings.dial:
        report.warning(source.key("addresses"), f"addresses of master {settings.name}: the server does not listen")


def _check_unique(server: ServerSource, report: Report) -> None:
    """Masters are told apart by their own link address, ours, and where they call from."""
    for one, other in combinations(server.masters, 2):
        if one.settings.address != other.settings.address or _outstation(one, server) != _outstation(other, server):
            continue
        if server.settings.serial or _overlap(one.settings.addresses, other.settings.addresses):
            report.error(
                other.key("address"),
                f"masters {one.settings.name} and {other.settings.name} both have link address"
                f" {other.settings.address}, outstation {_outstation(other, server)} and the same place to call from",
            )


def _check_pinned(server: ServerSource, report: Report) -> None:
    """The handshake comes before the link address: it demands a pinned certificate of all at one place, or of none."""
    for one, other in combinations(server.masters, 2):
        first, second = one.settings, other.settings
        shared = _overlap(first.addresses, second.addresses) or (first.dial and first.dial == second.dial)
        if shared and bool(first.tls_certificates) != bool(second.tls_certificates):
            report.error(
                other.key("tls_certificates"),
                f"masters {first.name} and {second.name} call from the same place:"
                " tls_certificates of both, or of neither, expected",
            )


def _overlap(ones: list[str], others: list[str]) -> bool:
    for first in map(_network, ones):
        for second in map(_network, others):
            if first.version == second.version and first.overlaps(second):
                return True
    return False


def _network(text: str) -> Any:
    return ipaddress.ip_network(text, strict=False)
