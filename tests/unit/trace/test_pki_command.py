"""`gridgate pki`: what is missing is made, what is there stays, and openssl's rules are kept."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="cryptography makes the test certificates")
from cryptography import x509

from gateway.__main__ import main


def test_it_makes_what_is_missing_and_leaves_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pki"
    assert main(["pki", str(folder), "sldc", "--hosts", "gw.example,10.0.0.1"]) == 0
    names = {path.name for path in folder.iterdir()}
    assert names == {"ca.pem", "ca.key", "ca.crl", "gateway.pem", "gateway.key", "sldc.pem", "sldc.key"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.glob("*.key"))
    before = (folder / "sldc.pem").read_bytes()
    assert main(["pki", str(folder), "sldc", "rldc", "--revoke", "sldc"]) == 0
    assert (folder / "sldc.pem").read_bytes() == before
    said = capsys.readouterr().out
    assert "tls_subject: CN=rldc" in said
    revoked = x509.load_pem_x509_crl((folder / "ca.crl").read_bytes())
    assert [entry.serial_number for entry in revoked] == [x509.load_pem_x509_certificate(before).serial_number]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "gateway.pem", folder / "gateway.key")
    gateway = x509.load_pem_x509_certificate((folder / "gateway.pem").read_bytes())
    names_of = gateway.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names_of.get_values_for_type(x509.DNSName) == ["gw.example"]


@pytest.mark.parametrize("wrong", [["../x"], ["ca"], ["--revoke", "nobody"]])
def test_a_wrong_name_is_told(tmp_path: Path, wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pki", str(tmp_path / "pki"), *wrong]) == 1
    assert capsys.readouterr().err
