"""Certificates that this gateway shows or trusts: whose, until when, with which fingerprint. Read only."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.tls.certificates import CertificateError, fingerprint, pem_blocks, validity
from gateway.tls.plan import TlsPlan
from gateway.users.roles import Role
from hmi.desk import Desk
from hmi.endpoint import Answer, Endpoint, Topic, Visit

_MOST: Final = 500
_DAY_S: Final = 86_400.0


class CertificateFacts(Answer):
    of: str
    """`hmi`, or the server or device."""
    use: str
    """own, authority, pinned, trusted."""
    file: str
    subject: str = ""
    issuer: str = ""
    sha256: str = ""
    begins_ms: int = 0
    ends_ms: int = 0
    days_left: float = 0.0
    problem: str = ""
    """Why it could not be read."""


async def _certificates(visit: Visit) -> list[CertificateFacts]:
    found: list[CertificateFacts] = await visit.desk.on_disk(_read_all, visit.desk)
    return found


def _read_all(desk: Desk) -> list[CertificateFacts]:
    facts: list[CertificateFacts] = []
    for of, use, path in _files(desk):
        facts += _read(of, use, path)
        if len(facts) >= _MOST:
            break
    return facts[:_MOST]


def _files(desk: Desk) -> Iterator[tuple[str, str, Path]]:
    own = desk.plan.tls_files(desk.site.state_dir)
    if own is not None:
        yield "hmi", "own", Path(own.certificate)
    plans: list[tuple[str, Any]] = [(entry.name, entry.plan) for entry in desk.site.servers]
    plans += [(getattr(plan, "device", driver), plan) for driver, plan in desk.site.drivers]
    for name, plan in plans:
        tls = getattr(plan, "tls", None)
        if isinstance(tls, TlsPlan):
            yield from ((str(name), use, Path(path)) for use, path in _named(tls))
        yield from _folder(str(name), plan, desk.site.state_dir)


def _named(tls: TlsPlan) -> Iterator[tuple[str, str]]:
    yield "own", tls.certificate
    if tls.ca:
        yield "authority", tls.ca
    for rules in tls.masters.values():
        yield from (("pinned", path) for path in rules.certificates)


_FOLDERS: Final = {"own": "own", "trusted": "trusted", "issuers": "authority"}


def _folder(name: str, plan: Any, state_dir: Path) -> Iterator[tuple[str, str, Path]]:
    """A server that keeps its certificates in a folder of its own (OPC UA)."""
    pki = getattr(plan, "pki", None)
    if pki is None:
        return
    if getattr(pki, "certificate", ""):
        yield name, "own", Path(pki.certificate)
    base = Path(pki.folder) if getattr(pki, "folder", "") else state_dir / "pki" / name
    for below, use in _FOLDERS.items():
        for path in sorted((base / below).rglob("*")):
            if path.suffix in (".der", ".pem", ".crt", ".cer") and "key" not in path.name:
                yield name, use, path


def _read(of: str, use: str, path: Path) -> list[CertificateFacts]:
    try:
        data = path.read_bytes()
        pem = b"-----BEGIN" in data
        blocks = pem_blocks(data.decode("ascii", "replace"), "CERTIFICATE") if pem else [data]
        return [_facts(of, use, path, der) for der in blocks]
    except (OSError, CertificateError, ValueError) as error:
        return [CertificateFacts(of=of, use=use, file=str(path), problem=str(error)[:200])]


def _facts(of: str, use: str, path: Path, der: bytes) -> CertificateFacts:
    from cryptography import x509  # noqa: PLC0415 - large; loaded when somebody looks

    begins_s, ends_s = validity(der)
    found = x509.load_der_x509_certificate(der)
    return CertificateFacts(
        of=of,
        use=use,
        file=str(path),
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        sha256=fingerprint(der),
        begins_ms=int(begins_s * 1e3),
        ends_ms=int(ends_s * 1e3),
        days_left=round((ends_s - time.time()) / _DAY_S, 1),
    )


TOPIC: Final = Topic(
    endpoints=[
        Endpoint(
            method="GET",
            path="/api/certificates",
            handler=_certificates,
            answer=list[CertificateFacts],
            right=Role.ENGINEER,
            tag="certificates",
            summary="Certificates of the HMI, the servers and the devices, with whom they name and when they end.",
        )
    ]
)
