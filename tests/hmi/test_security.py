"""Strangers, thieves, guessers and the impatient: refused or bounded, while others work."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway.users.roles import Role
from gateway.users.store import User, changed_users, hash_password
from tests.kit.gateway import wait_until
from tests.kit.hmikit import PASSWORD, Caller, HmiSite, accessible, desk, fits, needs_chromium


def audit(hmi: HmiSite) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for path in sorted((hmi.site.state_dir / "audit").glob("hmi-*.jsonl")):
        lines += [json.loads(line) for line in path.read_text().splitlines()]
    return lines


def recorded(hmi: HmiSite, **facts: Any) -> None:
    wait_until(lambda: any(facts.items() <= line.items() for line in audit(hmi)), f"{facts} in the record")


def add_user(hmi: HmiSite, name: str, role: Role = Role.OPERATOR, *, must_change: bool = False) -> None:
    with changed_users(hmi.site.state_dir / "users.yaml") as users:
        users[name] = User(
            name=name, roles=frozenset({role.value}), password=hash_password(PASSWORD), must_change=must_change
        )


class Sockets:
    """WebSockets as people's pages open them; closed at the test's end."""

    def __init__(self, hmi: HmiSite, stack: ExitStack) -> None:
        self._hmi, self._stack = hmi, stack

    def open(self, who: Caller, *, origin: str = "", source: str = "127.0.0.1") -> ClientConnection:
        cookies = "; ".join(f"{name}={value}" for name, value in who.http.cookies.items())
        headers = {"Cookie": cookies, "Origin": origin or self._hmi.url}
        url = self._hmi.url.replace("http", "ws") + "/api/stream"
        return self._stack.enter_context(connect(url, additional_headers=headers, source_address=(source, 0)))


@pytest.fixture
def sockets(hmi: HmiSite) -> Iterator[Sockets]:
    with ExitStack() as stack:
        yield Sockets(hmi, stack)


def as_session(hmi: HmiSite, token: str) -> httpx.Response:
    """Who this cookie is taken for."""
    with httpx.Client(base_url=hmi.url, cookies={"gridgate_session": token}) as client:
        return client.get("/api/session")


def session_ends(who: Caller) -> Callable[[], bool]:
    return lambda: who.http.get("/api/session").status_code == 401


# -- sessions ------------------------------------------------------------------------------------------------------


def test_a_session_that_was_planted_is_not_taken_over(hmi: HmiSite) -> None:
    omar = hmi.caller()
    omar.http.cookies.set("gridgate_session", "planted-by-mallory", domain="127.0.0.1")
    answer = omar.login("omar")
    token = answer.cookies["gridgate_session"]
    assert token != "planted-by-mallory"
    assert as_session(hmi, "planted-by-mallory").status_code == 401

    set_cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in set_cookie and "samesite=strict" in set_cookie and "path=/" in set_cookie

    omar.http.cookies.clear()
    omar.http.cookies.set("gridgate_session", token, domain="127.0.0.1")
    second = omar.login("omar")
    assert second.cookies["gridgate_session"] != token
    assert as_session(hmi, token).status_code == 401


def test_another_site_gets_nothing_done(hmi: HmiSite, sockets: Sockets) -> None:
    omar = hmi.caller("omar")
    evil = {"Origin": "http://evil.example", "X-CSRF-Token": omar.csrf}
    assert omar.http.post("/api/session/active", headers=evil).status_code == 403
    assert omar.http.post("/api/session/active").status_code == 403, "without the token"
    assert omar.http.get("/api/session", headers={"Sec-Fetch-Site": "cross-site"}).status_code in (200, 403)
    assert omar.http.get("/api/site", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    with pytest.raises(InvalidStatus):
        sockets.open(omar, origin="http://evil.example")
    assert omar.http.get("/api/site", headers={"Host": "evil.example"}).status_code == 421
    answer = omar.http.get("/")
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


def test_who_is_removed_or_demoted_is_out_at_once_with_all_sockets(hmi: HmiSite, sockets: Sockets) -> None:
    add_user(hmi, "rana", Role.ENGINEER)
    rana = hmi.caller()
    wait_until(lambda: rana.login("rana").status_code == 200, "rana to be known")
    page = sockets.open(rana)
    add_user(hmi, "rana", Role.VIEWER)  # in the file, as gridgate user does
    wait_until(session_ends(rana), "rana's session to end")
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            page.recv(timeout=10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


def test_a_given_password_is_good_for_nothing_but_an_own_one(hmi: HmiSite, sockets: Sockets) -> None:
    add_user(hmi, "nina", must_change=True)
    nina = hmi.caller()
    wait_until(lambda: nina.login("nina").status_code == 200, "nina to be known")
    assert nina.get("/api/session")["must_change"] is True
    refused = nina.ask("GET", "/api/site")
    assert refused.status_code == 403 and "own password" in refused.json()["error"]
    with pytest.raises(InvalidStatus):
        sockets.open(nina)
    recorded(hmi, step="denied", user="nina", call="GET /api/site")

    def change(old: str, new: str) -> httpx.Response:
        return nina.ask("POST", "/api/password", {"old": old, "new": new})

    assert change(PASSWORD, PASSWORD).status_code == 409
    assert change("a wrong guess", "another own password").status_code == 403
    assert change(PASSWORD, "short").status_code == 422
    old_cookie = nina.http.cookies["gridgate_session"]
    changed = change(PASSWORD, "nina's own password")
    assert changed.status_code == 200 and changed.json()["must_change"] is False
    assert as_session(hmi, old_cookie).status_code == 401
    assert nina.get("/api/site")["site"]
    assert hmi.caller().login("nina", PASSWORD).status_code == 401
    recorded(hmi, step="password changed", user="nina", peer="127.0.0.1")


def test_guessing_is_braked_and_does_not_lock_out_who_sits_elsewhere(hmi: HmiSite) -> None:
    def attempt(password: str) -> httpx.Response:
        return guesser.post("/api/login", json={"name": "adam", "password": password})

    transport = httpx.HTTPTransport(local_address="127.0.0.66")
    with httpx.Client(base_url=hmi.url, transport=transport) as guesser:
        statuses = [attempt(f"guess {number}").status_code for number in range(7)]
        right = attempt(PASSWORD)
    assert statuses[0] == 401 and statuses[-1] == 429
    assert right.status_code == 429 and int(right.headers["retry-after"]) >= 1
    assert hmi.caller("adam").get("/api/session")["name"] == "adam", "from another address"
    recorded(hmi, step="wrong", user="adam", peer="127.0.0.66")


def json_from(who: Caller) -> dict[str, str]:
    return {"Content-Type": "application/json", "X-CSRF-Token": who.csrf}


# -- the impatient and the endless ---------------------------------------------------------------------------------


def test_bodies_that_do_not_end_are_cut_off(hmi: HmiSite) -> None:
    omar = hmi.caller("omar")
    big = omar.http.post("/api/login", content=b"x" * (80 << 10), headers={"Content-Type": "application/json"})
    assert big.status_code == 413
    head = b"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 900000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", hmi.site.hmi_port)) as endless:
        endless.sendall(head)
        endless.settimeout(15)
        with pytest.raises(OSError):
            for _ in range(900_000):
                endless.sendall(b"y" * 1000)
    nested = "[" * 50_000
    deep = omar.http.post("/api/login", content=nested, headers={"Content-Type": "application/json"})
    assert deep.status_code in (400, 422)
    half = omar.http.post("/power", content=rb'{"power_kw": 1, "unit": "\ud800"}', headers=json_from(omar))
    assert half.status_code in (404, 409, 422), "half a character"
    assert omar.get("/api/site")["site"]


def test_two_hundred_idle_sockets_are_bounded(hmi: HmiSite, sockets: Sockets) -> None:
    callers = [hmi.caller(name) for name in ("vera", "omar", "esha", "adam")]
    opened: list[ClientConnection] = []
    refused = 0
    for number in range(200):
        try:
            opened.append(sockets.open(callers[number % 4], source=f"127.0.1.{number % 4 + 1}"))
        except InvalidStatus as error:
            assert error.response.status_code == 403
            refused += 1
    assert len(opened) == 80 and refused == 120, "20 of each person"
    assert hmi.caller("omar").get("/api/site")["site"]


def test_slowloris_hinders_nobody(hmi: HmiSite) -> None:
    omar = hmi.caller("omar")
    others = [hmi.site.child("core"), hmi.site.child("iec104 sldc")]
    slow: list[socket.socket] = []
    for number in range(400):
        each = socket.socket()
        each.bind((f"127.0.2.{number % 8 + 1}", 0))
        each.connect(("127.0.0.1", hmi.site.hmi_port))
        each.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        slow.append(each)
        if number % 40 == 0:
            assert omar.get("/api/session")["name"] == "omar"
    fresh = hmi.caller("omar")  # a new connection too
    assert fresh.get("/api/site")["site"]
    assert [hmi.site.child("core"), hmi.site.child("iec104 sldc")] == others

    # Whoever is still in trickles on, and is out once the head has taken too long.
    def all_out() -> bool:
        for each in list(slow):
            try:
                each.send(b"a")
            except OSError:
                each.close()
                slow.remove(each)
        time.sleep(0.2)
        return not slow

    wait_until(all_out, "the slow ones to be cut off", 30)
    assert omar.get("/api/session")["name"] == "omar"


def test_a_site_without_fleet_and_droop_says_so(hmi: HmiSite) -> None:
    omar = hmi.caller("omar")
    for refused in (
        omar.ask("POST", "/dispatch", {"power_kw": 10}),
        omar.ask("POST", "/droop/enable", {"enabled": True}),
        omar.ask("GET", "/frequency/status"),
    ):
        assert refused.status_code == 409 and "this site has no" in refused.json()["error"]


# -- the page ------------------------------------------------------------------------------------------------------


@needs_chromium
def test_nina_must_choose_an_own_password_before_she_sees_anything(hmi: HmiSite, browser: Browser) -> None:
    add_user(hmi, "noor", Role.VIEWER, must_change=True)
    place = browser.new_context(viewport={"width": 375, "height": 700})
    page = place.new_page()
    wait_until(lambda: hmi.caller().login("noor").status_code == 200, "noor to be known")
    page.goto(hmi.url)
    page.get_by_label("Name").fill("noor")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()
    accessible(page)
    fits(page)
    page.get_by_label("Present password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill("noor's own password")
    page.get_by_label("New password again").fill("noor's other password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the same")
    page.get_by_label("New password again").fill("noor's own password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert hmi.caller().login("noor", "noor's own password").status_code == 200
    place.close()


@needs_chromium
def test_vera_changes_her_password_in_the_page(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "vera") as page:
        page.get_by_role("button", name="Password").click()
        page.get_by_label("Present password").fill(PASSWORD)
        page.get_by_label("New password", exact=True).fill("vera's newer password")
        page.get_by_label("New password again").fill("vera's newer password")
        accessible(page)
        page.get_by_role("button", name="Change").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    vera = hmi.caller()
    assert vera.login("vera", "vera's newer password").status_code == 200
    vera.post("/api/password", {"old": "vera's newer password", "new": PASSWORD})
