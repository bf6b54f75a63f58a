"""The section `hmi:` is checked: what would be unsafe does not start, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.pki import authority
from tests.kit.sitekit import Site, small_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with small_site(tmp_path) as made:
        yield made


def with_hmi(site: Site, text: str) -> Site:
    site.write("site.yaml", site.path.read_text() + f"hmi: {{{text}}}\n")
    return site


def test_on_the_loopback_plain_http_beyond_it_tls_with_a_warning(site: Site) -> None:
    assert with_hmi(site, "").load().screen.where == "http://127.0.0.1:8080"
    site.change("site.yaml", "hmi: {}", "hmi: {listen: '0.0.0.0:8443'}")
    plan = site.load()
    assert plan.screen.where == "https://0.0.0.0:8443"
    assert plan.screen.tls_files(Path("/state")).certificate == "/state/pki/hmi/certificate.pem"
    assert any("addresses names those that may" in str(problem) for problem in plan.warnings)
    site.change("site.yaml", "8443'", "8443', addresses: [10.0.0.0/8]")
    assert not any("addresses" in str(problem) for problem in site.load().warnings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("listen: '0.0.0.0:80', insecure: true", "pass in clear; addresses that may come in expected"),
        ("insecure: true, tls: {}", "one of them is meant"),
        ("tls: {certificate: c.pem}", "certificate and key, or neither"),
        ("tls: {certificate: c.pem, key: k.pem}", "tls certificate: no file"),
        ("addresses: [10.0.0.0/33]", "10.0.0.0/33"),
        ("metrics_addresses: [everywhere]", "everywhere"),
        ("tls: {minimum: 1.1}", "minimum"),
        ("listen: gateway", "an IP address and a port"),
    ],
)
def test_what_is_not_safe_does_not_start(site: Site, text: str, words: str) -> None:
    assert any(words in error for error in with_hmi(site, text).errors()), site.errors()


def test_insecure_is_what_the_engineer_wrote(site: Site) -> None:
    plan = with_hmi(site, "listen: '0.0.0.0:80', insecure: true, addresses: [10.0.0.0/8]").load()
    assert plan.screen.where == "http://0.0.0.0:80" and plan.screen.tls is None


def test_a_certificate_that_does_not_fit_its_key_is_told(site: Site) -> None:
    mine = authority(site.folder)
    one, other = mine.issue("one"), mine.issue("other")
    text = f"tls: {{certificate: {one}, key: {other.with_suffix('.key')}}}"
    assert any("is not the key of" in error for error in with_hmi(site, text).errors())
    site.change("site.yaml", str(other.with_suffix(".key")), str(one.with_suffix(".key")))
    assert site.load().screen.tls.certificate == str(one)
