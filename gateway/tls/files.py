"""The PEM files of a plan: which there are, whether one changed, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.tls import certificates
from gateway.tls.certificates import CertificateError
from gateway.tls.plan import TlsPlan


def paths(plan: TlsPlan) -> Iterator[str]:
    """Every file that a plan names."""
    yield from (path for path in (plan.certificate, plan.key, plan.ca, plan.crl) if path)
    for rules in plan.masters.values():
        yield from rules.certificates


def state(plan: TlsPlan) -> tuple[object, ...]:
    """Equal to what it was for as long as no file changed."""
    return tuple(_state(path) for path in paths(plan))


def _state(path: str) -> object:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def blocks(path: str, kind: str = "CERTIFICATE") -> list[bytes]:
    """DER of every block of a file. Raises `OSError`, also when there is none."""
    try:
        found = certificates.pem_blocks(Path(path).read_text("ascii", "replace"), kind)
    except CertificateError as error:
        raise OSError(f"{path}: {error}") from None
    if not found:
        raise OSError(f"{path}: no {kind} in PEM")
    return found
