"""The keys about TLS, of a server and of its masters, read and checked. Imported only while a site is checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import MasterSettings, MasterSource, ServerSource, Strict
from gateway.tls.certificates import CertificateError, normal_fingerprint, parse_subject
from gateway.tls.findings import findings
from gateway.tls.plan import TlsMasterPlan, TlsPlan

_Checked = TypeVar("_Checked")


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_text(value: object) -> object:
    """YAML reads 1.3 as a number."""
    return str(value) if isinstance(value, float) else value


OneOrMore = BeforeValidator(_one_or_more)
"""For a list, which may be written as one of its entries."""
_Texts = Annotated[list[str], OneOrMore]


class TlsSettings(Strict):
    """PEM files, relative to the site file."""

    certificate: str
    key: str
    ca: str = ""
    crl: str = ""
    passphrase: str = ""
    minimum: Annotated[Literal["1.2", "1.3"], BeforeValidator(_as_text)] = "1.2"
    handshake_s: Annotated[float, Field(ge=1, le=120)] = 10


class TlsPeerSettings(Strict):
    """Keys about the certificate of the other end."""

    tls_subject: _Texts = Field(default_factory=list)
    tls_fingerprints: _Texts = Field(default_factory=list)
    tls_certificates: _Texts = Field(default_factory=list)


class TlsMasterSettings(TlsPeerSettings, MasterSettings):
    """Keys of a master that may have a certificate."""


def tls_plan(server: ServerSource, report: Report) -> TlsPlan | None:
    """The plan of a server's TLS, None without; problems go to `report`."""
    settings: TlsSettings | None = server.settings.tls
    if settings is None:
        _check_unused(server, report)
        return None
    place = server.key("tls")
    before = len(report.errors)
    plan = TlsPlan(
        certificate=_path(place, "tls certificate", settings.certificate, report),
        key=_path(place, "tls key", settings.key, report),
        ca=_path(place, "tls ca", settings.ca, report),
        crl=_path(place, "tls crl", settings.crl, report),
        passphrase=settings.passphrase,
        minimum=settings.minimum,
        handshake_s=settings.handshake_s,
        masters={master.settings.name: _master(master, settings, report) for master in server.masters},
    )
    if settings.crl and not settings.ca:
        report.error(place, "tls crl without ca: it revokes certificates of an authority")
    if len(report.errors) == before:
        for finding in findings(plan):
            (report.error if finding.fatal else report.warning)(place, f"tls: {finding.text}")
    return plan


def _check_unused(server: ServerSource, report: Report) -> None:
    for master in server.masters:
        for key in TlsMasterSettings.model_fields.keys() - MasterSettings.model_fields.keys():
            if getattr(master.settings, key):
                report.error(master.key(key), f"{key} of master {master.settings.name}: its server has no tls")


def _master(master: MasterSource, tls: TlsSettings, report: Report) -> TlsMasterPlan:
    settings: TlsMasterSettings = master.settings
    if not settings.tls_certificates and not tls.ca:
        report.error(
            master.key("name"),
            f"master {settings.name} can show no certificate that is trusted: ca in tls, or its own in "
            "tls_certificates expected",
        )
    pinned = master.key("tls_certificates")
    return TlsMasterPlan(
        certificates=tuple(_path(pinned, "tls_certificates", name, report) for name in settings.tls_certificates),
        fingerprints=frozenset(
            _each(settings.tls_fingerprints, normal_fingerprint, master.key("tls_fingerprints"), report)
        ),
        subjects=tuple(_each(settings.tls_subject, parse_subject, master.key("tls_subject"), report)),
    )


def _each(texts: list[str], check: Callable[[str], _Checked], place: Place, report: Report) -> list[_Checked]:
    checked: list[_Checked] = []
    for text in texts:
        try:
            checked.append(check(text))
        except CertificateError as error:
            report.error(place, str(error))
    return checked


def _path(place: Place, what: str, name: str, report: Report) -> str:
    """Absolute; empty stays empty."""
    if not name:
        return ""
    path = Path(place.file).parent / name
    if not path.is_file():
        report.error(place, f"{what}: no file {path}")
    return str(path.resolve())
