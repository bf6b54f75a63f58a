"""The overview: the drawing lives, a lost meter looks lost, an engineer's own drawing is shown or refused."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.kit.gateway import DemoSite, wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, hmi_site, needs_chromium

OWN = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 120">
  <text id="power" x="10" y="30" data-point="poi/power" data-digits="1">-</text>
  <rect id="charge" x="10" y="40" width="20" height="60" data-point="bess1/pcs/soc" data-show="fill"/>
  <circle id="breaker" cx="60" cy="60" r="9" stroke="#333" data-point="bess1/pcs/breaker"/>
</svg>
"""


def test_the_facts_name_every_part_of_the_plant(hmi: HmiSite) -> None:
    vera = hmi.caller("vera")
    facts = vera.get("/api/overview")
    assert facts["power"] == {"point": "poi/power", "kw": 1.0}
    (unit,) = facts["feeders"]
    assert (unit["name"], unit["sort"], unit["soc"]) == ("bess1", "battery", "bess1/pcs/soc")
    assert unit["control"]["target_kw"] == "system/control/bess1/target_kw"
    assert facts["local"] == "bess1/pcs/local" and facts["drawing"] is False
    assert vera.ask("GET", "/api/overview/drawing").status_code == 404
    assert set(vera.get("/api/overview/alarms")["counts"]) == {"critical", "high", "medium", "low"}


@needs_chromium
def test_vera_sees_the_plant_live_and_a_lost_meter_lost(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "vera", "overview") as page:
        drawing = page.locator(".single-line")
        power = drawing.get_by_label("poi/power", exact=True)
        before = wait_until(lambda: "kW" in (power.text_content() or "") and power.text_content(), "a power")
        wait_until(lambda: power.text_content() != before, "another power")
        expect(drawing.get_by_label("bess1/pcs/breaker")).to_have_text("closed")
        expect(page.get_by_text("nobody: it holds")).to_be_visible()
        expect(page.get_by_text("remote: masters and operators may command")).to_be_visible()
        accessible(page)
        hmi.site.order("unplug meter")
        expect(drawing.get_by_text("meter does not answer")).to_be_visible()
        wait_until(lambda: (power.text_content() or "").endswith("?"), "the stale look")
        expect(page.locator(".alarms")).to_contain_text("meter", ignore_case=True)
        accessible(page)
        hmi.site.order("plug meter")
        wait_until(lambda: not (power.text_content() or "?").endswith("?"), "the meter's own value")
        page.keyboard.press("Tab")
        drawing.get_by_label("bess1/pcs/soc").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="bess1/pcs/soc")).to_be_visible()


@needs_chromium
def test_a_phone_shows_the_drawing_and_dark_too(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "vera", viewport={"width": 375, "height": 700}, color_scheme="dark") as page:
        expect(page.locator(".single-line").get_by_text("bess1")).to_be_visible()
        fits(page)
        accessible(page)


@needs_chromium
def test_an_own_drawing_is_bound_to_live_values(tmp_path: Path, browser: Browser) -> None:
    def with_drawing(site: DemoSite) -> None:
        (site.site.parent / "own.svg").write_text(OWN)
        site.site.write_text(site.site.read_text().replace("hmi: {", "hmi: {drawing: own.svg, "))

    with hmi_site(tmp_path, before=with_drawing) as own, desk(browser, own, "vera") as page:
        power = page.locator("#drawing-power")
        before = wait_until(lambda: (power.text_content() or "").endswith("kW") and power.text_content(), "a power")
        wait_until(lambda: power.text_content() != before, "another power")
        expect(page.locator("#drawing-breaker")).to_have_attribute("data-state", "closed")
        charge = page.locator("#drawing-charge")
        assert 0 < float(charge.get_attribute("height") or 0) < 60
        accessible(page)


def test_a_drawing_that_acts_is_refused_with_its_line(tmp_path: Path) -> None:
    with DemoSite(tmp_path, hmi=True) as site:
        drawing = site.site.parent / "own.svg"
        drawing.write_text(
            OWN.replace("<rect", '<script>alert(1)</script>\n<rect onclick="x()"').replace("poi/power", "poi/powr")
        )
        site.site.write_text(site.site.read_text().replace("hmi: {", "hmi: {drawing: own.svg, "))
        done = site.run("check", str(site.site))
    assert done.returncode == 1
    for words in ("own.svg, line 3: scripts", "own.svg, line 4: onclick", "did you mean poi/power"):
        assert words in done.stdout + done.stderr
