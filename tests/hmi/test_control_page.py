"""The control page: select and execute, droop, interlocks, stop all; by mouse and by keyboard alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from hmi.controlling import selects
from tests.kit.gateway import DemoSite, wait_until
from tests.kit.hmikit import Caller, HmiSite, accessible, desk, fits, needs_chromium, people

SETPOINT, POWER = "bess1/pcs/power_setpoint", "bess1/pcs/active_power"
RUNS_OR_NOT = re.compile("^(running|stopped)$")
NOT_KNOWN = "\N{EN DASH}"
SLOW_MS = 30_000
"""A page on a machine that does much else."""


MORE = """
  droop:
    - {unit: bess1, frequency: [poi/frequency], capacity_kwh: 2000, reserve_min: 15}
  agc: [{unit: bess1, limits_kw: [-500, 500]}]
  schedules: [{unit: bess1, file: day.csv}]
  fleets: [{name: campus, units: [bess1], method: balanced}]
  locations: [{name: region, members: [bess1]}]
"""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HmiSite]:
    """The small demo plant with all that control can be; its watchdog has patience with a machine that does much."""
    with DemoSite(Path(tmp_path_factory.mktemp("control")), hmi=True) as site:
        text = site.site.read_text().replace("\ncontrol:", "\ncontrol:\n  watchdog_s: 30")
        head, hmi_section, address = text.rpartition("hmi:")
        site.site.write_text(f"{head.rstrip()}{MORE}{hmi_section}{address}")
        (site.site.parent / "day.csv").write_text("block,kw\n" + "".join(f"{i},200\n" for i in range(1, 97)))
        people(site)
        site.start_simulator()
        site.start()
        hmi = HmiSite(site)
        try:
            yield hmi
        finally:
            for caller in hmi.callers:
                caller.http.close()


def point(hmi: HmiSite, name: str) -> float:
    return float(hmi.site.point(name)["value"])


def running(plant: HmiSite) -> None:
    """Whatever the story before left behind: the unit runs, nothing is tripped, nobody holds it."""
    omar = plant.caller("omar")
    order = {"point": "bess1/pcs/run", "value": 1.0}

    def taken() -> bool:
        omar.post("/api/interlocks/acknowledge", {})
        omar.post("/api/interlocks/reset", {})
        omar.post("/api/control/release", {"unit": "bess1"})
        if point(plant, "bess1/pcs/running") == 1:
            return True
        select = omar.post("/api/control/select", order)["select"]
        return bool(select) and bool(omar.post("/api/control/execute", {**order, "select": select})["told"]["done"])

    wait_until(taken, "a unit that runs", 60)


def given(caller: Caller, name: str, value: float) -> None:
    """Select and execute; again while a device of a machine that does much else is late with its answers."""
    order = {"point": name, "value": value}

    def done() -> bool:
        select = caller.post("/api/control/select", order)["select"]
        return bool(select) and bool(caller.post("/api/control/execute", {**order, "select": select})["told"]["done"])

    wait_until(done, f"{name} to take {value:g}", 60)


def selected(page: Page, value: str) -> None:
    """Pick the unit's set-point, type a value, select."""
    page.get_by_role("button", name="Set-point of bess1").click()
    page.locator("#command-value").fill(value)
    page.get_by_role("button", name="Select", exact=True).click()


def granted(page: Page) -> None:
    """Select, and again while a device of a machine that does much else is late with its answers."""
    execute = page.get_by_role("dialog").get_by_role("button", name="Execute")

    def offered() -> bool:
        if not execute.is_visible():
            page.get_by_role("button", name="Select", exact=True).click()
            page.wait_for_timeout(1_000)
        return execute.is_visible()

    wait_until(offered, "the select to be granted", 60)


