"""The command passport: who commanded what, from where, and what became of it, hop by hop."""

from __future__ import annotations

import csv
import io
from typing import Any

from playwright.sync_api import Browser, expect

from tests.kit.gateway import C104Master, wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, needs_chromium

SETPOINT = "bess1/pcs/power_setpoint"
SLOW_MS = 30_000


def given(hmi: HmiSite, who: str, value: float) -> str:
    """Somebody executes a set-point; its key in the passport."""
    caller = hmi.caller(who)
    order = {"point": SETPOINT, "value": value}
    select = caller.post("/api/control/select", order)["select"]
    answer = caller.post("/api/control/execute", {**order, "select": select})
    assert answer["told"]["done"], answer
    return str(answer["command"])


def settled(hmi: HmiSite) -> None:
    """The unit takes set-points."""
    omar = hmi.caller("omar")
    order = {"point": SETPOINT, "value": 200.0}

    def taken() -> bool:
        omar.post("/api/interlocks/reset", {})  # a machine that does much else may have stalled the control cycle
        return bool(omar.post("/api/control/select", order)["select"])

    wait_until(taken, "a unit that takes set-points", 60)


def test_a_masters_command_appears_with_its_peer(hmi: HmiSite) -> None:
    settled(hmi)
    vera = hmi.caller("vera")
    with C104Master(hmi.site.port) as master:
        wait_until(master.is_open, "the master's link", 60)

        def completed() -> Any:
            """Ordered again while a device of a machine that does much else is late."""
            master.order("setpoint 7001 180")
            return vera.get("/api/commands", origin="iec104", what=SETPOINT, outcome="completed")["commands"]

        found = wait_until(completed, "the master's command", 60)
    [row] = found[:1]
    assert (row["kind"], row["protocol"], row["server"], row["master"]) == ("master", "iec104", "sldc", "sldc-main")
    assert row["peer"].startswith("127.0.0.1")
    story = vera.get(f"/api/commands/{row['key']}")
    assert [hop["name"] for hop in story["hops"]] == ["received", "accepted", "written", "acknowledged", "completed"]
    assert all(hop["after_ms"] >= 0 for hop in story["hops"][1:])


def test_filters_and_pages_and_the_table(hmi: HmiSite) -> None:
    settled(hmi)
    keys = [given(hmi, "omar", value) for value in (210.0, 220.0)]
    vera = hmi.caller("vera")
    mine = vera.get("/api/commands", who="omar", what=SETPOINT, outcome="completed")["commands"]
    assert [each["key"] for each in mine[:2]] == keys[::-1]
    assert all(each["kind"] == "control" for each in vera.get("/api/commands", kind="control")["commands"])
    first = vera.get("/api/commands", limit=1)
    second = vera.get("/api/commands", limit=1, before=first["next"])
    assert first["commands"][0]["time_ns"] > second["commands"][0]["time_ns"]
    assert vera.get("/api/commands", what="no such thing")["commands"] == []
    table = list(csv.DictReader(io.StringIO(vera.get("/api/commands.csv", who="omar").decode())))
    assert {"210.0", "220.0"} <= {row["value"] for row in table}


def test_a_refusal_and_what_is_not_there(hmi: HmiSite) -> None:
    settled(hmi)
    omar = hmi.caller("omar")
    assert omar.post("/api/control/select", {"point": SETPOINT, "value": 9999})["select"] == ""
    [refused] = wait_until(
        lambda: omar.get("/api/commands", outcome="refused", who="omar", limit=1)["commands"], "its record"
    )
    story = omar.get(f"/api/commands/{refused['key']}")
    assert "outside -1000 to 1000" in story["row"]["text"]
    assert (story["checks"][-1]["name"], story["checks"][-1]["passed"]) == ("value", False)
    assert [hop["name"] for hop in story["hops"]] == ["received", "refused"]
    for key in ("nothing", "1-2-3", "9999999999999999999-1-_hmi", "%00"):
        assert omar.ask("GET", f"/api/commands/{key}").status_code == 404, key
    assert omar.ask("GET", "/api/commands?before=-1").status_code == 422
    assert hmi.caller().ask("GET", "/api/commands").status_code == 401


@needs_chromium
def test_vera_reads_the_story_of_a_command_that_comes_while_she_looks(hmi: HmiSite, browser: Browser) -> None:
    settled(hmi)
    with desk(browser, hmi, "vera", "commands") as page:
        page.set_default_timeout(SLOW_MS)
        expect(page.get_by_role("heading", name="Commands")).to_be_visible(timeout=SLOW_MS)
        page.get_by_label("Person").fill("omar")
        page.get_by_label("Person").press("Enter")
        given(hmi, "omar", 233.0)
        row = page.locator(".rows .row", has_text="execute 233").first
        expect(row).to_contain_text("completed", timeout=SLOW_MS)
        row.click()
        story = page.get_by_label("Story of the command")
        for hop in ("received", "accepted", "written", "acknowledged", "completed"):
            expect(story.locator(f"[data-hop={hop}]")).to_be_visible(timeout=SLOW_MS)
        accessible(page)
        page.set_viewport_size({"width": 375, "height": 700})
        fits(page)
        accessible(page)
        story.get_by_role("button", name="Close").click()
        page.get_by_role("grid", name="Commands").focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(story).to_be_visible()
