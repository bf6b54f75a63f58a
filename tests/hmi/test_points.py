"""Points: what Vera finds, what Esha forces and lets go, and what a lost meter looks like."""

from __future__ import annotations

import csv
import io

from playwright.sync_api import Browser, Page, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, needs_chromium
from tests.peers.threaded104 import Threaded104


def test_a_search_finds_points_by_name_words_and_address(hmi: HmiSite) -> None:
    vera = hmi.caller("vera")
    page = vera.get("/api/points", search="frequency poi")
    assert [point["name"] for point in page["points"]] == ["poi/frequency"]
    (point,) = page["points"]
    assert point["source"] == "holding 0"
    assert "sldc-main: ca 1 ioa 4101 M_ME_TF_1" in point["masters"]
    by_address = vera.get("/api/points", search="ioa 7001")
    assert [point["name"] for point in by_address["points"]] == ["bess1/pcs/power_setpoint"]
    second = vera.get("/api/points", prefix="bess1", kind="analog", offset=1, limit=1)
    assert second["total"] > 2 and len(second["points"]) == 1
    assert vera.get("/api/points", quality="substituted")["total"] == 0
    folders = vera.get("/api/points/tree")["folders"]
    assert [folder["path"] for folder in folders] == ["bess1/", "poi/", "site/", "system/"]


def test_everything_about_one_point(hmi: HmiSite) -> None:
    facts = hmi.caller("vera").get("/api/points/facts", name="bess1/pcs/soc")
    assert (facts["source"], facts["place"], facts["device"]) == ("input 4104", "pcs.csv, row 7", "pcs1")
    assert facts["limits"] == {"l": 15.0, "h": 94.0}
    assert [(each["master"], each["address"]) for each in facts["masters"]] == [
        ("sldc-main", "ca 1 ioa 4004 M_ME_TF_1"),
        ("rldc-main", "AI 3"),
    ]
    assert {each["name"].rpartition("/")[2] for each in facts["alarms"]} >= {"l", "h"}
    unknown = hmi.caller("vera").http.get("/api/points/facts", params={"name": "no/such"})
    assert unknown.status_code == 404


def test_what_each_master_was_last_told(hmi: HmiSite) -> None:
    vera, name = hmi.caller("vera"), "poi/frequency"
    with Threaded104(hmi.site.port) as sldc:
        sldc.interrogate()

        def told() -> bool:
            found = {each["master"]: each for each in vera.get("/api/points/reported", name=name)}
            main = found["sldc-main"]
            return main["known"] and main["quality"] == "good" and 49 < main["value"] < 51

        wait_until(told, "the SLDC to have been told the frequency")
    assert vera.get("/api/points/reported", name="system/audit/failing") == []


def test_the_list_is_exported_as_shown(hmi: HmiSite) -> None:
    vera = hmi.caller("vera")
    rows = list(csv.DictReader(io.StringIO(vera.get("/api/points/export", prefix="poi").decode())))
    assert [row["point"] for row in rows] == sorted(row["point"] for row in rows)
    frequency = next(row for row in rows if row["point"] == "poi/frequency")
    assert 45 < float(frequency["value"]) < 55 and frequency["quality"] == "good" and frequency["time_utc"]


def test_only_an_engineer_forces(hmi: HmiSite) -> None:
    body = {"name": "poi/power", "value": 1, "reason": "trial"}
    for name in ("vera", "omar"):
        refused = hmi.caller(name).ask("POST", "/api/points/force", body)
        assert refused.status_code == 403 and "engineer's right" in refused.json()["error"]
    esha = hmi.caller("esha")
    assert esha.ask("POST", "/api/points/force", body | {"reason": ""}).status_code == 422
    commanded = esha.ask("POST", "/api/points/force", body | {"name": "bess1/pcs/run"})
    assert commanded.status_code == 409 and "only a measured point" in commanded.json()["error"]
    wrong = esha.ask("POST", "/api/points/force", body | {"name": "bess1/pcs/running", "value": 2})
    assert wrong.status_code == 422 and "never 2" in wrong.json()["error"]
    assert hmi.site.point("poi/power")["quality"] == "good"


