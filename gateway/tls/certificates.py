"""What is to be known of certificates and revocation lists beyond `ssl`: when they end, and whom they name. Pure.

Reads just as much of DER as that takes (X.509: RFC 5280 4.1 and 5.1); nothing here decides whether to trust.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_INTEGER, _SEQUENCE, _UTC_TIME, _GENERAL_TIME, _VERSION = 0x02, 0x30, 0x17, 0x18, 0xA0
_TIMES: Final = (_UTC_TIME, _GENERAL_TIME)
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)

_SHORT: Final[Mapping[str, str]] = {
    "commonName": "CN",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "domainComponent": "DC",
    "serialNumber": "serialNumber",
    "emailAddress": "emailAddress",
}
"""Names of attributes as `ssl` gives them, and as a person writes them."""

Subject = tuple[tuple[str, str], ...]
"""Attributes in short names with their values; ``("DNS", name)`` and ``("IP", address)`` are alternative names."""


class CertificateError(ValueError):
    """It is not what it should be. The text is for a person."""


def pem_blocks(text: str, kind: str) -> list[bytes]:
    """DER of every block of a kind (``CERTIFICATE``, ``X509 CRL``). Raises `CertificateError` for a broken one."""
    try:
        return [base64.b64decode(body, validate=False) for found, body in _BLOCK.findall(text) if found == kind]
    except binascii.Error:
        raise CertificateError(f"a {kind} block is broken") from None


def fingerprint(der: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def validity(certificate: bytes) -> tuple[float, float]:
    """Not before and not after, in s since 1970 UTC. Raises `CertificateError`."""
    fields = [field for field in _fields(certificate) if field[0] != _VERSION]
    # serial number, signature, issuer, validity
    if len(fields) < 4 or fields[3][0] != _SEQUENCE:
        raise CertificateError("no certificate in DER")
    times = [_time(tag, body) for tag, body in _items(fields[3][1])]
    if len(times) != 2:
        raise CertificateError("a certificate without validity")
    return times[0], times[1]


def next_update(revocation_list: bytes) -> float | None:
    """When a revocation list expires, in s since 1970 UTC; None for never. Raises `CertificateError`."""
    times = [_time(tag, body) for tag, body in _fields(revocation_list) if tag in _TIMES]
    if not times:
        raise CertificateError("no revocation list in DER")
    return times[1] if len(times) > 1 else None


def _fields(signed: bytes) -> list[tuple[int, bytes]]:
    """The fields of what is signed: the first sequence in the outer one."""
    try:
        ((outer, body),) = _items(signed)
        tag, content = next(_items(body))
    except (ValueError, StopIteration):
        raise CertificateError("no certificate or revocation list in DER") from None
    if outer != _SEQUENCE or tag != _SEQUENCE:
        raise CertificateError("no certificate or revocation list in DER")
    return list(_items(content))


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each item. Raises `CertificateError` when they do not fill `data`."""
    at = 0
    while at < len(data):
        head = data[at : at + 2]
        if len(head) < 2:
            raise CertificateError("DER ends within an item")
        length, start = head[1], at + 2
        if length > 0x7F:
            start += length & 0x7F
            length = int.from_bytes(data[at + 2 : start], "big")
        at = start + length
        if at > len(data):
            raise CertificateError("DER ends within an item")
        yield head[0], data[start:at]


def _time(tag: int, body: bytes) -> float:
    """UTCTime or GeneralizedTime; two digits of the year below 50 are of this century (RFC 5280 4.1.2.5.1)."""
    text = body.decode("ascii", "replace")
    if tag == _UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text
    try:
        moment = datetime.datetime.strptime(text.replace("Z", "+0000"), "%Y%m%d%H%M%S%z")
    except ValueError:
        raise CertificateError("a time that is none") from None
    return moment.timestamp()


def subject_of(peer: Mapping[str, Any]) -> Subject:
    """Subject and alternative names of what `ssl.SSLObject.getpeercert` gives."""
    named = tuple((_SHORT.get(name, name), str(value)) for group in peer.get("subject", ()) for name, value in group)
    others = tuple(
        ("IP" if kind == "IP Address" else kind, str(value)) for kind, value in peer.get("subjectAltName", ())
    )
    return named + others


def parse_subject(text: str) -> Subject:
    r"""``CN=sldc,O=Grid`` as attributes; a comma in a value is written ``\,``. Raises `CertificateError`."""
    parts = re.split(r"(?<!\\),", text)
    pairs = [part.partition("=") for part in parts]
    known = {*_SHORT.values(), "DNS", "IP", "URI"}
    for name, equals, value in pairs:
        if not equals or not value.strip() or name.strip() not in known:
            raise CertificateError(
                f"{text!r}: NAME=VALUE expected, such as CN=sldc; names are {', '.join(sorted(known))}"
            )
    return tuple((name.strip(), value.strip().replace("\\,", ",")) for name, _, value in pairs)


def fits(subject: Subject, allowed: Sequence[Subject]) -> bool:
    """One of the allowed subjects has all its attributes in this one."""
    have = set(subject)
    return any(have.issuperset(wanted) for wanted in allowed)


def subject_words(subject: Subject) -> str:
    """A subject as a person writes it; alternative names are left out."""
    return ",".join(f"{name}={value}" for name, value in subject if name not in ("DNS", "IP", "URI")) or "(no subject)"


def normal_fingerprint(text: str) -> str:
    """64 hexadecimal digits of what may have colons, blanks and capitals. Raises `CertificateError`."""
    digits = re.sub(r"[:\s]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise CertificateError(f"{text!r}: a SHA-256 fingerprint of 64 hexadecimal digits expected")
    return digits
