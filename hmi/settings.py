"""The `hmi:` section of site.yaml. Imported only while a site is checked."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from gateway.contracts.places import Place, Report, nearest
from gateway.contracts.settings import PeerAddress, Strict
from gateway.points.expression import near_names
from gateway.points.model import PointCatalogue
from gateway.site.section import Section
from gateway.tls.findings import findings
from gateway.tls.plan import TlsPlan
from hmi.drawing import clean_drawing
from hmi.plan import HmiPlan, HmiTls


def _as_text(value: object) -> object:
    """YAML reads 1.3 as a number."""
    return str(value) if isinstance(value, float) else value


class HmiTlsSettings(Strict):
    """`tls:` of `hmi:`. Paths of PEM files, relative to the site file; both or none."""

    certificate: str = ""
    key: str = ""
    passphrase: str = ""
    minimum: Annotated[Literal["1.2", "1.3"], BeforeValidator(_as_text)] = "1.2"


class HmiSettings(Strict):
    """`hmi:`."""

    listen: str = "127.0.0.1:8080"
    users: str = ""
    idle_min: Annotated[float, Field(ge=0.1, le=24 * 60)] = 15
    longest_h: Annotated[float, Field(gt=0, le=24 * 7)] = 12
    hosts: list[str] = Field(default_factory=list)
    drawing: str = ""
    tls: HmiTlsSettings | None = None
    insecure: bool = False
    addresses: list[PeerAddress] = Field(default_factory=list)
    metrics_addresses: list[PeerAddress] = Field(default_factory=list)


class HmiSection:
    """How the section is read; see `gateway.site.screen.ScreenSettings`."""

    model = HmiSettings

    @staticmethod
    def compile(
        settings: HmiSettings, section: Section, folder: Path, catalogue: PointCatalogue, report: Report
    ) -> HmiPlan:
        """The plan; problems go to `report`."""
        host, port = _endpoint(settings.listen, section, report)
        drawing = _drawing(settings.drawing, folder, section, catalogue, report)
        return HmiPlan(
            host=host,
            port=port,
            users=str((folder / settings.users).resolve()) if settings.users else "",
            idle_s=settings.idle_min * 60,
            longest_s=settings.longest_h * 3600,
            hosts=tuple(settings.hosts),
            drawing=drawing,
            tls=_tls(settings, host, folder, section, report),
            addresses=tuple(settings.addresses),
            metrics_addresses=tuple(settings.metrics_addresses),
        )


def _tls(settings: HmiSettings, host: str, folder: Path, section: Section, report: Report) -> HmiTls | None:
    """Beyond the loopback always, unless the engineer has written that it is to be without."""
    outside, given = not ipaddress.ip_address(host).is_loopback, settings.tls
    if settings.insecure and given is not None:
        report.error(section.key_place("insecure"), "insecure: true beside tls: one of them is meant")
    if settings.insecure and outside and not settings.addresses:
        report.error(
            section.key_place("insecure"),
            f"insecure: true on {host}: passwords and commands pass in clear; addresses that may come in expected",
        )
    if outside and not settings.addresses and not settings.insecure:
        report.warning(
            section.key_place("listen"),
            f"listen is {host}: every machine that reaches it may try to log in; addresses names those that may",
        )
    if given is None:
        return HmiTls() if outside and not settings.insecure else None
    if bool(given.certificate) != bool(given.key):
        report.error(section.key_place("tls"), "tls: certificate and key, or neither (an own one is made)")
    tls = HmiTls(
        certificate=_file(given.certificate, folder, "tls certificate", section, report, "tls"),
        key=_file(given.key, folder, "tls key", section, report, "tls"),
        passphrase=given.passphrase,
        minimum=given.minimum,
    )
    if tls.certificate and Path(tls.certificate).is_file() and tls.key and Path(tls.key).is_file():
        for finding in findings(
            TlsPlan(certificate=tls.certificate, key=tls.key, passphrase=tls.passphrase, anyone=True)
        ):
            (report.error if finding.fatal else report.warning)(section.key_place("tls"), f"tls: {finding.text}")
    return tls


def _endpoint(listen: str, section: Section, report: Report) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        if not 0 <= int(port) <= 65_535:
            raise ValueError
    except ValueError:
        report.error(section.key_place("listen"), f"listen is {listen!r}: an IP address and a port, as 127.0.0.1:8080")
        return "127.0.0.1", 0
    return host, int(port)


def _file(name: str, folder: Path, what: str, section: Section, report: Report, key: str = "") -> str:
    if not name:
        return ""
    path = (folder / name).resolve()
    if not path.is_file():
        report.error(section.key_place(key or what), f"{what}: no file {path}")
    return str(path)


def _drawing(name: str, folder: Path, section: Section, catalogue: PointCatalogue, report: Report) -> str:
    """The engineer's drawing as it may be shown; empty when there is none, or when it may not (reported)."""
    if not name:
        return ""
    path = (folder / name).resolve()
    try:
        data = path.read_bytes()
    except OSError as error:
        report.error(section.key_place("drawing"), f"drawing: cannot read {path}: {(error.strerror or '').lower()}")
        return ""
    drawing = clean_drawing(data)
    for line, sentence in drawing.problems:
        report.error(Place(str(path), line), sentence)
    for line, point in drawing.points:
        if point not in catalogue.rows:
            near = nearest(point, near_names(point, catalogue.rows))
            report.error(Place(str(path), line), f"data-point {point} does not exist{near}")
    return drawing.svg
