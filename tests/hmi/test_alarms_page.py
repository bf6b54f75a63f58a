"""Alarms as people meet them: seen, acknowledged, shelved, silenced, refused, found again in the history."""

from __future__ import annotations

import csv
import io
from typing import Any

from playwright.sync_api import Browser, Page, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, needs_chromium

FAULT = "system/interlock/pcs_fault/tripped/alarm"
STOP = "system/interlock/estop/tripped/alarm"
METER = "system/device/meter/online/alarm"


def alarm(caller: Any, name: str) -> dict[str, Any] | None:
    """What stands of this alarm; None while it is normal."""
    found = caller.get("/api/alarms")["alarms"]
    return next((each for each in found if each["alarm"] == name), None)


def row(page: Page, words: str) -> Any:
    return page.locator(".rows .row:not([hidden])", has_text=words)


def silenced(page: Page) -> bool:
    """On a busy machine further alarms may come, each with its sound."""
    button = page.get_by_role("button", name="Silence")
    if button.is_visible():
        button.click()
    return page.locator(".alarm-box").get_attribute("data-sound") == "silenced"


@needs_chromium
def test_omar_acknowledges_and_vera_sees_it_at_once(whole: HmiSite, browser: Browser) -> None:
    whole.site.order("estop press")
    with desk(browser, whole, "omar", "alarms") as omar, desk(browser, whole, "vera", "alarms") as vera:
        for page in (omar, vera):
            expect(row(page, "Emergency stop pressed")).to_contain_text("Active, not acknowledged")
            expect(row(page, "Emergency stop pressed").locator(".alarm-shape.blink")).to_have_count(1)
            expect(page.locator(".alarm-chip.critical")).to_be_visible()
        expect(vera.get_by_role("button", name="Acknowledge", exact=False)).to_have_count(0)
        accessible(omar)
        omar.get_by_role("grid").focus()
        while STOP not in omar.locator(".detail").inner_text():  # by keyboard alone: down the list until it is there
            omar.keyboard.press("ArrowDown")
        first = next(each["alarm"] for each in whole.caller("vera").get("/api/alarms")["alarms"] if each["first_out"])
        expect(row(omar, first)).to_contain_text("First out")
        omar.wait_for_timeout(400)  # the list is to stand still
        omar.keyboard.press("a")
        for page in (omar, vera):
            expect(row(page, "Emergency stop pressed")).to_contain_text("Active, acknowledged")
            expect(row(page, "Emergency stop pressed").locator(".alarm-shape.blink")).to_have_count(0)
        expect(vera.locator(".alarm-bar")).not_to_have_attribute("aria-label", "No alarms")
        row(vera, "Emergency stop pressed").click()
        expect(vera.locator(".past")).to_contain_text("acknowledged by omar@127.0.0.1 (operator)")
        accessible(vera)