def rested(page: Page) -> None:
    """The page has its state and its values."""
    page.set_default_timeout(SLOW_MS)
    expect(page.get_by_label("Unit bess1").locator(".tag")).to_have_text(RUNS_OR_NOT, timeout=SLOW_MS)
    expect(page.locator(".unit-mode").first).not_to_have_text(NOT_KNOWN, timeout=SLOW_MS)


@needs_chromium
def test_omar_executes_a_set_point_and_the_plant_follows(plant: HmiSite, browser: Browser) -> None:
    running(plant)
    with desk(browser, plant, "omar", "control") as page:
        rested(page)
        expect(page.get_by_text("Remote: commands are taken")).to_be_visible()
        selected(page, "260")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("to 260 kW in about")).to_be_visible(timeout=SLOW_MS)
        expect(dialog.get_by_text("No interlock stands in the way.")).to_be_visible()
        expect(dialog.get_by_text("Execute within")).to_be_visible()
        dialog.get_by_role("button", name="Execute").click()
        story = page.get_by_label("What became of the command")
        for step in ("selected", "accepted", "written", "acknowledged", "completed"):
            expect(story.locator(f"[data-step={step}]")).to_be_visible(timeout=SLOW_MS)
        unit = page.get_by_label("Unit bess1")
        expect(unit.get_by_text("omar@127.0.0.1")).to_be_visible(timeout=SLOW_MS)
        expect(unit.get_by_text("A person at the gateway")).to_be_visible()
        measured = unit.locator("dl div", has_text="Measured power").locator("dd")
        expect(measured).to_contain_text("260 kW", timeout=SLOW_MS)

        page.get_by_role("link", name="Its passport").click()
        passport = page.get_by_label("Story of the command")
        for hop in ("received", "accepted", "written", "acknowledged", "completed"):
            expect(passport.locator(f"[data-hop={hop}]")).to_be_visible(timeout=SLOW_MS)
        expect(passport.get_by_text("omar@127.0.0.1 (a person)")).to_be_visible()
        expect(passport.get_by_text("Selected before:")).to_be_visible()
        expect(passport.get_by_text("the value is within the point's range")).to_be_visible()
        expect(passport.get_by_text(f"Read back: {POWER} is")).to_be_visible()


@needs_chromium
def test_what_is_out_of_range_or_given_up_does_nothing(plant: HmiSite, browser: Browser) -> None:
    running(plant)
    with desk(browser, plant, "omar", "control") as page:
        rested(page)
        before = point(plant, SETPOINT)
        selected(page, "123")
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.get_by_text("The select was given up: nothing was done.")).to_be_visible()
        assert point(plant, SETPOINT) == pytest.approx(before, abs=0.5)
    told = plant.caller("omar").post("/api/control/select", {"point": SETPOINT, "value": 5000})
    assert (told["select"], told["told"]["reason"]) == ("", "out of range")
    assert "outside -1000 to 1000 kW" in told["told"]["text"]


def test_a_select_that_does_not_hold_any_more_does_nothing(plant: HmiSite) -> None:
    """Used up, of another person, for another value. (Its clock: ``tests/unit/hmi/test_selects.py``.)"""
    omar, esha = plant.caller("omar"), plant.caller("esha")
    before = point(plant, SETPOINT)
    order = {"point": SETPOINT, "value": 77.0}
    select = omar.post("/api/control/select", order)["select"]
    assert esha.ask("POST", "/api/control/execute", {**order, "select": select}).status_code == 409
    assert omar.ask("POST", "/api/control/execute", {**order, "select": select}).status_code == 409, "it is used up"
    select = omar.post("/api/control/select", order)["select"]
    assert omar.ask("POST", "/api/control/execute", {**order, "value": 78.0, "select": select}).status_code == 409
    assert omar.ask("POST", "/api/control/execute", {**order, "select": "made up"}).status_code == 409
    assert abs(point(plant, SETPOINT) - before) < 50, "it moves with the frequency alone, not to 77 or 78"
    assert selects.VALID_S == 30


