"""The frame of every page: login, menu, live link, roles."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.kit.hmikit import PASSWORD, HmiSite, accessible, desk, fits, needs_chromium


def test_without_a_login_nothing_is_told(hmi: HmiSite) -> None:
    stranger = hmi.caller()
    assert stranger.ask("GET", "/api/site").status_code == 401
    assert stranger.ask("POST", "/api/logout").status_code == 401
    assert stranger.login("omar", "a wrong guess").json()["error"] == "name or password is wrong"
    assert stranger.login("nobody", PASSWORD).json()["error"] == "name or password is wrong"


def test_a_call_from_another_site_is_refused(hmi: HmiSite) -> None:
    omar = hmi.caller("omar")
    forged = omar.http.post("/api/logout", headers={"Origin": "http://evil.example", "X-CSRF-Token": omar.csrf})
    assert forged.status_code == 403
    assert omar.http.post("/api/logout").status_code == 403, "without the token"
    assert omar.http.get("/api/site", headers={"Host": "evil.example"}).status_code == 421
    assert omar.get("/api/session")["name"] == "omar"


@needs_chromium
def test_omar_logs_in_sees_who_answers_and_logs_out(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "omar") as page:
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        expect(page.get_by_text("omar (operator)")).to_be_visible()
        expect(page.get_by_text("answers", exact=True).first).to_be_visible()
        accessible(page)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        accessible(page)


@needs_chromium
def test_a_phone_shows_it_too(hmi: HmiSite, browser: Browser) -> None:
    with desk(browser, hmi, "vera", viewport={"width": 375, "height": 700}) as page:
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        fits(page)
        page.get_by_role("button", name="Menu").click()
        expect(page.get_by_role("link", name="Overview")).to_be_visible()
        accessible(page)
