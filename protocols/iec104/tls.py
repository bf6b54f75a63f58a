"""TLS of the listener (IEC 62351-3): 1.2 or newer, both sides with certificates. Reads files: for the shell alone.

Each master comes in by a certificate of the server's authority, or by one of its own that is pinned; and only with a
subject and a fingerprint that its configuration allows. There is no renegotiation, no compression, no session ticket.
"""

from __future__ import annotations

import datetime
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.contracts import Log
from protocols.iec104 import certificates
from protocols.iec104.certificates import CertificateError
from protocols.iec104.tlsplan import TlsMasterPlan, TlsPlan

SESSION_S: Final = 3_600.0
"""Contexts are made anew after this: a session of TLS 1.2 can be resumed no longer."""
EXPIRY_WARNING_S: Final = 30 * 86_400.0
LIST_WARNING_S: Final = 2 * 86_400.0
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL:!PSK:@SECLEVEL=2"
"""Of TLS 1.2; all suites of 1.3 are of that strength."""

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CHECK_LISTS: Final = ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
_PARTIAL_CHAIN: Final = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


def server_context(plan: TlsPlan, master: str = "") -> ssl.SSLContext:
    """A context that demands the client certificate of this master: of `plan.ca`, or one that is pinned for it.

    Raises `OSError` (of which `ssl.SSLError` is one) when a file is missing or does not hold what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[plan.minimum]
    context.set_ciphers(CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(plan.certificate, plan.key, plan.passphrase or "")
    pinned = plan.masters.get(master, TlsMasterPlan()).certificates
    if pinned:
        # A pinned certificate is trusted by itself, whoever signed it.
        context.verify_flags |= _PARTIAL_CHAIN
        for path in pinned:
            context.load_verify_locations(path)
    else:
        context.load_verify_locations(plan.ca)
        if plan.crl:
            context.load_verify_locations(plan.crl)
            context.verify_flags |= _CHECK_LISTS
    return context


class TlsDoor:
    """Contexts by master, made anew when a file changes, and the verdict on who came through the handshake.

    A file that changed to something that cannot be used is told once; what was read before stays in force. An expired
    revocation list refuses everyone: who may be revoked is not let in.
    """

    def __init__(self, plan: TlsPlan, log: Log) -> None:
        self.plan = plan
        self._log = log
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._pins: dict[str, frozenset[str]] = {}
        self._state: tuple[object, ...] = ()
        self._made_at = 0.0

    def open(self) -> None:
        """Read every file. Raises `OSError` when one is missing or does not hold what it should."""
        self._state = self._files()
        self._make()
        for finding in findings(self.plan):
            self._log.warning("tls files", finding=finding.text)

    def context(self, master: str) -> ssl.SSLContext:
        """The context for a new connection of this master."""
        state = self._files()
        changed = state != self._state
        if changed or time.monotonic() - self._made_at > SESSION_S:
            self._state = state
            try:
                self._make()
            except OSError as error:
                self._made_at = time.monotonic()
                self._log.error("tls files cannot be used: those read before stay in force", cause=str(error))
            else:
                if changed:
                    self._log.info("tls files read again")
        return self._contexts[master if master in self._contexts else ""]

    def refusal(self, master: str, link: ssl.SSLObject) -> str:
        """Why the certificate that passed the handshake is not this master's; empty when it is."""
        der, peer = link.getpeercert(binary_form=True), link.getpeercert()
        if not der or not peer:
            return _NO_CERTIFICATE
        # A resumed session of TLS 1.2 was checked when it began, perhaps before its certificate ended.
        if certificates.validity(der)[1] < time.time():
            return "certificate has expired"
        rules = self.plan.masters.get(master, TlsMasterPlan())
        subject = certificates.subject_of(peer)
        words = certificates.subject_words(subject)
        found = certificates.fingerprint(der)
        if rules.certificates and found not in self._pins[master]:
            return f"certificate of {words} is none of those pinned for {master}"
        if rules.fingerprints and found not in rules.fingerprints:
            return f"certificate of {words} has none of the fingerprints of {master}"
        if rules.subjects and not certificates.fits(subject, rules.subjects):
            return f"certificate of {words} is not allowed for {master}"
        return ""

    def _make(self) -> None:
        own = {name: rules for name, rules in self.plan.masters.items() if rules.certificates}
        contexts = {name: server_context(self.plan, name) for name in own}
        if self.plan.ca:
            contexts[""] = server_context(self.plan)
        self._pins = {
            name: frozenset(certificates.fingerprint(der) for path in rules.certificates for der in _blocks(path))
            for name, rules in own.items()
        }
        self._contexts, self._made_at = contexts, time.monotonic()

    def _files(self) -> tuple[object, ...]:
        return tuple(_state(path) for path in paths(self.plan))


