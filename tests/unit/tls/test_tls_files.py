"""What the engineer is told about certificates before anybody connects, and what is read from them."""

from __future__ import annotations

import datetime
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cryptography", reason="cryptography makes the test certificates")
from cryptography import x509

from gateway.contracts.places import Place, Report
from gateway.contracts.settings import MasterSource, ServerSource
from gateway.points import PointCatalogue
from gateway.tls import certificates
from gateway.tls.certificates import CertificateError
from protocols.iec104.plan import ServerPlan
from protocols.iec104.settings import SETTINGS, Iec104MasterSettings, Iec104ServerSettings
from tests.kit import pki
from tests.kit.pki import DAY, EXPIRED, NOW

TLS_LINE = Place("site.yaml", 5)


class Bench:
    """An authority, a gateway's certificate, and a site file beside them."""

    def __init__(self, folder: Path) -> None:
        self.authority = pki.authority(folder, "ours")
        self.folder = self.authority.folder
        self.gateway = self.authority.issue("gateway")
        self.report = Report()

    def compile(self, master: dict[str, Any] | None = None, **tls: Any) -> ServerPlan:
        keys = {"certificate": "gateway.pem", "key": "gateway.key", "ca": "ca.pem", **tls}
        site = str(self.folder / "site.yaml")
        settings = Iec104ServerSettings.model_validate(
            {"name": "sldc", "protocol": "iec104", "listen": "127.0.0.1:2404", "tls": keys}
        )
        told = {"name": "main", "addresses": ["10.0.0.1"], "map": "m.csv", **(master or {})}
        source = MasterSource(Iec104MasterSettings.model_validate(told), [], Place(site, 9))
        return SETTINGS.compile(ServerSource(settings, [source], Place(site, 5)), PointCatalogue.of([]), self.report)

    @property
    def errors(self) -> list[str]:
        return [problem.message for problem in self.report.errors]

    @property
    def warnings(self) -> list[str]:
        return [problem.message for problem in self.report.warnings if problem.message.startswith("tls")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_right_configuration_says_nothing(bench: Bench) -> None:
    print_ = bench.authority.fingerprint("gateway").upper()
    colons = ":".join(print_[i : i + 2] for i in range(0, 64, 2))
    plan = bench.compile(
        {"tls_subject": "CN=main,O=Grid\\, north", "tls_fingerprints": [colons], "tls_certificates": "gateway.pem"},
        crl="ca.crl",
        minimum=1.3,
    )
    assert bench.errors == bench.warnings == []
    assert plan.tls is not None
    rules = plan.tls.masters["main"]
    assert rules.subjects == ((("CN", "main"), ("O", "Grid, north")),)
    assert rules.fingerprints == {print_.lower()}
    assert rules.certificates == (str(bench.gateway.resolve()),)
    assert plan.tls.minimum == "1.3"


def test_a_key_that_everyone_can_read_does_not_start(bench: Bench) -> None:
    bench.gateway.with_suffix(".key").chmod(0o644)
    bench.compile()
    (error,) = bench.errors
    assert "can be read by everyone on this machine (mode 0644): chmod 600" in error


def test_a_key_that_its_group_can_read_is_warned_of(bench: Bench) -> None:
    bench.gateway.with_suffix(".key").chmod(0o640)
    bench.compile()
    assert bench.errors == []
    assert "0600 recommended" in bench.warnings[0]


def test_a_key_of_another_certificate(bench: Bench) -> None:
    bench.authority.issue("other")
    bench.compile(key="other.key")
    assert "other.key is not the key of" in bench.errors[0]


def test_a_file_that_is_no_certificate(bench: Bench) -> None:
    (bench.folder / "empty.pem").write_text("")
    bench.compile(ca="empty.pem")
    assert "no certificate or revocation list in" in bench.errors[0]
    assert "empty.pem" in bench.errors[0]


def test_a_certificate_that_ends_soon_is_warned_of_with_its_day(bench: Bench) -> None:
    bench.authority.issue("gateway", span=(NOW - DAY, NOW + 10 * DAY + datetime.timedelta(hours=1)))
    bench.compile()
    assert bench.errors == []
    (warning,) = bench.warnings
    assert "our certificate expires on" in warning and "in 10 days" in warning


def test_what_time_has_made_wrong_does_not_keep_a_site_from_starting(bench: Bench) -> None:
    bench.authority.issue("gateway", span=EXPIRED)
    bench.authority.issue("pinned", span=EXPIRED)
    bench.authority.write_list(next_update=NOW - DAY)
    bench.compile({"tls_certificates": ["pinned.pem"]}, crl="ca.crl")
    assert bench.errors == []
    ours, pinned, revocations = bench.warnings
    assert "our certificate expired on" in ours
    assert "the pinned certificate of main expired on" in pinned
    assert "every master is refused until it is renewed" in revocations


def test_a_list_that_ends_soon(bench: Bench) -> None:
    bench.authority.write_list(next_update=NOW + DAY)
    bench.compile(crl="ca.crl")
    assert "every master is refused from then on" in bench.warnings[0]


def test_a_master_that_nothing_is_trusted_for(bench: Bench) -> None:
    bench.compile(ca="")
    assert "master main can show no certificate that is trusted" in bench.errors[0]


def test_a_revocation_list_without_authority(bench: Bench) -> None:
    bench.compile({"tls_certificates": ["gateway.pem"]}, ca="", crl="ca.crl")
    assert "crl without ca" in bench.errors[0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"tls_subject": "main"}, "NAME=VALUE expected"),
        ({"tls_subject": "CX=main"}, "names are"),
        ({"tls_fingerprints": "12:34"}, "64 hexadecimal digits expected"),
        ({"tls_certificates": "none.pem"}, "no file"),
    ],
)
def test_a_wrong_word_about_a_master(bench: Bench, keys: dict[str, str], words: str) -> None:
    bench.compile(keys)
    assert words in bench.errors[0]


