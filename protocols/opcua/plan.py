"""What a checked configuration becomes: picklable, free of asyncua."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.points import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiPlan:
    """Where certificates lie; absolute paths. Empty `certificate` and `key`: made at the first start, in `own`."""

    folder: str = ""
    """Holds own, trusted, issuers and rejected; empty: ``STATE_DIR/pki/SERVER``."""
    certificate: str = ""
    key: str = ""
    passphrase: str = field(default="", repr=False)
    require_crl: bool = True
    """A client's issuer must have a revocation list that is in force."""
    expiry_warning_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitPlan:
    """Caps. Sizes in octets, times in s."""

    connections: int = 100
    connections_per_address: int = 20
    sessions: int = 100
    sessions_per_user: int = 20
    requests_per_session: int = 50
    message_size: int = 4 << 20
    chunks: int = 256
    array_length: int = 100_000
    hello_timeout_s: float = 5.0
    open_timeout_s: float = 10.0
    session_timeout_s: float = 30.0
    """From the open channel to an activated session."""
    max_session_idle_s: float = 3600.0
    max_token_lifetime_s: float = 3600.0
    unsent: int = 32 << 20
    """A client that reads so much more slowly than it asks is cut off."""


@dataclass(slots=True, kw_only=True)
class ServerPlan:
    """One server. `commands`: table rows that each role may command."""

    name: str
    host: str
    port: int
    path: str = ""
    application_uri: str
    hosts: tuple[str, ...] = ()
    """Further names and addresses under which clients reach it; they enter the certificate."""
    policies: tuple[str, ...]
    modes: tuple[int, ...]
    """`MessageSecurityMode` values offered under these policies."""
    allow_none: bool = False
    anonymous: bool = False
    check_host: bool = True
    """A client must have meant a host that our certificate names."""
    users: str = ""
    pki: PkiPlan = field(default_factory=PkiPlan)
    limits: LimitPlan = field(default_factory=LimitPlan)
    rows: Rows | None = None
    """Points that are served; None: every point."""
    writable: Rows | None = None
    """Of the map: rows whose `access` allows a write; None: every setpoint and control."""
    row_roles: dict[int, tuple[str, ...]] = field(default_factory=dict)
    """Of the map: row -> the only roles that see it."""
    commands: dict[str, Rows] = field(default_factory=dict)
