"""Whom this server trusts: folders of certificates and revocation lists, looked at again whenever they change.

```
 FOLDER/own/        our certificate and key
        trusted/    certificates of clients, or of authorities whose clients are all trusted; and their *.crl
        issuers/    authorities needed only to complete a chain; and their *.crl
        rejected/   what was turned away: move a file from here to trusted/ and the client may come
```

DER or PEM, any file name. A certificate that itself lies in trusted/ is trusted whoever signed it.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.contracts import Log
from protocols.opcua.certificates import MAX_CHAIN, Certificate, CertificateError, load_certificate

MIN_KEY_BITS: Final = 2048
MAX_KEY_BITS: Final = 4096
MAX_REJECTED: Final = 50
MAX_FILE: Final = 1 << 20
FOLDERS: Final = ("own", "trusted", "issuers", "rejected")
_WEAK: Final = frozenset({"md5", "sha1"})


class NotTrusted(Exception):
    """Why a certificate is refused, for the log; the peer hears only that it failed."""


@dataclass(slots=True)
class _Known:
    """What lies in one folder."""

    certificates: list[Certificate] = field(default_factory=list)
    lists: list[x509.CertificateRevocationList] = field(default_factory=list)
    seen: frozenset[tuple[str, int, int]] = frozenset()


class TrustList:
    """The folders. Makes them, mode 0700. Raises `OSError`."""

    def __init__(self, folder: Path, log: Log, require_crl: bool = True) -> None:
        self.folder = folder
        self._log = log
        self._require_crl = require_crl
        self._known = {"trusted": _Known(), "issuers": _Known()}
        for name in FOLDERS:
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    def check(self, chain: list[Certificate], now: datetime.datetime) -> None:
        """The peer's certificate, and what it sent behind it. Raises `NotTrusted`."""
        self._refresh()
        peer = chain[0]
        check_application(peer, now)
        trusted, issuers = self._known["trusted"], self._known["issuers"]
        pinned = peer in trusted.certificates
        if peer.self_signed:
            if not pinned:
                self._reject(peer)
                raise NotTrusted("it is not in the trust list")
            return
        authorities = [*trusted.certificates, *issuers.certificates, *chain[1:]]
        try:
            path = self._path(peer, authorities, now)
        except NotTrusted:
            if pinned:
                return
            self._reject(peer)
            raise
        if not pinned and not any(authority in trusted.certificates for authority in path):
            self._reject(peer)
            raise NotTrusted(f"no authority above it is in the trust list (its issuer: {path[0].name})")
        self._check_revocation([peer, *path], pinned)

    def _path(self, peer: Certificate, authorities: list[Certificate], now: datetime.datetime) -> list[Certificate]:
        """Authorities from the peer's issuer up to a root. Raises `NotTrusted`."""
        path: list[Certificate] = []
        below = peer
        while not (path and below.self_signed):
            above = next((candidate for candidate in authorities if _signed(below, candidate)), None)
            if above is None or above in path or len(path) == MAX_CHAIN:
                raise NotTrusted(f"the issuer of {below.name} is not known: {below.x509.issuer.rfc4514_string()[:100]}")
            _check_authority(above, len(path), now)
            path.append(above)
            below = above
        return path

    def _check_revocation(self, path: list[Certificate], pinned: bool) -> None:
        lists = [*self._known["trusted"].lists, *self._known["issuers"].lists]
        for below, above in pairwise(path):
            own = [found for found in lists if found.issuer == above.x509.subject and _list_signed(found, above)]
            if any(found.get_revoked_certificate_by_serial_number(below.x509.serial_number) for found in own):
                raise NotTrusted(f"{below.name} is revoked by {above.name}")
            now = datetime.datetime.now(datetime.UTC)
            fresh = [found for found in own if found.next_update_utc is None or found.next_update_utc > now]
            if self._require_crl and not fresh and not pinned:
                raise NotTrusted(f"no revocation list of {above.name} that is in force")

    def _refresh(self) -> None:
        for name, known in self._known.items():
            files = list(_files(self.folder / name))
            seen = frozenset((path.name, found.st_mtime_ns, found.st_size) for path, found in files)
            if seen == known.seen:
                continue
            fresh = _Known(seen=seen)
            for path, found in files:
                self._load(path, found.st_size, fresh)
            self._known[name] = fresh
            self._log.info(
                "trust list read", folder=name, certificates=len(fresh.certificates), revocation_lists=len(fresh.lists)
            )

    def _load(self, path: Path, size: int, into: _Known) -> None:
        try:
            if size > MAX_FILE:
                raise CertificateError("the file is too large")
            data = path.read_bytes()
            if path.suffix == ".crl" or b"BEGIN X509 CRL" in data:
                pem = b"-----BEGIN" in data
                into.lists.append(x509.load_pem_x509_crl(data) if pem else x509.load_der_x509_crl(data))
            else:
                into.certificates.append(load_certificate(data))
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            self._log.warning("file in the trust list is of no use", file=str(path), cause=str(error)[:200])

    def _reject(self, peer: Certificate) -> None:
        """Keep it where a technician finds it; the oldest give way."""
        folder = self.folder / "rejected"
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in peer.name)
        path = folder / f"{name}-{peer.fingerprint[:16]}.der"
        try:
            if path.exists():
                return
            path.write_bytes(peer.der)
            path.chmod(0o600)
            files = sorted(_files(folder), key=lambda entry: entry[1].st_mtime_ns)
            for old, _ in files[:-MAX_REJECTED]:
                old.unlink(missing_ok=True)
        except OSError as error:
            self._log.warning("rejected certificate cannot be kept", file=str(path), cause=str(error))
            return
        self._log.warning("certificate rejected: move the file to trusted/ to let this client in", file=str(path))