@needs_chromium
def test_vera_is_refused_by_the_page_and_by_the_server(plant: HmiSite, browser: Browser) -> None:
    vera = plant.caller("vera")
    orders = {
        "/api/control/select": {"point": SETPOINT, "value": 1.0},
        "/api/control/execute": {"point": SETPOINT, "value": 1.0, "select": "x"},
        "/api/control/stop-all": {"reason": "for fun"},
        "/api/control/release": {"unit": "bess1"},
        "/api/droop/switch": {"unit": "bess1", "on": False},
        "/api/droop/test": {"unit": "bess1"},
        "/api/interlocks/reset": {},
        "/api/interlocks/bypass": {"name": "cabinet_hot", "minutes": 5, "reason": "because"},
    }
    for path, body in orders.items():
        assert vera.ask("POST", path, body).status_code == 403, path
    omar = plant.caller("omar")
    refused = omar.ask("POST", "/api/interlocks/bypass", orders["/api/interlocks/bypass"])
    assert "this needs an engineer's right" in refused.json()["error"]
    test_hz = omar.ask("POST", "/api/control/select", {"point": "system/control/bess1/test_hz", "value": 49.0})
    assert test_hz.status_code == 403
    with desk(browser, plant, "vera", "control") as page:
        rested(page)
        for name in ("Select", "Stop all units", "Release bess1", "Droop test of bess1", "Bypass cabinet_hot"):
            expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
        accessible(page)


@needs_chromium
def test_an_emergency_stop_trips_and_omar_acknowledges_and_resets_it(plant: HmiSite, browser: Browser) -> None:
    running(plant)
    with desk(browser, plant, "omar", "control") as page:
        rested(page)
        row = page.locator("[data-interlock=estop]")
        plant.site.order("estop on")
        for words in ("TRIPPED", "latched since", "first out", "not acknowledged", "cause still there"):
            expect(row.locator(".state")).to_contain_text(words, timeout=SLOW_MS)
        expect(row.locator(".acts")).to_contain_text("its cause is still there")
        expect(row.locator(".truth")).to_have_text("✓ holds", timeout=SLOW_MS)
        expect(page.get_by_label("Unit bess1").get_by_text("Blocked by estop")).to_be_visible()
        selected(page, "50")
        expect(page.get_by_role("alert").get_by_text("bess1 is blocked by estop").first).to_be_visible()
        accessible(page)
        plant.site.order("estop off")
        expect(row.locator(".state")).to_contain_text("cause gone", timeout=SLOW_MS)
        expect(row.locator(".acts")).to_contain_text("acknowledge it first", timeout=SLOW_MS)
        row.get_by_role("button", name="Reset").click()
        expect(page.get_by_text("refused: estop: acknowledge it first")).to_be_visible(timeout=SLOW_MS)
        row.get_by_role("button", name="Acknowledge").click()
        expect(row.locator(".state")).not_to_contain_text("not acknowledged", timeout=SLOW_MS)
        row.get_by_role("button", name="Reset").click()
        expect(row.locator(".state")).to_have_text("at rest", timeout=SLOW_MS)
        page.get_by_role("button", name="Start bess1").click()
        granted(page)
        page.get_by_role("dialog").get_by_role("button", name="Execute").click()
        expect(page.locator("[data-step=completed]")).to_be_visible(timeout=SLOW_MS)
        expect(page.get_by_label("Unit bess1").locator(".tag")).to_have_text("running", timeout=SLOW_MS)


