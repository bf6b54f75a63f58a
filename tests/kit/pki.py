"""Certificates for tests: an authority in a folder, what it issues, and what is wrong with some of it."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from gateway.cli.pki import Authority

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
EXPIRED = (NOW - 3 * DAY, NOW - DAY)
NOT_YET = (NOW + DAY, NOW + 3 * DAY)


def authority(folder: Path, name: str = "test authority") -> Authority:
    """A new one in a folder of its own."""
    return Authority.at(folder / name.replace(" ", "-"), name=name)


def client(
    trusted: Authority | None = None,
    certificate: Path | None = None,
    version: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """A master's TLS: what it trusts (None: anything), what it shows, and the one version that it speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if trusted is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(trusted.file)
    if certificate:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    if version:
        context.minimum_version = context.maximum_version = version
    return context
