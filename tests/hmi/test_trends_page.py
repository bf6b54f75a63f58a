"""Trends as people meet them: recorded and live values in one line, gaps, zoom, sets, files."""

from __future__ import annotations

import csv
import io
import itertools
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Route, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, drawn, known, needs_chromium

FREQUENCY = "poi/frequency"


def recorded(caller: Any, name: str, seconds: float = 120.0, count: int = 100) -> dict[str, Any]:
    """The series of one point over the last time."""
    now_ms = time.time() * 1e3
    span = {"start_ms": now_ms - seconds * 1e3, "end_ms": now_ms}
    found = caller.get("/api/trends", points=name, count=count, **span)
    assert found["history"] and found["count"] == count
    return dict(found["series"][0])


def shown_span(page: Page) -> float:
    return float(page.evaluate("(({min, max}) => max - min)(document.querySelector('.chart').uplot.scales.x)"))


@needs_chromium
def test_vera_draws_a_trend_with_its_gap_and_zooms_by_keyboard(whole: HmiSite, browser: Browser) -> None:
    caller = whole.caller("vera")
    wait_until(lambda: len(known(recorded(caller, FREQUENCY)["mean"])) > 3, "some history")
    whole.site.order("unplug meter")
    wait_until(lambda: recorded(caller, FREQUENCY, 8, 10)["mean"][6:9] == [None] * 3, "nothing known of it")
    whole.site.order("plug meter")
    with desk(browser, whole, "vera", "trends") as page:
        page.get_by_label("Point", exact=True).fill("frequency interconnection")
        expect(page.get_by_role("option").first).to_contain_text(FREQUENCY)
        page.keyboard.press("Enter")

        def whole_line() -> bool:
            """Recorded, a gap, live again."""
            at = known(drawn(page, 3))
            return len(at) > 5 and any(b - a > 3 for a, b in itertools.pairwise(at))

        wait_until(whole_line, "history and live values with a gap between", 40)
        _, low, high, mean = page.evaluate("document.querySelector('.chart').uplot.data.map((column) => [...column])")
        for at in known(mean):
            assert low[at] - 1e-4 <= mean[at] <= high[at] + 1e-4
        newest = drawn(page, 0)[-1]
        wait_until(lambda: drawn(page, 0)[-1] > newest + 1 and known(drawn(page, 3)[-2:]), "live values to be appended")
        page.locator(".chart-place").focus()
        span = shown_span(page)
        page.keyboard.press("+")
        wait_until(lambda: shown_span(page) < span * 0.6, "half of the time")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Shift+ArrowLeft")
        expect(page.locator("thead")).not_to_contain_text("At the cursor")
        page.keyboard.press("m")
        expect(page.locator("thead")).not_to_contain_text("At the mark")
        page.keyboard.press("Home")
        expect(page.get_by_role("button", name="Follow what comes in")).to_have_attribute("aria-pressed", "true")
        accessible(page)


@needs_chromium
def test_a_set_is_kept_passed_on_and_written_to_a_file(whole: HmiSite, browser: Browser, tmp_path: Path) -> None:
    points = f"{FREQUENCY},bess1/pcs/soc,bess1/pcs/breaker"
    with desk(browser, whole, "omar", f"trends/{points.replace('/', '%2F')}/1800") as page:
        expect(page.locator("tbody tr")).to_have_count(3)
        expect(page.get_by_label("Time")).to_have_value("1800")
        page.get_by_role("button", name="Save set…").click()
        page.get_by_label("Name").fill("morning")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("button", name=f"Remove {FREQUENCY}").click()
        expect(page.locator("tbody tr")).to_have_count(2)
        wait_until(lambda: "frequency" not in page.url, "the address to follow")
        late: list[Route] = []  # what the page asks for its address is answered after a set has been chosen
        page.route("**/api/trends/points?*", lambda route: late.append(route) if len(late) < 2 else route.continue_())
        page.reload()
        page.get_by_label("Saved sets").select_option("morning")
        expect(page.locator("tbody tr")).to_have_count(3)
        for route in late:
            route.continue_()
        page.wait_for_timeout(500)
        expect(page.locator("tbody tr")).to_have_count(3)
        wait_until(lambda: "frequency" in page.url, "an address that can be passed on")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Export CSV").click()
        assert saved.value.suggested_filename.startswith("trend-samples-")
        saved.value.save_as(tmp_path / "trend.csv")
        rows = list(csv.DictReader(io.StringIO((tmp_path / "trend.csv").read_text())))
        assert {row["point"] for row in rows} == set(points.split(","))
        assert all(45 < float(row["value"]) < 55 for row in rows if row["point"] == FREQUENCY)


def test_what_makes_no_sense_is_refused(whole: HmiSite) -> None:
    vera = whole.caller("vera")
    good: dict[str, Any] = {"points": FREQUENCY, "start_ms": 1e12, "end_ms": 1e12 + 1e6}
    for status, wrong in [
        (404, {"points": "poi/frequensy"}),
        (422, {"points": ","}),
        (422, {"points": ",".join(f"p{at}" for at in range(21))}),
        (422, {"end_ms": 1e12 - 1}),
        (422, {"end_ms": 1e12 + 401 * 86_400e3}),
        (422, {"count": 2_001}),
        (422, {"start_ms": "soon"}),
    ]:
        answer = vera.http.get("/api/trends", params=good | wrong)
        assert answer.status_code == status, answer.text
    assert set(vera.get("/api/trends", **good)["series"][0]["mean"]) == {None}, "long before anything was recorded"