@needs_chromium
def test_esha_bypasses_with_a_reason_and_it_ends(plant: HmiSite, browser: Browser) -> None:
    esha = plant.caller("esha")
    with desk(browser, plant, "esha", "control") as page:
        rested(page)
        row = page.locator("[data-interlock=cabinet_warm]")
        row.get_by_role("button", name="Bypass").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Minutes").fill("30")
        dialog.get_by_label("Reason").fill("fan is being changed")
        dialog.get_by_role("button", name="Bypass").click()
        for words in ("BYPASSED", "esha@127.0.0.1", "min left", "fan is being changed"):
            expect(row.locator(".state")).to_contain_text(words, timeout=SLOW_MS)
        row.get_by_role("button", name="End bypass").click()
        expect(row.locator(".state")).to_have_text("at rest", timeout=SLOW_MS)
        told = esha.post("/api/interlocks/bypass", {"name": "cabinet_warm", "minutes": 0.1, "reason": "six seconds"})
        assert told["done"]
        expect(row.locator(".state")).to_contain_text("BYPASSED", timeout=SLOW_MS)
        expect(row.locator(".state")).to_have_text("at rest", timeout=SLOW_MS)
    assert esha.ask("POST", "/api/interlocks/bypass", {"name": "estop", "minutes": 1, "reason": "x"}).status_code == 422
    told = esha.post("/api/interlocks/bypass", {"name": "estop", "minutes": 1, "reason": "never"})
    assert "may not be bypassed" in told["text"]


@needs_chromium
def test_droop_off_and_on_is_seen_and_audited(plant: HmiSite, browser: Browser) -> None:
    with desk(browser, plant, "omar", "control") as page:
        rested(page)
        panel = page.get_by_label("Frequency response of bess1", exact=True)
        expect(panel.locator("circle.asked")).to_be_visible(timeout=SLOW_MS)
        expect(panel.locator(".sources")).to_contain_text("used", timeout=SLOW_MS)
        panel.get_by_role("button", name="Switch the frequency response of bess1 off").click()
        page.get_by_role("dialog").get_by_role("button", name="Switch off").click()
        expect(panel.get_by_text("Switched off by a person")).to_be_visible(timeout=SLOW_MS)
        panel.get_by_role("button", name="Switch the frequency response of bess1 on").click()
        page.get_by_role("dialog").get_by_role("button", name="Switch on").click()
        expect(panel.locator(".unit-mode")).to_contain_text("Response:", timeout=SLOW_MS)
    given = plant.caller("vera").get("/api/commands", what="droop_enable", who="omar")["commands"]
    assert [(each["value"], each["outcome"]) for each in given] == [(1.0, "done"), (0.0, "done")]


def test_a_droop_test_runs_to_its_report(plant: HmiSite) -> None:
    esha = plant.caller("esha")
    text = "title: short\ndroop: {}\nclauses:\n  - {clause: rest, hz: 50.0, hold_s: 1, at_most_percent: 50}\n"
    (plant.site.site.parent / "short.yaml").write_text(text)
    refused = esha.ask("POST", "/api/droop/test", {"unit": "bess1", "profile": "nowhere"})
    assert refused.status_code == 404
    assert esha.post("/api/droop/test", {"unit": "bess1", "profile": "short.yaml"})["running"]
    assert esha.ask("POST", "/api/droop/test", {"unit": "bess1", "profile": "short.yaml"}).status_code == 409
    ended = wait_until(
        lambda: (state := esha.get("/api/droop/test")) and not state["running"] and state, "the test's end", 60
    )
    assert ended["problem"] == ""
    assert [verdict["clause"] for verdict in ended["verdicts"]] == ["rest"]
    report = esha.http.get(f"/api/droop/reports/{ended['report']}")
    assert report.status_code == 200
    assert "Droop test of bess1" in report.text
    assert "sandbox" in report.headers["content-security-policy"]
    listed = esha.get("/api/droop/excursions")
    assert ended["report"] in listed["reports"]
    assert esha.ask("GET", "/api/droop/excursions/..%2F..%2Fusers").status_code == 404