def row_of(page: Page, name: str) -> str:
    return page.locator(".rows .row", has_text=name).first.inner_text().replace("\n", " ")


@needs_chromium
def test_vera_searches_with_the_keyboard_and_sees_values_change(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "vera", "points") as page:
        page.get_by_label("Search").fill("poi freq")
        expect(page.get_by_text("1 point", exact=True)).to_be_visible()
        before = wait_until(lambda: "Hz" in row_of(page, "poi/frequency") and row_of(page, "poi/frequency"), "a value")
        wait_until(lambda: row_of(page, "poi/frequency") != before, "another value")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="poi/frequency")).to_be_visible()
        expect(page.get_by_text("ca 1 ioa 4101 M_ME_TF_1").last).to_be_visible()
        assert page.get_by_role("button", name="Force", exact=True).count() == 0, "a viewer is not offered it"
        accessible(page)
        page.get_by_role("button", name="Close").click()
        page.get_by_label("Search").fill("")
        folder = page.get_by_role("treeitem", name="bess1", exact=False).first
        folder.focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("treeitem", name="pcs 22")).to_be_visible()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.get_by_role("treeitem", selected=True)).to_have_attribute("aria-label", "pcs 22")
        expect(page.get_by_text("22 points", exact=True)).to_be_visible()


@needs_chromium
def test_esha_forces_a_point_and_lets_it_go(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "esha", "points/poi/voltage") as page:
        plant = hmi.site.point("poi/voltage")["value"]
        page.get_by_role("button", name="Force", exact=True).click()
        page.get_by_label("Value in kV").fill("29.5")
        page.get_by_label("Reason").fill("meter is being calibrated")
        page.get_by_role("dialog").get_by_role("button", name="Force").click()
        expect(page.locator(".big")).to_have_text("29.5 kV")
        expect(page.locator(".detail .held-note")).to_contain_text("meter is being calibrated")
        point = hmi.site.point("poi/voltage")
        assert (point["value"], point["quality"]) == (29.5, "substituted")
        page.get_by_role("button", name="Forced or blocked: 1").click()
        expect(page.locator("#held-list")).to_contain_text("esha")
        accessible(page)
        page.get_by_role("button", name="Release").click()
        page.get_by_label("Reason").fill("done")
        page.get_by_role("dialog").get_by_role("button", name="Release").click()
        expect(page.get_by_role("button", name="Forced or blocked: 0")).to_be_visible()
        wait_until(lambda: hmi.site.point("poi/voltage")["quality"] == "good", "the plant's own value")
        assert abs(hmi.site.point("poi/voltage")["value"] - plant) < 3
        page.get_by_role("button", name="Block", exact=True).click()
        page.get_by_label("Reason").fill("hold it")
        page.get_by_role("dialog").get_by_role("button", name="Block", exact=True).click()
        expect(page.get_by_role("button", name="Unblock")).to_be_visible()
        assert hmi.caller("vera").get("/api/points", quality="held")["total"] == 1
        page.get_by_role("button", name="Unblock").click()
        page.get_by_label("Reason").fill("done")
        page.get_by_role("dialog").get_by_role("button", name="Unblock").click()
        expect(page.get_by_role("button", name="Block", exact=True)).to_be_visible()


@needs_chromium
def test_a_lost_meter_looks_stale(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "vera", "points", viewport={"width": 375, "height": 700}, color_scheme="dark") as page:
        page.get_by_label("Search").fill("poi/power")
        row = page.locator(".rows .row", has_text="poi/power").first
        wait_until(lambda: "good-row" in (row.get_attribute("class") or ""), "a good value")
        fits(page)
        hmi.site.order("unplug meter")
        wait_until(lambda: "bad-row" in (row.get_attribute("class") or ""), "the stale look")
        row.click()
        expect(page.locator(".state-line")).to_contain_text("comm lost")
        accessible(page)
        hmi.site.order("plug meter")
        wait_until(lambda: "good-row" in (row.get_attribute("class") or ""), "a good value again")
