"""TLS on the 104 listener: a master with a certificate of the site's authority comes in, others do not."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest

from protocols.iec104.plan import TlsPlan
from tests.contract.test_servers import plan, site
from tests.peers.raw104 import Raw104, asdu

x509 = pytest.importorskip("cryptography.x509", reason="cryptography makes the test certificates")
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name, self._key = folder, name, ec.generate_private_key(ec.SECP256R1())
        self.file = str(folder / f"{name}.pem")
        own = self._sign(name, self._key.public_key(), authority=True)
        Path(self.file).write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[str, str]:
        """Files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, key_file = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(self._sign(name, key.public_key()).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(certificate), str(key_file)

    def _sign(self, name: str, public_key: ec.EllipticCurvePublicKey, *, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self._name)])
        return (
            x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


def client(trusted: Authority, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(trusted.file)
    if certificate:
        context.load_cert_chain(*certificate)
    return context


def test_only_a_master_with_the_right_certificate_is_served(tmp_path: Path) -> None:
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    certificate, key = ours.issue("gateway")
    tls = TlsPlan(certificate=certificate, key=key, ca=ours.file)

    async def talk() -> None:
        async with site(plan(tls=tls)) as running:
            master = await running.connect(ssl=client(ours, ours.issue("master")))
            await master.start()
            await master.send(asdu(100, 6, 1, 0, "14"))
            assert len(await master.collect((100, 10))) > 2
            for wrong in (client(ours), client(ours, others.issue("stranger"))):
                with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                    await (await running.connect(ssl=wrong)).start()
            plain = await Raw104.connect(running.server.bound_port)
            await plain.say("680407000000")
            assert await plain.ended()
            await plain.close()
            assert len(running.server.links) == 1

    asyncio.run(talk())


def test_a_certificate_that_is_none_keeps_the_server_from_starting(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    (tmp_path / "bad.key").write_text("no key")

    async def talk() -> None:
        with pytest.raises(OSError, match="PEM"):
            async with site(plan(tls=TlsPlan(certificate=ours.file, key=str(tmp_path / "bad.key"), ca=ours.file))):
                pass

    asyncio.run(talk())
