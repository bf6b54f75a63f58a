"""Programs at the API: the plant read and ordered, tokens, users, the document, the figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gateway.users.roles import Role
from gateway.users.store import changed_users
from tests.kit.gateway import DemoSite, wait_until
from tests.kit.hmikit import PASSWORD, PEOPLE, HmiSite, hmi_site

BESS = "bess1"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HmiSite]:
    """The whole demo plant; its one unit is a fleet as well, and its watchdog has patience with a busy machine."""

    def add_fleet(site: DemoSite) -> None:
        text = site.site.read_text()
        fleet = "\n  fleets:\n    - {name: campus, units: [bess1]}\n  droop:"
        patient = text.replace("\ncontrol:", "\ncontrol:\n  watchdog_s: 30")
        site.site.write_text(patient.replace("\n  droop:", fleet))

    with hmi_site(Path(tmp_path_factory.mktemp("api")), whole=True, before=add_fleet) as site:
        yield site


@pytest.fixture(scope="module")
def program(whole: HmiSite) -> Iterator[httpx.Client]:
    """A program with an operator's token: no cookie, no page."""
    made = whole.caller("adam").post("/api/tokens", {"name": "vpp platform", "role": "operator", "days": 30})
    with httpx.Client(base_url=whole.url, headers={"Authorization": f"Bearer {made['token']}"}, timeout=30) as client:
        yield client


# -- the plant -----------------------------------------------------------------------------------------------------


def ready(program: httpx.Client) -> None:
    """The unit runs and takes a set-point; what has tripped is acknowledged and reset."""

    def takes_orders() -> bool:
        (unit,) = program.get("/nodes").json()["units"]
        if unit["tripped"] or unit["blocked"]:
            program.post("/api/interlocks/acknowledge", json={})
            program.post("/api/interlocks/reset", json={})
        elif unit["running"] is False:
            program.post("/control", json={"action": "enable"})
        return unit["running"] and not unit["tripped"] and program.get("/telemetry").json()["power_kw"] is not None

    wait_until(takes_orders, "the plant to take orders", 60)


