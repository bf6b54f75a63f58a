"""A gateway's first start at a person's terminal, over TLS with its own certificate; and the page that locks itself."""

from __future__ import annotations

import os
import pty
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from gateway.tls.certificates import fingerprint, pem_blocks
from gateway.users.store import read_users
from hmi.owncertificate import keep_own
from hmi.plan import HmiPlan, HmiTls
from tests.kit.gateway import ENVIRONMENT, START_S, DemoSite, listens, wait_until
from tests.kit.hmikit import needs_chromium

OWN = "the password of the first administrator"
HMI = "hmi: {tls: {}, idle_min: 0.1, addresses: [127.0.0.1, 127.0.3.0/24], metrics_addresses: [127.0.3.1], "


@dataclass
class Terminal:
    """What a person sees who starts the gateway by hand."""

    site: DemoSite
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.words)

    @property
    def certificate(self) -> Path:
        return self.site.state_dir / "pki" / "hmi" / "certificate.pem"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.site.hmi_port}"

    def client(self, address: str = "127.0.0.1", **more: Any) -> httpx.Client:
        """A program that trusts the gateway's own certificate, and nothing else."""
        trusting = ssl.create_default_context(cafile=self.certificate)
        transport = httpx.HTTPTransport(verify=trusting, local_address=address)
        return httpx.Client(base_url=self.url, transport=transport, timeout=20, **more)

    def listen(self, end: int) -> None:
        while True:
            try:
                data = os.read(end, 4096)
            except OSError:
                return
            if not data:
                return
            self.words.append(data.decode(errors="replace"))


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    with DemoSite(Path(tmp_path_factory.mktemp("first")), hmi=True) as site:
        site.site.write_text(site.site.read_text().replace("hmi: {", HMI))
        site.start_simulator()
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "gateway", "run", str(site.site), "--state-dir", str(site.state_dir)]
        environment = {**ENVIRONMENT, "GRIDGATE_LOG": "text"}
        gateway = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=environment)
        os.close(theirs)
        site.adopt(gateway)
        seen = Terminal(site)
        listening = threading.Thread(target=seen.listen, args=(ours,), daemon=True)
        listening.start()
        wait_until(lambda: "gateway serves" in seen.text, "the gateway to serve", START_S)
        wait_until(lambda: listens(site.hmi_port), "the HMI, which may be later than the rest", START_S)
        yield seen
        site.stop(15)
        listening.join(5)
        os.close(ours)


@pytest.fixture(scope="module")
def admin(terminal: Terminal) -> str:
    """The password printed at the first start; it has been changed to `OWN` by its first user."""
    (printed,) = re.findall(r"First user: admin +password: (\S+)", terminal.text)
    with terminal.client() as page:
        first = page.post("/api/login", json={"name": "admin", "password": printed})
        assert first.json()["must_change"] is True and first.json()["role"] == "administrator"
        assert page.get("/api/site").status_code == 403
        csrf = {"X-CSRF-Token": first.json()["csrf"]}
        changed = page.post("/api/password", json={"old": printed, "new": OWN}, headers=csrf)
        assert changed.status_code == 200
        assert page.get("/api/site").status_code == 200
    return str(printed)


def test_the_first_password_is_shown_once_and_kept_nowhere(terminal: Terminal, admin: str) -> None:
    assert terminal.text.count(admin) == 1
    user = read_users(terminal.site.state_dir / "users.yaml")["admin"]
    assert user.password.startswith("$argon2id$") and not user.must_change
    kept = [path for path in terminal.site.state_dir.rglob("*") if path.is_file()]
    assert kept and not any(admin.encode() in path.read_bytes() for path in kept)
    with terminal.client() as page:
        assert page.post("/api/login", json={"name": "admin", "password": admin}).status_code == 401


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_is_what_it_should_be(terminal: Terminal, admin: str) -> None:
    key = terminal.certificate.with_name("key.pem")
    assert key.stat().st_mode & 0o077 == 0 and terminal.certificate.parent.stat().st_mode & 0o077 == 0
    with terminal.client() as page:
        answer = page.post("/api/login", json={"name": "admin", "password": OWN})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-gridgate_session=") and "Secure" in cookie and "HttpOnly" in cookie
        assert "max-age" in answer.headers["strict-transport-security"]
        (own,) = page.get("/api/certificates").json()
        assert own["of"] == "hmi" and own["use"] == "own" and own["days_left"] > 800
        assert "demo-bess" in own["subject"] and len(own["sha256"]) == 64
    with socket.create_connection(("127.0.0.1", terminal.site.hmi_port)) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        plain.settimeout(10)
        assert b"HTTP/1.1 200" not in plain.recv(1000)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", terminal.site.hmi_port)) as link, pytest.raises(OSError):
        old.wrap_socket(link)


def test_only_named_addresses_come_in_and_some_read_the_figures(terminal: Terminal, admin: str) -> None:
    with terminal.client("127.0.4.4") as stranger, pytest.raises(httpx.TransportError):
        stranger.get("/health")
    with terminal.client("127.0.3.2") as neighbour:
        assert neighbour.get("/metrics").status_code == 401
    with terminal.client("127.0.3.1") as prometheus:
        assert "gridgate_points " in prometheus.get("/metrics").text
        assert prometheus.get("/telemetry").status_code == 401
    assert "address is not among those" in terminal.text


def test_who_hangs_in_the_handshake_hinders_nobody(terminal: Terminal, admin: str) -> None:
    hanging = []
    for _ in range(120):
        hanging.append(socket.create_connection(("127.0.0.1", terminal.site.hmi_port), source_address=("127.0.3.9", 0)))
    with terminal.client() as page:
        assert page.get("/health").status_code in (200, 503)
    for each in hanging:
        each.close()


@needs_chromium
def test_the_page_warns_locks_and_opens_again(terminal: Terminal, admin: str, browser: Browser) -> None:
    place = browser.new_context(ignore_https_errors=True)
    page = place.new_page()
    page.goto(f"{terminal.url}/#/overview")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(OWN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=20_000)
    for _ in range(8):  # a person who is there
        page.keyboard.press("Shift")
        page.wait_for_timeout(1000)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator(".shell.offline")).to_have_count(0)  # the stream comes over TLS too
    # Nobody touches it; the stream of live values goes on.
    expect(page.get_by_text("the page locks in")).to_be_visible(timeout=20_000)
    expect(page.get_by_text("Locked: the session has ended")).to_be_visible(timeout=20_000)
    expect(page.get_by_label("Name")).to_have_value("admin")
    page.get_by_label("Password").fill(OWN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible(timeout=20_000)
    place.close()


def test_a_renewed_certificate_is_shown_without_a_restart(terminal: Terminal, admin: str) -> None:
    def shown() -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", terminal.site.hmi_port))
        return fingerprint(ssl.PEM_cert_to_DER_cert(pem))

    (before,) = pem_blocks(terminal.certificate.read_text(), "CERTIFICATE")
    assert shown() == fingerprint(before)
    terminal.certificate.unlink()
    plan = HmiPlan(host="127.0.0.1", port=0, tls=HmiTls())
    from gateway.log import get_log

    keep_own(plan, terminal.site.state_dir, "demo-bess", get_log())
    (after,) = pem_blocks(terminal.certificate.read_text(), "CERTIFICATE")
    assert shown() == fingerprint(after) != fingerprint(before)