def paths(plan: TlsPlan) -> Iterator[str]:
    """Every file that a plan names."""
    yield from (path for path in (plan.certificate, plan.key, plan.ca, plan.crl) if path)
    for rules in plan.masters.values():
        yield from rules.certificates


def _state(path: str) -> object:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _blocks(path: str, kind: str = "CERTIFICATE") -> list[bytes]:
    """DER of every block of a file. Raises `OSError`, also when there is none."""
    try:
        found = certificates.pem_blocks(Path(path).read_text("ascii", "replace"), kind)
    except CertificateError as error:
        raise OSError(f"{path}: {error}") from None
    if not found:
        raise OSError(f"{path}: no {kind} in PEM")
    return found


_NO_CERTIFICATE: Final = "no certificate shown"
_UNKNOWN: Final = "certificate of an unknown authority"
_PLAIN: Final = "plain text on a TLS port, or something else that is no TLS"

_VERIFY_WORDS: Final[Mapping[int, str]] = {
    **dict.fromkeys((2, 18, 19, 20, 21, 25), _UNKNOWN),
    3: "no revocation list of the certificate's authority",
    7: "certificate with a wrong signature",
    8: "revocation list with a wrong signature",
    9: "certificate is not valid yet",
    10: "certificate has expired",
    11: "revocation list is not valid yet",
    12: "revocation list has expired: nobody is let in until a new one is in place",
    23: "certificate is revoked",
    24: "certificate of something that is no authority",
    26: "certificate is not for a client",
    66: "certificate with a weak key",
    67: "certificate of an authority with a weak key",
    68: "certificate with a weak signature",
}
"""Verification results of OpenSSL (X509_V_ERR_...)."""

_REASON_WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "WRONG_VERSION_NUMBER",
            "HTTP_REQUEST",
            "HTTPS_PROXY_REQUEST",
            "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG",
            "UNEXPECTED_MESSAGE",
            "BAD_RECORD_TYPE",
        ),
        _PLAIN,
    ),
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": _NO_CERTIFICATE,
    "UNSUPPORTED_PROTOCOL": "TLS version too old",
    "VERSION_TOO_LOW": "TLS version too old",
    "NO_SHARED_CIPHER": "no cipher suite in common",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no signature algorithm in common",
}


def words(error: ssl.SSLError) -> str:
    """Why a handshake failed, for the log."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY_WORDS.get(error.verify_code, f"certificate refused: {error.verify_message}")
    reason = error.reason or ""
    if "_ALERT_" in reason:
        return f"the master refused: {reason.partition('_ALERT_')[2].replace('_', ' ').lower()}"
    return _REASON_WORDS.get(reason, f"handshake failed: {reason.replace('_', ' ').lower() or error}")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the files that a person should know. `fatal`: no site should start with it."""

    text: str
    fatal: bool = False


