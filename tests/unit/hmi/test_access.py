"""The parts that decide who may: buckets, crowds, addresses, sessions, tokens. And what is said of them to machines."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.log import get_log
from gateway.users.roles import Role
from gateway.users.store import UserFileError, UserStore, changed_users, first_administrator, read_users
from hmi.access.firstuser import first_user
from hmi.access.guard import CALLS_AT_ONCE, Guard, host_of
from hmi.access.limits import Buckets, Crowd
from hmi.access.peers import Peers
from hmi.access.person import Person
from hmi.access.sessions import MOST, Sessions
from hmi.access.tokens import TokenStore
from hmi.exposition import Family, render
from hmi.processes import running

OMAR = Person(name="omar", role=Role.OPERATOR)


# -- how often, how many, from where -------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 5), max_size=60))
def test_a_bucket_never_gives_more_than_its_burst_and_its_rate(waits: list[float]) -> None:
    bucket, now_s, given_ = Buckets(per_s=2, burst=3), 0.0, 0
    for wait in waits:
        now_s += wait
        given_ += bucket.take("peer", now_s) == 0
    assert given_ <= 3 + 2 * now_s + 1e-6


def test_a_bucket_says_how_long_to_wait_and_forgets_who_is_quiet() -> None:
    bucket = Buckets(per_s=2, burst=1, keys=2)
    assert bucket.take("a", 0.0) == 0
    assert bucket.take("a", 0.0) == pytest.approx(0.5)
    assert bucket.take("b", 0.0) == 0, "another peer has its own"
    bucket.take("c", 0.0)
    assert bucket.take("a", 0.0) == 0, "the oldest of three was forgotten"


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=100))
def test_a_crowd_counts_right(steps: list[tuple[bool, str]]) -> None:
    crowd, inside = Crowd(most=5, most_of_peer=3), list[str]()
    for comes, peer in steps:
        if comes and not crowd.full(peer):
            crowd.enter(peer)
            inside.append(peer)
        elif not comes and peer in inside:
            crowd.leave(peer)
            inside.remove(peer)
        assert crowd.total == len(inside) <= 5
        assert all(inside.count(each) <= 3 for each in "abc")
        assert crowd.full("a") == ("peer" if inside.count("a") >= 3 else "all" if len(inside) >= 5 else "")


def test_addresses_are_networks_of_both_kinds() -> None:
    peers = Peers(["10.1.0.0/16", "fd00::/8", "192.168.1.7"])
    assert all(map(peers.admits, ("10.1.2.3", "fd12::1", "192.168.1.7", "::ffff:10.1.2.3", "fd12::1%eth0")))
    assert not any(map(peers.admits, ("10.2.0.1", "192.168.1.8", "::1", "", "elsewhere")))
    assert Peers([]).admits("anybody") and not Peers([]).named("127.0.0.1")


@pytest.mark.parametrize(
    ("header", "host"), [("Gateway.Example:8080", "gateway.example"), ("[::1]:8080", "::1"), ("[::1]", "::1"), ("", "")]
)
def test_the_host_of_a_header(header: str, host: str) -> None:
    assert host_of(header) == host


def test_who_calls_without_end_is_slowed_alone() -> None:
    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard, answers = Guard(page, {"gateway"}), dict[str, list[int]]()

    async def call(peer: str) -> None:
        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answers.setdefault(peer, []).append(message["status"])

        headers = [(b"host", b"gateway")]
        scope = {"type": "http", "scheme": "http", "headers": headers, "client": (peer, 1), "server": ("10.0.0.1", 80)}
        await guard(scope, None, send)  # type: ignore[arg-type]

    async def story() -> None:
        while 429 not in answers.get("flood", []):  # a slow machine takes longer to be too quick
            await call("flood")
        await call("omar")

    asyncio.run(story())
    assert answers["flood"][0] == 200 and answers["flood"][-1] == 429
    assert answers["flood"].count(200) >= CALLS_AT_ONCE
    assert answers["omar"] == [200]


# -- sessions ------------------------------------------------------------------------------------------------------


def test_a_session_ends_by_idleness_and_only_a_person_keeps_it() -> None:
    sessions = Sessions(idle_s=10, longest_s=25)
    token, session = sessions.open(OMAR, 0)
    ended = list[str]()
    session.at_end.add(lambda: ended.append("told"))
    assert sessions.find(token, 9, touch=False) is session and sessions.left_s(session, 9) == 1
    assert sessions.find(token, 9) is session, "a person acts"
    assert sessions.left_s(session, 9) == 10
    sessions.sweep(18.9)
    assert not ended
    sessions.sweep(19)
    assert ended == ["told"] and sessions.find(token, 19) is None

    token, session = sessions.open(OMAR, 100)
    for second in range(100, 125, 5):
        assert sessions.find(token, second) is session
    assert sessions.left_s(session, 124) == 1, "longest_s ends it in any case"
    assert sessions.find(token, 125) is None


def test_sessions_are_anew_bounded_and_closed_by_name() -> None:
    sessions = Sessions(idle_s=1000, longest_s=10_000)
    tokens = {sessions.open(OMAR, second)[0] for second in range(MOST + 5)}
    assert len(tokens) == MOST + 5 and len(sessions) == MOST
    other, _ = sessions.open(Person(name="vera", role=Role.VIEWER), 300)
    sessions.close_all("omar")
    assert sessions.people() == {"vera"} and sessions.count("vera") == 1
    assert sessions.find("", 300) is None and sessions.find(other, 300) is not None


# -- tokens --------------------------------------------------------------------------------------------------------


def test_tokens_survive_a_restart_expire_and_are_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = [1_000_000]
    monkeypatch.setattr("hmi.access.tokens._now_ms", lambda: now_ms[0])
    path, log = tmp_path / "tokens.json", get_log()
    store = TokenStore(path, log)
    store.open()
    secret, token = store.make("scada", Role.OPERATOR, "adam", 2_000_000)
    for_ever, _ = store.make("grafana", Role.VIEWER, "adam", 0)
    store.keep()
    assert path.stat().st_mode & 0o077 == 0
    assert secret.rpartition("_")[2] not in path.read_text()

    again = TokenStore(path, log)
    again.open()
    found = again.find(secret)
    assert found is not None and found.role is Role.OPERATOR and found.used_ms == 1_000_000
    for wrong in ("", "ggt", secret[:-1], secret + "x", secret.replace("ggt", "gg"), f"ggt_{token.id}_", "Bearer"):
        assert again.find(wrong) is None, wrong
    now_ms[0] = 2_000_000
    assert again.find(secret) is None, "it has ended"
    assert again.find(for_ever) is not None
    told = list[str]()
    again.at_end[token.id] = {lambda: told.append("ended")}
    assert again.revoke(token.id) is not None and told == ["ended"]
    assert again.revoke(token.id) is None
    again.keep()
    assert [each["name"] for each in json.loads(path.read_text())["tokens"]] == ["grafana"]


def test_a_broken_file_of_tokens_lets_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text('{"tokens": [{"id": 1}]}')
    store = TokenStore(path, get_log())
    store.open()
    assert store.tokens == {} and store.find("ggt_1_") is None
    store.keep()
    assert path.read_text() == '{"tokens": [{"id": 1}]}', "what cannot be read is not overwritten"


# -- users ---------------------------------------------------------------------------------------------------------


def test_the_first_administrator_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "users.yaml"
    password = first_administrator(path)
    assert len(password) >= 20 and first_administrator(path) == ""
    admin = read_users(path)["admin"]
    assert admin.must_change and admin.roles == {"administrator"}
    store = UserStore(path)
    store.refresh()
    assert store.verify_password("admin", password) is not None
    assert path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0


def test_without_a_terminal_nobody_is_made(tmp_path: Path) -> None:
    first_user(tmp_path / "users.yaml", "https://gateway", tmp_path / "site.yaml", get_log())
    assert not (tmp_path / "users.yaml").exists()


def test_a_change_that_fails_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    first_administrator(path)
    before = path.read_bytes()
    with pytest.raises(UserFileError), changed_users(path) as users:
        users.clear()
        raise UserFileError("no")
    assert path.read_bytes() == before


# -- what machines read --------------------------------------------------------------------------------------------


@given(st.text(max_size=40), st.floats(allow_nan=True, allow_infinity=True))
@settings(deadline=None)
def test_a_parser_reads_any_label_and_value_back(label: str, value: float) -> None:
    family = Family("gridgate_x", "gauge", "Some\nhelp \\ here.")
    family.add(value, name=label)
    family.add(None, name="left out")
    (read,) = text_string_to_metric_families(render([family, Family("gridgate_y", "counter", "Empty.")]))
    (sample,) = read.samples
    assert sample.labels == {"name": label}
    assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def test_processes_are_found_by_their_titles(tmp_path: Path) -> None:
    def process(pid: int, title: str, state: str = "S") -> None:
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_bytes(title.encode() + b"\0\0\0")
        fields = [state, *["0"] * 10, "150", "50", *["0"] * 8, "1000", "0"]
        (folder / "stat").write_text(f"{pid} (python (x)) " + " ".join(fields))

    children = tmp_path / "1" / "task" / "1" / "children"
    children.parent.mkdir(parents=True)
    children.write_text("11 12 13 14 ")
    process(11, "gridgate core")
    process(12, "gridgate iec104 sldc", "Z")
    process(13, "something else")
    found = running(tmp_path, 1)
    assert set(found) == {"core"} and found["core"].cpu_s == 2.0 and found["core"].resident_bytes > 1e6
    assert running(tmp_path, 99) == {}