@needs_chromium
def test_omar_shelves_an_alarm_with_a_reason_and_takes_it_back(whole: HmiSite, browser: Browser) -> None:
    with desk(browser, whole, "omar", f"alarms/all/{METER.split('/')[2]}") as page:
        row(page, "Device meter does not answer").click()
        page.get_by_role("button", name="Shelve…").click()
        page.get_by_label("For").select_option("600")
        page.get_by_role("button", name="Shelve", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_visible()  # not without a reason
        page.get_by_label("Reason").fill("meter is being exchanged")
        page.get_by_role("button", name="Shelve", exact=True).click()
        page.get_by_role("link", name="Shelved").click()
        expect(row(page, "Device meter does not answer")).to_contain_text("meter is being exchanged")
        expect(row(page, "Device meter does not answer")).to_contain_text("min left")
        row(page, "Device meter does not answer").click()
        page.get_by_role("button", name="Unshelve").click()
        expect(row(page, "Device meter does not answer")).to_have_count(0)
        page.get_by_role("link", name="History").click()
        expect(row(page, "unshelved")).to_be_visible()
        expect(row(page, "meter is being exchanged").first).to_be_visible()
        accessible(page)


@needs_chromium
def test_the_sound_is_silenced_until_the_next_alarm_or_off(whole: HmiSite, browser: Browser) -> None:
    with desk(browser, whole, "vera", "overview", viewport={"width": 375, "height": 700}) as page:
        box = page.locator(".alarm-box")
        whole.site.order("cell_temp 70")  # the BMS complains
        expect(box).to_have_attribute("data-sound", "sounding")
        wait_until(lambda: silenced(page), "silence")
        whole.site.order("unplug meter")
        expect(box).to_have_attribute("data-sound", "sounding", timeout=20_000)
        page.get_by_role("button", name="Sound on").click()
        expect(box).to_have_attribute("data-sound", "off")
        page.reload()
        expect(box).to_have_attribute("data-sound", "off")
        fits(page)
        page.locator(".alarm-bar").click()
        expect(page.get_by_role("heading", name="Alarms")).to_be_visible()
        expect(row(page, "Device meter does not answer")).to_be_visible()
        fits(page)
        accessible(page)
        whole.site.order("plug meter")
        whole.site.order("cell_temp free")


def test_what_may_not_be_is_refused_in_words(whole: HmiSite) -> None:
    vera, omar, esha = (whole.caller(name) for name in ("vera", "omar", "esha"))
    assert vera.ask("POST", "/api/alarms/acknowledge", {"alarms": [METER]}).status_code == 403
    assert omar.ask("POST", "/api/alarms/out-of-service", {"alarms": [METER], "reason": "no"}).status_code == 403
    unknown = omar.ask("POST", "/api/alarms/acknowledge", {"alarms": ["system/device/metre/online/alarm"]})
    assert unknown.status_code == 404 and "meter" in unknown.json()["error"], "what was meant is named"
    long = omar.ask("POST", "/api/alarms/shelve", {"alarms": [METER], "duration_s": 1e6, "reason": "for ever"})
    assert long.status_code == 409 and "28800 s at most" in long.json()["error"]
    assert omar.ask("POST", "/api/alarms/shelve", {"alarms": [METER], "duration_s": 60}).status_code == 422
    assert omar.ask("POST", "/api/alarms/confirm", {"alarms": [METER]}).status_code == 409
    assert esha.post("/api/alarms/out-of-service", {"alarms": [METER], "reason": "no spare"})["done"] == [METER]
    wait_until(lambda: (alarm(omar, METER) or {}).get("state") == "out of service", "the alarm to be out of service")
    assert esha.post("/api/alarms/in-service", {"alarms": [METER]})["done"] == [METER]


def test_the_history_is_paged_filtered_and_exported(whole: HmiSite) -> None:
    omar = whole.caller("omar")
    omar.post("/api/alarms/comment", {"alarms": [METER], "comment": "=a formula, to a spreadsheet"})
    wait_until(lambda: omar.get("/api/alarms/history", event="commented")["events"], "the comment in the history")
    seen, before = [], ""
    while before is not None:
        page = omar.get("/api/alarms/history", limit=2, **({"before": before} if before else {}))
        seen += [(each["seq"], each["alarm"]) for each in page["events"]]
        before = page["before"]
    assert len(seen) == len(set(seen)) > 3, "each event once"
    assert [int(seq) for seq, _ in seen] == sorted((int(seq) for seq, _ in seen), reverse=True)
    found = omar.get("/api/alarms/history", alarm=METER, text="OMAR formula")["events"]
    assert [(each["event"], each["by"]) for each in found] == [("commented", "omar@127.0.0.1 (operator)")]
    file = list(csv.DictReader(io.StringIO(omar.get("/api/alarms/history/file", event="commented").decode())))
    assert file[0]["alarm"] == METER and file[0]["text"] == "'=a formula, to a spreadsheet"
    standing = list(csv.DictReader(io.StringIO(omar.get("/api/alarms/file").decode())))
    assert {each["alarm"] for each in standing} == {each["alarm"] for each in omar.get("/api/alarms")["alarms"]}
