"""TLS from the site file to the wire: `gridgate pki`, `gridgate check`, a gateway, and masters with their own."""

from __future__ import annotations

import asyncio
import re
import ssl
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="gridgate pki needs cryptography")

from gateway.__main__ import main
from gateway.cli.pki import Authority
from tests.kit.gateway import DemoSite, wait_until
from tests.kit.pki import client
from tests.peers.raw104 import Raw104, asdu


def with_tls(demo: DemoSite) -> Path:
    """Certificates beside the demo site, and the site told of them."""
    folder = demo.site.parent / "pki"
    assert main(["pki", str(folder), "sldc", "stranger"]) == 0
    text = demo.site.read_text()
    keys = "tls: {certificate: pki/gateway.pem, key: pki/gateway.key, ca: pki/ca.pem, crl: pki/ca.crl, minimum: 1.2}"
    text, count = re.subn(r"^( *)protocol: iec104\n", rf"\g<0>\1{keys}\n", text, flags=re.MULTILINE)
    text, masters = re.subn(r"^( *)(- )name: sldc-main\n", r"\g<0>\1  tls_subject: CN=sldc\n", text, flags=re.MULTILINE)
    assert (count, masters) == (1, 1)
    demo.site.write_text(text)
    return folder


async def interrogate(port: int, context: ssl.SSLContext) -> int:
    master = await Raw104.connect(port, ssl=context)
    try:
        await master.start()
        await master.send(asdu(100, 6, 1, 0, "14"))
        return len(await master.collect((100, 10)))
    finally:
        await master.close()


def test_a_site_with_tls(tmp_path: Path) -> None:
    with DemoSite(tmp_path) as demo:
        pki = with_tls(demo)
        checked = demo.cli("check")
        assert (checked.returncode, checked.stderr) == (0, "")
        demo.start_simulator()
        demo.start()
        ours = Authority.at(pki)
        assert asyncio.run(interrogate(demo.port, client(ours, pki / "sldc.pem"))) > 2
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            asyncio.run(interrogate(demo.port, client(ours, pki / "stranger.pem")))
        wait_until(lambda: refusals(demo), "the refusal in the log")
        assert refusals(demo) == ["certificate of CN=stranger is not allowed for sldc-main"]
        told = demo.cli("trace", "sldc-main").stdout
        assert "C_IC_NA_1 activation ca 1: station" in told, "the trace holds what TLS hid"
        assert main(["pki", str(pki), "--revoke", "sldc"]) == 0
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            asyncio.run(interrogate(demo.port, client(ours, pki / "sldc.pem")))
        wait_until(lambda: "certificate is revoked" in refusals(demo), "the revocation in the log")


def refusals(demo: DemoSite) -> list[str]:
    return [str(line["cause"]) for line in demo.log_lines() if line.get("event") == "connection refused"]


def test_check_tells_of_a_key_that_everyone_can_read(tmp_path: Path) -> None:
    with DemoSite(tmp_path) as demo:
        (with_tls(demo) / "gateway.key").chmod(0o644)
        checked = demo.cli("check")
        assert checked.returncode == 1
        assert re.search(r"site\.yaml, line \d+: tls: key .* can be read by everyone", checked.stderr)
