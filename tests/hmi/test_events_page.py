"""Events as people meet them: a breaker moves, and its line is there with its ms; who did what."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from playwright.sync_api import Browser, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, needs_chromium

BREAKER = "bess1/pcs/breaker"


def found(caller: Any, **query: Any) -> list[dict[str, Any]]:
    return list(caller.get("/api/events", **query)["events"])


def states(caller: Any, **query: Any) -> list[str]:
    return [event["state"] for event in found(caller, **query)]


@needs_chromium
def test_a_breaker_moves_and_vera_sees_it_with_its_ms(whole: HmiSite, browser: Browser) -> None:
    caller = whole.caller("vera")
    with desk(browser, whole, "vera", f"events/soe/{BREAKER.replace('/', '%2F')}") as page:
        lines = page.locator(".rows .row:not([hidden])")
        whole.site.order("estop press")
        moved = lines.filter(has_text="open").filter(has_text="good").first
        expect(moved).to_contain_text(BREAKER, timeout=30_000)
        at = re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", moved.inner_text())
        assert at, "the time has its ms"
        expect(moved).to_contain_text("valid")
        wait_until(lambda: any(e["state"] == "open" for e in found(caller, point=BREAKER)), "it to be archived", 40)
        page.reload()
        again = lines.filter(has_text=at[0]).filter(has_text="open").filter(has_text="good")
        expect(again).to_have_count(1)  # recorded and heard, shown once
        accessible(page)
        page.set_viewport_size({"width": 375, "height": 700})
        fits(page)
    whole.site.order("estop release")


@needs_chromium
def test_what_omar_did_is_listed(whole: HmiSite, browser: Browser) -> None:
    omar = whole.caller("omar")
    omar.post("/api/alarms/comment", {"alarms": ["system/device/meter/online/alarm"], "comment": "looked at it"})
    with desk(browser, whole, "vera", "events/action") as page:
        line = page.locator(".rows .row:not([hidden])", has_text="looked at it").first
        expect(line).to_contain_text("omar@127.0.0.1")
        expect(line).to_contain_text("system/device/meter/online/alarm")
        page.get_by_label("Words").fill("no such words")
        expect(page.locator(".summary")).to_contain_text("0 events")
        page.get_by_label("Words").fill("omar looked")
        expect(line).to_be_visible()
        accessible(page)


def test_events_are_paged_filtered_and_exported(whole: HmiSite) -> None:
    vera = whole.caller("vera")
    local = {"point": "bess1/pcs/local"}
    for order in ("on", "off", "on", "off"):
        whole.site.order(f"local {order}")
        wait_until(lambda wanted=order: states(vera, **local)[:1] == [wanted], f"local {order}", 40)
    for kind, limit in (("soe", 40), ("action", 2)):
        seen, before = [], ""
        end_ms = found(vera, kind=kind)[0]["time_ms"] + 1
        while before is not None:
            more = {"before": before} if before else {}
            page = vera.get("/api/events", kind=kind, limit=limit, end_ms=end_ms, **more)
            seen += [tuple(event.values()) for event in page["events"]]
            before = page["before"]
        at_once = [tuple(e.values()) for e in found(vera, kind=kind, limit=1000, end_ms=end_ms)]
        kept = [event for event in at_once if event in set(seen)]  # late ones may have come meanwhile
        assert len(seen) > 2 and kept and seen[: len(kept)] == kept
    begun = found(vera, point="bess1/pcs/*", text="local", limit=1000)
    assert begun and all(event["point"].startswith("bess1/pcs/") for event in begun)
    times = [event["time_ms"] for event in begun]
    first, last = min(times), max(times)  # in ms: 0.2 µs of it are lost on the way
    assert found(vera, end_ms=first - 0.01, point="bess1/pcs/*", text="local") == []
    later = [e["time_ms"] for e in found(vera, start_ms=last - 0.01, text="local", point="bess1/pcs/*")]
    assert last in later and min(later) == last
    file = list(csv.DictReader(io.StringIO(vera.get("/api/events/file", **local).decode())))
    assert {row["state"] for row in file} >= {"on", "off"} and all(row["time"].endswith("Z") for row in file)