def test_keys_of_a_master_need_tls_of_the_server(bench: Bench) -> None:
    settings = Iec104ServerSettings.model_validate({"name": "s", "protocol": "iec104", "listen": "127.0.0.1:2404"})
    told = {"name": "main", "addresses": ["10.0.0.1"], "map": "m.csv", "tls_subject": "CN=main"}
    source = MasterSource(Iec104MasterSettings.model_validate(told), [], TLS_LINE)
    SETTINGS.compile(ServerSource(settings, [source], TLS_LINE), PointCatalogue.of([]), bench.report)
    assert bench.errors == ["tls_subject of master main: its server has no tls"]


def test_dates_are_those_that_cryptography_reads(bench: Bench) -> None:
    text = bench.authority.issue("far", span=(NOW, NOW.replace(year=2060, day=1))).read_text()
    (der,) = certificates.pem_blocks(text, "CERTIFICATE")
    known = x509.load_der_x509_certificate(der)
    wanted = (known.not_valid_before_utc.timestamp(), known.not_valid_after_utc.timestamp())
    assert certificates.validity(der) == wanted
    (crl,) = certificates.pem_blocks(bench.authority.revocations.read_text(), "X509 CRL")
    due = x509.load_der_x509_crl(crl).next_update_utc
    assert due is not None
    assert certificates.next_update(crl) == due.timestamp()


def test_a_damaged_certificate_is_no_surprise(bench: Bench) -> None:
    (der,) = certificates.pem_blocks(bench.gateway.read_text(), "CERTIFICATE")
    chance = random.Random(1)
    for _ in range(2_000):
        octets = bytearray(der[: chance.randrange(1, len(der) + 1)])
        octets[chance.randrange(len(octets))] = chance.randrange(256)
        for read in (certificates.validity, certificates.next_update):
            try:
                read(bytes(octets))
            except CertificateError:
                continue


@given(st.binary(max_size=64))
def test_random_octets_are_no_certificate(octets: bytes) -> None:
    for read in (certificates.validity, certificates.next_update):
        with pytest.raises(CertificateError):
            read(octets)
