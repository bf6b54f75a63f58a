"""Keys of a server with ``protocol: opcua``, and the columns of its map."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import BeforeValidator, Field

from gateway.contracts.places import Report
from gateway.contracts.settings import MasterRow, MasterSettings, ServerSettings, ServerSource, Strict
from gateway.points import Kind, PointCatalogue, Rows
from gateway.users.roles import Role
from protocols.opcua.plan import LimitPlan, PkiPlan, ServerPlan

MODES: Final = {"Sign": 2, "SignAndEncrypt": 3}
PolicyName = Literal["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
_EXPECTED: Final = "opc.tcp://host:port/path expected, such as opc.tcp://127.0.0.1:4840"


class TrustSettings(Strict):
    """`pki:`: certificates of both sides. Relative paths are relative to the site file."""

    folder: str = ""
    certificate: str = ""
    key: str = ""
    passphrase: str = ""
    require_crl: bool = True
    expiry_warning_days: int = Field(default=30, ge=1, le=365)


class LimitSettings(Strict):
    """`limits:`: caps on what a client may take. Sizes in octets."""

    connections: int = Field(default=100, ge=1, le=10_000)
    connections_per_address: int = Field(default=20, ge=1, le=10_000)
    sessions: int = Field(default=100, ge=1, le=10_000)
    sessions_per_user: int = Field(default=20, ge=1, le=10_000)
    requests_per_session: int = Field(default=50, ge=1, le=10_000)
    message_size: int = Field(default=4 << 20, ge=65_536, le=1 << 28)
    chunks: int = Field(default=256, ge=1, le=65_536)
    array_length: int = Field(default=100_000, ge=100, le=10_000_000)
    hello_timeout_s: float = Field(default=5.0, gt=0, le=600)
    open_timeout_s: float = Field(default=10.0, gt=0, le=600)
    session_timeout_s: float = Field(default=30.0, gt=0, le=600)
    max_session_idle_s: float = Field(default=3600.0, ge=10, le=86_400)
    max_token_lifetime_s: float = Field(default=3600.0, ge=1, le=86_400)


def _no_masters(value: object) -> object:
    if value:
        raise ValueError("an OPC UA server has none: rights go with the role of the user who logs in (key users)")
    return value


class OpcUaServerSettings(ServerSettings):
    """One OPC UA server. Clients have no entry each: rights come with the role of the user who logs in."""

    masters: Annotated[list[Any], BeforeValidator(_no_masters)] = Field(default_factory=list)
    security: list[PolicyName] = Field(default=["Basic256Sha256", "Aes256_Sha256_RsaPss"], min_length=1)
    modes: list[Literal["Sign", "SignAndEncrypt"]] = Field(default=["Sign", "SignAndEncrypt"], min_length=1)
    users: str = ""
    anonymous: bool = False
    allow_none: bool = False
    check_host: bool = True
    application_uri: Annotated[str, Field(pattern=r"^(|urn:\S+|https?://\S+)$", max_length=256)] = ""
    hosts: list[str] = Field(default_factory=list)
    pki: TrustSettings = TrustSettings()
    limits: LimitSettings = LimitSettings()
    map: str = ""

    def where_of(self, point: str) -> str:
        """The node's id."""
        return f"ns=2;s={point}"


class OpcUaMasterSettings(MasterSettings):
    """Not used: `masters` is refused."""


class OpcUaRow(MasterRow):
    """A row of the map that narrows what is served."""

    access: Literal["", "read", "write"] = ""
    roles: str = ""