@needs_chromium
def test_the_keyboard_alone_executes_a_set_point_and_stops_all(plant: HmiSite, browser: Browser) -> None:
    running(plant)
    with desk(browser, plant, "omar", "control") as page:
        rested(page)
        to_button(page, "Set-point of bess1")
        page.keyboard.press("Enter")
        expect(page.locator("#command-value")).to_be_focused()
        page.keyboard.press("Control+a")
        page.keyboard.type("120")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("button", name="Execute")).to_be_focused(timeout=SLOW_MS)
        page.keyboard.press("Enter")
        expect(page.locator("[data-step=completed]")).to_be_visible(timeout=SLOW_MS)
        wait_until(lambda: abs(point(plant, SETPOINT) - 120) < 1, "the device's set-point")

        to_button(page, "Stop all units")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        to_button(page, "Stop all units")
        page.keyboard.press("Enter")
        page.keyboard.type("smoke in the container")
        page.keyboard.press("Enter")
        row = page.locator("[data-interlock=stop_all]")
        expect(row.locator(".state")).to_contain_text("smoke in the container", timeout=SLOW_MS)
        wait_until(lambda: point(plant, "bess1/pcs/running") == 0, "the unit to stop", 60)
        row.get_by_role("button", name="Reset").click()
        expect(row.locator(".state")).to_have_text("at rest", timeout=SLOW_MS)


def to_button(page: Page, name: str) -> None:
    """Tab until the button has the focus."""
    for _ in range(150):
        page.keyboard.press("Tab")
        found = page.evaluate("document.activeElement.getAttribute('aria-label') || document.activeElement.textContent")
        if found == name:
            return
    raise AssertionError(f"the keyboard never comes to {name}")


@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all(plant: HmiSite, browser: Browser, scheme: str) -> None:
    with desk(browser, plant, "esha", "control", viewport={"width": 375, "height": 700}, color_scheme=scheme) as page:
        page.set_default_timeout(SLOW_MS)
        expect(page.get_by_role("button", name="Stop all units")).to_be_visible(timeout=SLOW_MS)
        expect(page.locator(".unit-mode").first).not_to_have_text(NOT_KNOWN, timeout=SLOW_MS)
        fits(page)
        accessible(page)


@needs_chromium
def test_what_a_site_has_of_schedule_agc_and_fleets_is_shown(plant: HmiSite, browser: Browser) -> None:
    running(plant)
    omar = plant.caller("omar")
    day = omar.get("/api/control/schedule", name="bess1")
    assert (day["scheduled_kw"], len(day["actual_kw"]), day["recorded"]) == ([200.0] * 96, 96, False)
    assert omar.ask("GET", "/api/control/schedule?name=nobody").status_code == 404
    with desk(browser, plant, "omar", "control") as page:
        rested(page)
        line = page.get_by_label("Schedule of bess1").locator("path.scheduled")
        expect(line).to_have_attribute("d", re.compile("^M46"), timeout=SLOW_MS)
        expect(page.get_by_label("AGC of bess1")).to_contain_text("none yet")
        given(omar, "system/control/bess1/agc_kw", 90.0)
        expect(page.get_by_label("AGC of bess1")).to_contain_text("90 kW", timeout=SLOW_MS)
        omar.post("/api/control/release", {"unit": "bess1"})
        expect(page.get_by_label("Unit bess1")).to_contain_text("schedule", timeout=SLOW_MS)
        given(omar, "system/fleet/campus/setpoint_kw", 140.0)
        shares = page.get_by_label("Shares of fleet campus")
        expect(shares.locator("tr", has_text="bess1")).to_contain_text("140 kW", timeout=SLOW_MS)
        expect(page.get_by_label("What places add up to")).to_contain_text("region")
        assert omar.post("/api/control/release", {"fleet": "campus"})["done"]


def test_the_settings_that_hold_are_attested(plant: HmiSite) -> None:
    facts = plant.caller("vera").get("/api/control")
    kept = json.loads(Path(plant.site.state_dir / "control" / "settings.json").read_text())
    assert facts["attestation"] == kept["sha256"]