def ordered(program: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    """The answer to an order that the plant obeys. On a busy machine a device may be lost for a moment: again then."""

    def obeyed() -> Any:
        ready(program)
        answer = program.post(path, json=body)
        return answer.json() if answer.status_code == 200 else None

    return wait_until(obeyed, f"{path} {body} to be obeyed", 60)


def refused(program: httpx.Client, path: str, body: dict[str, Any], words: str) -> None:
    """It is refused in these words."""

    def told() -> bool:
        answer = program.post(path, json=body)
        return answer.status_code == 409 and words in answer.json()["error"]

    wait_until(told, f"{path} {body} to be refused: {words}", 30)


def test_the_campus_is_dispatched_over_its_units(program: httpx.Client) -> None:
    done = ordered(program, "/dispatch", {"power_kw": 120.0, "fleet": "campus"})
    assert done["subject"] == "campus" and done["stage"] == "completed"
    wait_until(lambda: program.get("/telemetry").json()["units"][0]["target_kw"] == 120.0, "the unit's share")
    assert program.post("/dispatch", json={"power_kw": 10, "fleet": "town"}).status_code == 404
    refused(program, "/dispatch", {"power_kw": 90_000}, "what the units can do now")
    # A unit that has a set-point of its own keeps it; whoever asks the fleet is told.
    ordered(program, "/power", {"power_kw": 150.0})
    refused(program, "/dispatch", {"power_kw": 100.0}, "holds bess1")


def test_a_program_sets_the_power_and_the_plant_follows(whole: HmiSite, program: httpx.Client) -> None:
    ordered(program, "/droop/enable", {"enabled": False})
    done = ordered(program, "/power", {"power_kw": 210.0})
    assert done["stage"] == "completed" and done["subject"] == BESS

    def delivered() -> bool:
        unit = program.get("/telemetry").json()["units"][0]
        return abs(unit["power"]["value"] - 210.0) < 15 and unit["power"]["usable"] and unit["target_kw"] == 210.0

    wait_until(delivered, "the plant to follow", 40)
    refused(program, "/power", {"power_kw": 50_000}, "outside")
    nobody = program.post("/power", json={"power_kw": 1, "unit": "bess9"})
    assert nobody.status_code == 404 and BESS in nobody.json()["error"]
    assert program.post("/power", json={"power_kw": "a lot"}).status_code == 422
    audit = (whole.site.state_dir / "audit").glob("commands-*.jsonl")
    told = [json.loads(line) for path in audit for line in path.read_text().splitlines()]
    assert any("token vpp platform@127.0.0.1" in json.dumps(line) for line in told), "who and from where"


def test_droop_is_switched_and_told(program: httpx.Client) -> None:
    ready(program)

    def droop() -> dict[str, Any]:
        status: dict[str, Any] = program.get("/droop/status").json()[0]
        return status

    assert program.post("/droop/enable", json={"enabled": False, "unit": BESS}).status_code == 200
    wait_until(lambda: droop()["enabled"] is False and droop()["state"] == "off", "the droop to rest")
    assert program.post("/droop/enable", json={"enabled": True}).status_code == 200
    wait_until(lambda: droop()["enabled"] is True, "the droop to be on")
    assert droop()["curve"][0][0] < 50 < droop()["curve"][-1][0]
    frequency = wait_until(
        lambda: (told := program.get("/frequency/status").json()[0])["frequency_hz"] and told, "a frequency"
    )
    assert 45 < frequency["frequency_hz"] < 55 and frequency["source"] in ("poi/pmu/frequency", "poi/frequency")
    assert frequency["band"]


def test_what_there_is_and_what_it_could_do(program: httpx.Client) -> None:
    ready(program)
    nodes = program.get("/nodes").json()
    assert {"pcs1", "meter", "bms1", "pmu1", "pv1"} == {device["name"] for device in nodes["devices"]}
    assert [unit["name"] for unit in nodes["units"]] == [BESS]
    (unit,) = program.get("/capacity").json()["units"]
    assert unit["capacity_kwh"] == 2000 and unit["energy_up_kwh"] > 0
    assert unit["available_low_kw"] < 0 < unit["available_high_kw"]
    told = program.get("/telemetry", params={"points": ["bess1/pcs/*", "poi/power", "no/such"]}).json()
    assert "poi/power" in [point["point"] for point in told["points"]] and told["unknown"] == ["no/such"]
    assert nodes["fleets"] == ["campus"]


def test_an_emergency_stop_stops_is_told_and_is_reset(program: httpx.Client) -> None:
    ready(program)
    stopped = program.post("/control", json={"action": "emergency_stop", "reason": "smoke"}).json()
    assert stopped[0]["stage"] == "completed"

    def violations() -> dict[str, Any]:
        return {each["name"]: each for each in program.get("/safety/violations").json()}

    def running() -> bool | None:
        """None: not known just now."""
        told: bool | None = program.get("/nodes").json()["units"][0]["running"]
        return told

    wait_until(lambda: "tripped" in violations().get("stop_all", {}).get("state", []), "the trip")
    wait_until(lambda: running() is False, "the unit to stand")
    refused(program, "/power", {"power_kw": 100}, "interlock")
    reset = {"name": "stop_all"}
    wait_until(lambda: program.post("/api/interlocks/reset", json=reset).status_code == 200, "a reset")
    wait_until(lambda: "stop_all" not in violations(), "the trip to be gone")
    wait_until(lambda: running() is not None, "what the unit does")
    assert running() is not True, "a reset starts nothing"
    ready(program)


# -- rights --------------------------------------------------------------------------------------------------------


def document(hmi: HmiSite) -> dict[str, Any]:
    with httpx.Client(base_url=hmi.url) as anybody:
        found: dict[str, Any] = anybody.get("/api/openapi.json").json()
    return found


def test_the_document_is_valid_and_names_every_call(whole: HmiSite) -> None:
    from hmi.access.inside import Inside
    from hmi.api.tables import all_endpoints

    described = document(whole)
    OpenAPIV31SpecValidator(described).validate()
    inside: Any = type(
        "Nobody", (), {"gatekeeper": type("Nobody", (), {"tokens": None})(), "door": None, "calls": None}
    )
    assert Inside is not None
    expected = {(call.method.lower(), call.path.replace(":path", "")) for call in all_endpoints(inside)}
    assert expected == {(method, path) for path, of in described["paths"].items() for method in of}
    seeds = ("/health", "/telemetry", "/power", "/control", "/safety/violations", "/nodes", "/capacity", "/dispatch")
    assert {*seeds, "/frequency/status", "/droop/status", "/droop/enable", "/metrics"} <= described["paths"].keys()


def test_every_call_against_every_role(whole: HmiSite) -> None:
    """Below its right everybody is refused with 403, without a login with 401, whatever else is wrong with the call."""
    described = document(whole)
    callers = {role: whole.caller(name) for name, role in PEOPLE.items()}
    stranger = whole.caller()
    roles = list(Role)
    tried = 0
    for path, of in described["paths"].items():
        for method, operation in of.items():
            if not operation["security"] or {} in operation["security"]:
                continue
            right = Role(operation["description"].removeprefix("Right: ").rstrip("."))
            real = path.replace("{", "").replace("}", "")
            assert stranger.ask(method.upper(), real).status_code == 401, f"{method} {path} without a login"
            for role in roles[: roles.index(right)]:
                answer = callers[role].ask(method.upper(), real, {})
                assert answer.status_code == 403, f"{method} {path} as {role}: {answer.status_code}"
                tried += 1
    assert tried > 15


# -- people and programs -------------------------------------------------------------------------------------------


def test_adam_adds_promotes_and_removes_a_person(whole: HmiSite) -> None:
    adam = whole.caller("adam")
    first = adam.post("/api/users", {"name": "ravi", "role": "viewer"})["password"]
    assert adam.ask("POST", "/api/users", {"name": "ravi", "role": "viewer"}).status_code == 409
    assert adam.ask("POST", "/api/users", {"name": "../ravi", "role": "viewer"}).status_code == 422
    ravi = whole.caller()
    assert ravi.login("ravi", first).json()["must_change"] is True
    ravi.csrf = ravi.ask("POST", "/api/password", {"old": first, "new": "ravi's own password"}).json()["csrf"]
    assert ravi.get("/api/session")["role"] == "viewer"
    assert adam.put("/api/users/ravi", {"role": "operator"})["role"] == "operator"
    assert ravi.ask("GET", "/api/session").status_code == 401, "with another role he logs in again"
    again = adam.post("/api/users/ravi/password")["password"]
    assert whole.caller().login("ravi", again).json()["must_change"] is True
    names = {user["name"]: user for user in adam.get("/api/users")}
    assert names["ravi"]["role"] == "operator" and names["adam"]["sessions"] >= 1
    assert adam.ask("DELETE", "/api/users/ravi").status_code == 200
    assert adam.ask("DELETE", "/api/users/ravi").status_code == 404


def test_the_last_administrator_stays(whole: HmiSite) -> None:
    adam = whole.caller("adam")
    for refused in (adam.ask("DELETE", "/api/users/adam"), adam.ask("PUT", "/api/users/adam", {"role": "viewer"})):
        assert refused.status_code == 409 and "last administrator" in refused.json()["error"]
    with changed_users(whole.site.state_dir / "users.yaml") as users:
        assert users["adam"].roles == {"administrator"}


def test_a_token_is_shown_once_limited_and_revoked_at_once(whole: HmiSite) -> None:
    adam = whole.caller("adam")
    made = adam.post("/api/tokens", {"name": "grafana", "role": "viewer"})
    listed = {token["id"]: token for token in adam.get("/api/tokens")}
    assert "token" not in listed[made["id"]] and listed[made["id"]]["used_ms"] == 0
    file = whole.site.state_dir / "tokens.json"
    assert file.stat().st_mode & 0o077 == 0
    _, _, secret = made["token"].partition("_")
    assert len(secret) > 20 and secret[-20:] not in file.read_text()

    bearer = {"Authorization": f"Bearer {made['token']}"}
    with httpx.Client(base_url=whole.url, headers=bearer) as grafana:
        assert grafana.get("/telemetry").status_code == 200
        assert grafana.post("/power", json={"power_kw": 1}).status_code == 403
        assert grafana.post("/api/password", json={"old": PASSWORD, "new": "another one"}).status_code == 401
        with connect(whole.url.replace("http", "ws") + "/api/stream", additional_headers=bearer) as stream:
            stream.send(json.dumps({"points": ["poi/power"]}))
            assert json.loads(stream.recv(timeout=10))["topic"] == "points"
            assert adam.ask("DELETE", f"/api/tokens/{made['id']}").status_code == 200
            with pytest.raises(ConnectionClosed):
                while True:
                    stream.recv(timeout=10)
        assert grafana.get("/telemetry").status_code == 401
    assert adam.ask("POST", "/api/tokens", {"name": "x", "role": "administrator"}).status_code == 422
    wrong = made["token"][:-1] + ("A" if made["token"][-1] != "A" else "B")
    with httpx.Client(base_url=whole.url, headers={"Authorization": f"Bearer {wrong}"}) as thief:
        assert thief.get("/telemetry").status_code == 401


# -- what machines read --------------------------------------------------------------------------------------------


def test_prometheus_reads_the_figures(whole: HmiSite, program: httpx.Client) -> None:
    with httpx.Client(base_url=whole.url) as stranger:
        assert stranger.get("/metrics").status_code == 401
    answer = program.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    up = {sample.labels["process"]: sample.value for sample in families["gridgate_process_up"].samples}
    assert up == {"core": 1, "iec104 sldc": 1, "dnp3 rldc": 1, "historian": 1, "hmi": 1}
    online = {sample.labels["device"] for sample in families["gridgate_device_online"].samples}
    assert online == {"pcs1", "meter", "bms1", "pmu1", "pv1"}
    for name in ("master_events_waiting", "control_overruns", "points_by_quality", "alarms", "feed_age_seconds"):
        assert families[f"gridgate_{name}"].samples, name
    assert families["gridgate_process_resident_bytes"].samples[0].value > 1e6


def test_health_says_who_does_not_run_and_no_more(whole: HmiSite) -> None:
    with httpx.Client(base_url=whole.url) as balancer:

        def status() -> int:
            answer = balancer.get("/health")
            assert set(answer.json()) == {"status", "core", "processes"}
            return answer.status_code

        wait_until(lambda: status() == 200, "health")
        whole.site.kill_child("dnp3 rldc")
        wait_until(lambda: status() == 503, "the missing process to be seen", 5)
        wait_until(lambda: status() == 200, "its return", 40)