class _Settings:
    """Implements `gateway.contracts.GridSettings`."""

    server_model = OpcUaServerSettings
    master_model = OpcUaMasterSettings
    row_model = OpcUaRow

    def compile(self, server: ServerSource, catalogue: PointCatalogue, report: Report) -> ServerPlan:
        """One plan; `commands` by role."""
        settings: OpcUaServerSettings = server.settings
        host, port, path = _listen(server, report)
        folder = Path(server.place.file).parent
        if settings.allow_none and not _loopback(host):
            report.error(server.key("allow_none"), f"allow_none is for a loopback address only; listen is on {host}")
        _check_users(server, folder, report)
        rows, writable, row_roles = _narrowed(server, report)
        plan = ServerPlan(
            name=settings.name,
            host=host,
            port=port,
            path=path,
            application_uri=settings.application_uri,
            hosts=tuple(settings.hosts),
            policies=tuple(dict.fromkeys(settings.security)),
            modes=tuple(MODES[mode] for mode in dict.fromkeys(settings.modes)),
            allow_none=settings.allow_none,
            anonymous=settings.anonymous,
            check_host=settings.check_host,
            users=_path(folder, settings.users),
            pki=_pki(server, folder, report),
            limits=LimitPlan(**settings.limits.model_dump()),
            rows=rows,
            writable=writable,
            row_roles=row_roles,
        )
        plan.commands = _commands(plan, catalogue)
        return plan


def _listen(server: ServerSource, report: Report) -> tuple[str, int, str]:
    text = server.settings.listen
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port, url = "", None, urlsplit("")
    if url.scheme != "opc.tcp" or not host or port is None or url.query or url.fragment or url.username:
        report.error(server.key("listen"), f"listen is {text!r}: {_EXPECTED}")
    return host, port or 0, url.path.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _path(folder: Path, name: str) -> str:
    return str((folder / name).resolve()) if name else ""


def _check_users(server: ServerSource, folder: Path, report: Report) -> None:
    settings = server.settings
    if not settings.users and not settings.anonymous:
        report.error(server.key("users"), "users is missing: the file of users (make it with gridgate user add)")
    elif settings.users and not (folder / settings.users).is_file():
        report.warning(
            server.key("users"),
            f"no file {folder / settings.users}: nobody can log in until gridgate user add makes it",
        )


def _pki(server: ServerSource, folder: Path, report: Report) -> PkiPlan:
    settings: TrustSettings = server.settings.pki
    place = server.key("pki")
    if bool(settings.certificate) != bool(settings.key):
        report.error(place, "pki: certificate and key come together")
    for name in ("certificate", "key"):
        value = getattr(settings, name)
        if value and not (folder / value).is_file():
            report.error(place, f"pki {name}: no file {folder / value}")
    keys = settings.model_dump()
    return PkiPlan(**{**keys, **{name: _path(folder, keys[name]) for name in ("folder", "certificate", "key")}})


def _narrowed(server: ServerSource, report: Report) -> tuple[Rows | None, Rows | None, dict[int, tuple[str, ...]]]:
    """(rows served, rows that may be written, roles by row) of the map; (None, None, {}) without one."""
    if not server.settings.map:
        return None, None, {}
    known = {role.value for role in Role}
    roles: dict[int, tuple[str, ...]] = {}
    for source in server.rows:
        named = tuple(word for word in source.settings.roles.replace(";", "|").replace(" ", "|").split("|") if word)
        for word in set(named) - known:
            report.error(source.place.at("roles"), f"no role {word}; expected some of {', '.join(sorted(known))}")
        if named:
            roles[source.row] = named
    rows = [source.row for source in server.rows]
    writable = [source.row for source in server.rows if source.settings.access != "read"]
    return np.unique(np.array(rows, np.uint32)), np.unique(np.array(writable, np.uint32)), roles


def _commands(plan: ServerPlan, catalogue: PointCatalogue) -> dict[str, Rows]:
    """Role -> setpoints and controls that it may command: all that are served to it, for those who operate."""
    commanded = np.flatnonzero(np.isin(catalogue.kinds, (Kind.SETPOINT, Kind.CONTROL))).astype(np.uint32)
    if plan.writable is not None:
        commanded = np.intersect1d(commanded, plan.writable)
    return {
        role.value: np.array([row for row in commanded if _sees(plan, int(row), role)], np.uint32)
        for role in Role
        if role.commands
    }


def _sees(plan: ServerPlan, row: int, role: Role) -> bool:
    named = plan.row_roles.get(row)
    return named is None or any(word in role.includes for word in named)


SETTINGS = _Settings()
