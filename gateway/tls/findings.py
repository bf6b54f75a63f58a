"""What an engineer should know of the files before anybody connects."""

from __future__ import annotations

import datetime
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.tls import certificates
from gateway.tls.certificates import CertificateError
from gateway.tls.context import tls_context
from gateway.tls.files import blocks, paths
from gateway.tls.plan import TlsPlan

EXPIRY_WARNING_S: Final = 30 * 86_400.0
LIST_WARNING_S: Final = 2 * 86_400.0


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
        for master in ("", *plan.masters) if plan.ca or plan.anyone else plan.masters:
            tls_context(plan, [master])
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
        spans = [certificates.validity(der) for der in blocks(path)]
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
        ends = [certificates.next_update(der) for der in blocks(path, "X509 CRL")]
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