def check_application(certificate: Certificate, now: datetime.datetime) -> None:
    """What must be right in a client's own certificate. Raises `NotTrusted`."""
    _check_validity(certificate, now)
    bits = certificate.key.key_size
    if not MIN_KEY_BITS <= bits <= MAX_KEY_BITS:
        raise NotTrusted(f"its key has {bits} bits; {MIN_KEY_BITS} to {MAX_KEY_BITS} are taken")
    _check_hash(certificate)
    try:
        usage = certificate.x509.extensions.get_extension_for_class(x509.KeyUsage).value
        if not usage.digital_signature or not (usage.key_encipherment or usage.data_encipherment):
            raise NotTrusted("its key usage allows no signature, or no encipherment")
    except x509.ExtensionNotFound:
        pass
    except ValueError:
        raise NotTrusted("its extensions cannot be read") from None
    try:
        extended = certificate.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    allowed = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if not allowed & set(extended):
        raise NotTrusted("its extended key usage allows no client")


def _check_authority(authority: Certificate, below: int, now: datetime.datetime) -> None:
    _check_validity(authority, now)
    _check_hash(authority)
    try:
        constraints = authority.x509.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        raise NotTrusted(f"{authority.name} is no authority") from None
    if not constraints.ca or (constraints.path_length is not None and constraints.path_length < below):
        raise NotTrusted(f"{authority.name} may not sign it")
    try:
        usage = authority.x509.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise NotTrusted(f"{authority.name} may not sign certificates")


def _check_validity(certificate: Certificate, now: datetime.datetime) -> None:
    if now >= certificate.x509.not_valid_after_utc:
        raise NotTrusted(f"{certificate.name} expired on {certificate.x509.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.x509.not_valid_before_utc:
        raise NotTrusted(f"{certificate.name} is not valid before {certificate.x509.not_valid_before_utc:%Y-%m-%d}")


def _check_hash(certificate: Certificate) -> None:
    try:
        algorithm = certificate.x509.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if algorithm is None or algorithm.name in _WEAK:
        raise NotTrusted(f"{certificate.name} is signed with {algorithm.name if algorithm else 'an unknown hash'}")


def _signed(below: Certificate, above: Certificate) -> bool:
    if below.x509.issuer != above.x509.subject:
        return False
    try:
        below.x509.verify_directly_issued_by(above.x509)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _list_signed(found: x509.CertificateRevocationList, authority: Certificate) -> bool:
    try:
        return found.is_signature_valid(authority.key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _files(folder: Path) -> Iterable[tuple[Path, os.stat_result]]:
    def found() -> Iterator[tuple[Path, os.stat_result]]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file() and not entry.name.startswith("."):
                    yield Path(entry.path), entry.stat()

    try:
        return list(found())
    except OSError:
        return []
