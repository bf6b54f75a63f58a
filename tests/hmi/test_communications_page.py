"""Communications: who answers and why not, what a master's link carries, why a frame was sent."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, needs_chromium
from tests.peers.threaded104 import Threaded104


def test_what_is_known_of_devices_and_masters(hmi: HmiSite) -> None:
    vera = hmi.caller("vera")

    def answered() -> Any:
        found = vera.get("/api/communications")
        device = next(each for each in found["devices"] if each["name"] == "pcs1")
        return found if device["state"] == "online" and device["round_trip_ms"] else None

    found = wait_until(answered, "the PCS to answer")
    device = next(each for each in found["devices"] if each["name"] == "pcs1")
    assert device["counters"]["requests"] > 0
    assert device["unusable"] == 0
    master = found["masters"][0]
    assert (master["server"], master["master"], master["serving"]) == ("sldc", "sldc-main", True)
    assert vera.ask("POST", "/api/communications/examine/pcs1").status_code == 403, "a viewer examines nothing"
    omar = hmi.caller("omar")
    assert omar.ask("POST", "/api/communications/examine/pcs9").status_code == 404
    examined = omar.post("/api/communications/examine/pcs1")
    assert examined["findings"], "the doctor says at least that all is well"


@needs_chromium
def test_a_masters_link_is_seen_live_and_explained(hmi: HmiSite, browser: Browser) -> None:
    with Threaded104(hmi.site.port) as sldc, desk(browser, hmi, "omar", "communications") as page:
        expect(page.get_by_label("Master sldc/sldc-main")).to_contain_text("connected")
        expect(page.get_by_label("Master sldc/sldc-main")).to_contain_text("127.0.0.1:")
        accessible(page)
        page.get_by_label("Master sldc/sldc-main").get_by_role("link", name="Traffic").click()
        expect(page.get_by_role("heading", name="Traffic of sldc/sldc-main")).to_be_visible()
        page.get_by_label("Only frames with").fill("STARTDT act")
        expect(page.get_by_text("U STARTDT act").first).to_be_visible()
        sldc.interrogate()
        page.get_by_label("Only frames with").fill("poi/frequency")
        expect(page.locator(".frame.out-frame", has_text="poi/frequency").first).to_be_visible()
        rows = page.get_by_role("grid")
        rows.focus()
        page.keyboard.press("Home")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Why was this sent?")).to_be_visible()
        expect(page.get_by_text("Whole frame")).to_be_visible()
        page.get_by_role("button", name="Pause").press("Enter")
        expect(page.get_by_role("button", name="Go on")).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Download capture (pcap)").click()
        captured = Path(saved.value.path()).read_bytes()
        assert struct.unpack("<I", captured[:4])[0] == 0xA1B23C4D
        assert bytes.fromhex("680407000000") in captured
        accessible(page)
        page.set_viewport_size({"width": 375, "height": 700})
        fits(page)


@needs_chromium
def test_a_device_that_is_gone_says_so(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "omar", "communications", viewport={"width": 375, "height": 800}) as page:
        card = page.get_by_label("Device pcs1")
        expect(card).to_contain_text("answers")
        fits(page)
        hmi.site.kill_simulator()
        expect(card).to_contain_text("does not answer", timeout=20_000)
        expect(card).to_contain_text("Last error")
        accessible(page)
        card.get_by_role("button", name="Examine").press("Enter")
        expect(card.locator(".finding.fault").first).to_be_visible(timeout=60_000)
        hmi.site.start_simulator()
        expect(card).not_to_contain_text("does not answer", timeout=30_000)
        assert card.locator(".finding.fault").count(), "what was found stays when the card is drawn anew"


def test_a_pcap_is_not_for_viewers(hmi: HmiSite) -> None:
    query = "?server=sldc&master=sldc-main"
    assert hmi.caller("vera").ask("GET", f"/api/communications/pcap{query}").status_code == 403
    omar = hmi.caller("omar")
    assert omar.ask("GET", "/api/communications/pcap?server=sldc&master=other").status_code == 404
    frame = {"server": "sldc", "master": "sldc-main", "out": True}
    assert omar.ask("POST", "/api/communications/why", frame | {"octets": "zz"}).status_code == 422
    told = omar.post("/api/communications/why", frame | {"octets": "680407000000"})
    assert told["text"] == "U STARTDT act"
