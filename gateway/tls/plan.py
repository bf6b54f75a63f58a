"""TLS as the configuration has it, checked: paths, versions, and whom each master's certificate may name. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.tls.certificates import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsMasterPlan:
    """What one master's certificate must be, beyond being trusted; what is empty allows any.

    `certificates` are paths of pinned certificates, trusted instead of the server's authority. `fingerprints` are
    SHA-256 in lower-case hexadecimal digits.
    """

    certificates: tuple[str, ...] = ()
    fingerprints: frozenset[str] = frozenset()
    subjects: tuple[Subject, ...] = ()


@dataclass(slots=True, kw_only=True)
class TlsPlan:
    """Paths of PEM files, each empty if there is none; `passphrase` of the key may be empty.

    Masters show a certificate of `ca` that is not in `crl`, or one of their own that is pinned. `minimum` is ``1.2`` or
    ``1.3``; a handshake may take `handshake_s`. `anyone`: no certificate is asked for (browsers).
    """

    certificate: str
    key: str
    ca: str = ""
    crl: str = ""
    passphrase: str = field(default="", repr=False)
    minimum: str = "1.2"
    handshake_s: float = 10.0
    anyone: bool = False
    masters: dict[str, TlsMasterPlan] = field(default_factory=dict)