def findings(plan: TlsPlan, now_s: float | None = None) -> list[Finding]:
    """What is wrong or soon will be, at `now_s` (s since 1970 UTC; default: now). What time brings is never fatal."""
    now_s = time.time() if now_s is None else now_s
    found = list(_key_findings(plan.key))
    try:
        for master in ("", *plan.masters) if plan.ca else plan.masters:
            server_context(plan, master)
    except ssl.SSLError as error:
        found.append(
            Finding(f"certificate, key, ca and crl do not fit together: {_load_words(plan, error)}", fatal=True)
        )
        return found
    except OSError as error:
        return [*found, Finding(str(error), fatal=True)]
    for what, path in _dated(plan):
        found += _expiry_findings(what, path, now_s)
    if plan.crl:
        found += _list_findings(plan.crl, now_s)
    return found


def _key_findings(path: str) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(Path(path).stat().st_mode)
    except OSError as error:
        yield Finding(f"key: {error}", fatal=True)
        return
    if mode & 0o007:
        yield Finding(f"key {path} can be read by everyone on this machine (mode {mode:04o}): chmod 600", fatal=True)
    elif mode & 0o070:
        yield Finding(f"key {path} can be read by its group (mode {mode:04o}): 0600 recommended")


_LOAD_WORDS: Final[Mapping[str, Callable[[TlsPlan], str]]] = {
    "KEY_VALUES_MISMATCH": lambda plan: f"{plan.key} is not the key of {plan.certificate}",
    "BAD_DECRYPT": lambda plan: f"the passphrase does not open {plan.key}",
    "BAD_PASSWORD_READ": lambda plan: f"{plan.key} needs a passphrase",
    "NO_CERTIFICATE_OR_CRL_FOUND": lambda plan: f"no certificate or revocation list in {' or '.join(paths(plan))}",
    "EE_KEY_TOO_SMALL": lambda plan: f"the key of {plan.certificate} is too weak",
    "CA_MD_TOO_WEAK": lambda plan: f"the signature of {plan.certificate} is too weak",
}


def _load_words(plan: TlsPlan, error: ssl.SSLError) -> str:
    say = _LOAD_WORDS.get(error.reason or "")
    return say(plan) if say is not None else f"{error} (PEM files expected: {', '.join(paths(plan))})"


def _dated(plan: TlsPlan) -> Iterator[tuple[str, str]]:
    yield "our certificate", plan.certificate
    if plan.ca:
        yield "the authority's certificate", plan.ca
    for name, rules in plan.masters.items():
        for path in rules.certificates:
            yield f"the pinned certificate of {name}", path


def _expiry_findings(what: str, path: str, now_s: float) -> Iterator[Finding]:
    try:
        spans = [certificates.validity(der) for der in _blocks(path)]
    except (OSError, CertificateError) as error:
        yield Finding(f"{what} cannot be read: {error}", fatal=True)
        return
    # Of our own file the first is ours and others its chain; all have to hold.
    begins, ends = max(span[0] for span in spans), min(span[1] for span in spans)
    if ends < now_s:
        yield Finding(f"{what} expired on {_day(ends)} ({path})")
    elif ends < now_s + EXPIRY_WARNING_S:
        yield Finding(f"{what} expires on {_day(ends)}, in {(ends - now_s) / 86_400:.0f} days ({path})")
    if begins > now_s:
        yield Finding(f"{what} is valid from {_day(begins)} only ({path})")


def _list_findings(path: str, now_s: float) -> Iterator[Finding]:
    try:
        ends = [certificates.next_update(der) for der in _blocks(path, "X509 CRL")]
    except (OSError, CertificateError) as error:
        yield Finding(f"the revocation list cannot be read: {error}", fatal=True)
        return
    end = min((end for end in ends if end is not None), default=None)
    if end is not None and end < now_s:
        yield Finding(
            f"the revocation list expired on {_day(end)}: every master is refused until it is renewed ({path})"
        )
    elif end is not None and end < now_s + LIST_WARNING_S:
        yield Finding(f"the revocation list expires on {_day(end)}: every master is refused from then on ({path})")


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
