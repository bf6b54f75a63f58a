"""A site that records no history: its pages show what has come since it began, and say so."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, drawn, fits, known, needs_chromium

FREQUENCY = "poi/frequency"


def test_without_a_history_events_since_the_start_are_told(hmi: HmiSite) -> None:
    vera = hmi.caller("vera")
    hmi.site.order("local on")

    def told() -> bool:
        events = vera.get("/api/events")["events"]
        return any(event["point"] == "bess1/pcs/local" and event["state"] == "on" for event in events)

    wait_until(told, "the key")
    assert "no history" in vera.get("/api/events")["note"]
    for wrong in ({"kind": "gossip"}, {"before": "-1"}, {"limit": 0}, {"point": "x" * 301}):
        assert vera.http.get("/api/events", params=wrong).status_code == 422
    hmi.site.order("local off")


@needs_chromium
def test_without_a_history_live_values_alone_are_drawn(hmi: HmiSite, browser: Browser) -> None:
    place = {"width": 375, "height": 700}
    with desk(browser, hmi, "vera", f"trends/{FREQUENCY.replace('/', '%2F')}/600", viewport=place) as page:
        expect(page.locator(".note")).to_contain_text("records no history")
        wait_until(lambda: len(known(drawn(page, 3))) > 1, "live values")
        fits(page)
        accessible(page)
