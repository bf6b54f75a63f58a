"""Engineering: a deadband is changed in the page, a mistake is shown where it is, and it can be taken back."""

from __future__ import annotations

import io
import re
import zipfile

from playwright.sync_api import Browser, expect

from tests.kit.gateway import wait_until
from tests.kit.hmikit import HmiSite, accessible, desk, fits, needs_chromium

MAP = "pointmaps/masters/demo_sldc_iec104.csv"


def test_who_may(hmi: HmiSite) -> None:
    omar, esha = hmi.caller("omar"), hmi.caller("esha")
    assert omar.ask("GET", "/api/engineering/configuration").status_code == 403
    assert omar.ask("POST", "/api/engineering/candidate").status_code == 403
    assert esha.ask("GET", "/api/service/backup").status_code == 403
    assert esha.ask("PUT", "/api/engineering/file", {"name": MAP, "text": "x"}).status_code == 409, "no candidate yet"
    assert esha.ask("GET", "/api/engineering/versions/9/diff").status_code == 404
    found = esha.get("/api/engineering/configuration")
    assert {file["name"] for file in found["files"]} >= {MAP, "config/demo/site.yaml"}
    esha.post("/api/engineering/candidate")
    outside = {"name": "../../../etc/cron.d/x.csv", "text": "x"}
    assert esha.ask("PUT", "/api/engineering/file", outside).status_code == 422
    assert esha.ask("DELETE", "/api/engineering/candidate").status_code == 200


def test_documents_logs_backup_and_attestation(hmi: HmiSite) -> None:
    omar = hmi.caller("omar")
    with zipfile.ZipFile(io.BytesIO(omar.get("/api/service/documents"))) as archive:
        assert any(name.startswith("sldc/") for name in archive.namelist())
        assert b"poi/frequency" in archive.read("points.csv")
    lines = wait_until(lambda: omar.get("/api/logs", text="gateway serves"), "the supervisor's line")
    assert lines[0]["process"] == "supervisor"
    assert not omar.get("/api/logs", level="error", text="no such words")
    about = omar.get("/api/service/about")
    assert {process["title"] for process in about["processes"]} == {"core", "iec104 sldc", "dnp3 rldc", "hmi"}
    assert len(about["configuration"]) == len(about["code"]) == 64
    adam = hmi.caller("adam")
    saved = adam.http.get("/api/service/backup")
    assert saved.status_code == 200
    assert saved.content[:2] == b"\x1f\x8b"


@needs_chromium
def test_esha_changes_a_deadband_and_takes_it_back(hmi: HmiSite, browser: Browser) -> None:
    dnp3, core = hmi.site.child("dnp3 rldc"), hmi.site.child("core")
    with desk(browser, hmi, "esha", "engineering/configuration", restarts=True) as page:
        page.get_by_role("button", name="Begin a candidate").click()
        expect(page.get_by_role("button", name="Discard")).to_be_visible()
        page.get_by_role("button", name="demo_sldc_iec104.csv").click()
        editor = page.locator("#editor")
        expect(editor).to_have_value(re.compile("poi/frequency"))
        before = editor.input_value()
        row = next(i for i, line in enumerate(before.splitlines(), 1) if line.startswith("poi/frequency"))
        wrong = "\n".join(
            line.replace("poi/frequency,", "poi/frequenzy,", 1) if i == row else line
            for i, line in enumerate(before.split("\n"), 1)
        )
        editor.fill(wrong)
        page.get_by_role("button", name="Keep").click()
        page.get_by_role("button", name="Check").click()
        expect(page.get_by_role("heading", name="1 error")).to_be_visible(timeout=60_000)
        expect(page.get_by_role("button", name=f"{MAP}, row {row}")).to_be_visible()
        accessible(page)
        lines = before.split("\n")
        del lines[row - 1]
        editor.fill("\n".join(lines))
        page.get_by_role("button", name="Keep").click()
        page.get_by_role("button", name="Compare").click()
        expect(page.locator(".minus", has_text="poi/frequency").first).to_be_visible()
        page.get_by_role("button", name="Apply").click()
        page.get_by_label("Reason").fill("the SLDC does not want the frequency")
        page.get_by_role("dialog").get_by_role("button", name="Apply").press("Enter")
        expect(page.get_by_role("heading", name="Applied", exact=True)).to_be_visible(timeout=100_000)
        expect(page.get_by_text("Went on: core, dnp3 rldc")).to_be_visible()
        page.set_viewport_size({"width": 375, "height": 700})
        fits(page)
        page.get_by_role("link", name="Versions").click()
        page.get_by_role("button", name="Take as candidate").click()
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_role("button", name="Apply")).to_be_visible()
        accessible(page)
    assert (hmi.site.child("dnp3 rldc"), hmi.site.child("core")) == (dnp3, core), "what did not change went on"
    esha = hmi.caller("esha")
    assert esha.post("/api/engineering/check")["impact"]["restarted"] == ["iec104 sldc", "hmi"]
