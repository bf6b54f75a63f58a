"""A point-to-point test of the SLDC's master, from the first value to the printed sheet."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Browser, expect

from tests.kit.gateway import listens, wait_until
from tests.kit.hmikit import Caller, HmiSite, accessible, desk, fits, needs_chromium
from tests.peers.threaded104 import Threaded104

MASTER = {"server": "sldc", "master": "sldc-main"}


def begun(esha: Caller) -> dict[str, Any]:
    found: dict[str, Any] = esha.post("/api/commissioning/tests", MASTER | {"title": "by call", "kind": "FAT"})
    return found


def number_of(test: dict[str, Any], point: str) -> int:
    return next(i for i, each in enumerate(test["items"]) if each["point"] == point)


def test_who_may(hmi: HmiSite) -> None:
    assert hmi.caller("omar").ask("POST", "/api/commissioning/tests", MASTER).status_code == 403
    esha = hmi.caller("esha")
    assert esha.ask("POST", "/api/commissioning/tests", MASTER | {"master": "nobody"}).status_code == 404
    test = begun(esha)
    assert {"point", "address", "kind"} <= test["items"][0].keys()
    vera = hmi.caller("vera")
    assert vera.get(f"/api/commissioning/tests/{test['id']}")["id"] == test["id"]
    drive = {"item": 0, "value": 1}
    assert vera.ask("POST", f"/api/commissioning/tests/{test['id']}/drive", drive).status_code == 403
    assert esha.ask("POST", f"/api/commissioning/tests/{test['id']}/drive", drive | {"item": 9999}).status_code == 404


def test_a_driven_value_is_seen_on_the_wire_and_returns(hmi: HmiSite) -> None:
    esha = hmi.caller("esha")
    test = begun(esha)
    at = number_of(test, "poi/frequency")
    with Threaded104(hmi.site.port) as sldc:
        sldc.interrogate()
        wait_until(lambda: len(sldc.frames) > 3, "the interrogation's answer")
        answer = esha.post(
            f"/api/commissioning/tests/{test['id']}/drive",
            {"item": at, "value": 50.5, "accept": True, "hold_s": 600},
        )
        (drive,) = answer["item"]["drives"]
        assert drive["outcome"] == "driven"
        sent = [frame for frame in drive["frames"] if frame["out"]]
        assert any("50.5 Hz" in frame["text"] and "[test]" in frame["text"] for frame in sent), sent
        point = "poi/frequency"
        shown = esha.get(f"/api/commissioning/tests/{test['id']}/item", item=at)
        assert shown["item"]["point"] == point
        esha.post(f"/api/commissioning/tests/{test['id']}/release", {"item": at})
        octets = bytes.fromhex(sent[0]["octets"])
        assert octets in sldc.frames, "the sheet shows what the master really got"
    audit = (hmi.site.state_dir / "audit").glob("commands-*.jsonl")
    steps = [json.loads(line) for path in audit for line in path.read_text().splitlines()]
    mine = [step for step in steps if step.get("point") == point and step["action"] in ("substitute", "release")]
    assert [step["action"] for step in mine] == ["substitute", "release"]
    assert all("esha" in step["origin"] for step in mine)


def test_a_test_value_does_not_outlive_the_hmi(hmi: HmiSite) -> None:
    """The process that keeps its time is killed: the next one lets the point go."""
    esha, point = hmi.caller("esha"), "poi/frequency"
    test = begun(esha)
    order = {"item": number_of(test, point), "value": 51.5, "accept": True, "hold_s": 600}
    esha.post(f"/api/commissioning/tests/{test['id']}/drive", order)
    assert hmi.site.point(point)["value"] == 51.5
    hmi.site.kill_child("hmi")
    wait_until(lambda: hmi.site.point(point)["value"] < 51, "the field's own value")
    wait_until(lambda: listens(hmi.site.hmi_port), "the HMI again")


def test_a_point_that_the_gateway_acts_on_is_not_driven_by_mistake(hmi: HmiSite) -> None:
    esha = hmi.caller("esha")
    test = begun(esha)
    at = number_of(test, "bess1/pcs/estop")
    refused = esha.ask("POST", f"/api/commissioning/tests/{test['id']}/drive", {"item": at, "value": 1})
    assert refused.status_code == 409
    assert "estop" in refused.json()["error"]


def test_a_masters_command_is_awaited(hmi: HmiSite) -> None:
    """C_SE_NC_1 from the master: the sheet keeps it with what became of it."""
    esha = hmi.caller("esha")
    test = begun(esha)
    item = next(each for each in test["items"] if each["point"] == "bess1/pcs/power_setpoint")
    at = test["items"].index(item)
    measured = number_of(test, "poi/frequency")
    assert esha.ask("POST", f"/api/commissioning/tests/{test['id']}/await", {"item": measured}).status_code == 409
    nobody = esha.ask("POST", f"/api/commissioning/tests/{test['id']}/await", {"item": at, "wait_s": 1})
    assert nobody.status_code == 504


@needs_chromium
def test_esha_walks_the_list_to_its_sheet(hmi: HmiSite, browser: Browser) -> None:
    with Threaded104(hmi.site.port), desk(browser, hmi, "esha", "commissioning") as page:
        page.get_by_role("button", name="Begin a test").click()
        page.get_by_label("Title").fill("Acceptance at the site")
        page.get_by_label("Witness").fill("R. Rao")
        page.get_by_role("button", name="Begin", exact=True).click()
        expect(page.get_by_role("heading", name="SAT: Acceptance at the site")).to_be_visible()
        accessible(page)
        # The first point that nothing acts upon: no question is asked.
        page.get_by_label("Points of this test").focus()
        item = page.evaluate(
            """async () => {
              const id = location.hash.split("/")[2];
              const test = await (await fetch(`/api/commissioning/tests/${id}`)).json();
              return test.items.findIndex((each) => each.kind === "analog" && !each.used_by.length);
            }"""
        )
        page.evaluate(f"location.hash = location.hash.split('/').slice(0, 3).join('/') + '/{item + 1}'")
        expect(page.get_by_role("heading", name=f"{item + 1} of ")).to_be_visible()
        page.get_by_label("Value").fill("12.5")
        page.get_by_role("button", name="Put in").press("Enter")
        expect(page.locator(".frames li").first).to_contain_text("12.5")
        page.get_by_label("The master shows").fill("12.5")
        page.get_by_role("button", name="Passed, next").press("Enter")
        expect(page.get_by_text("1 passed")).to_be_visible()
        page.get_by_role("button", name="Failed").click()
        expect(page.get_by_text("needs a comment")).to_be_visible()
        page.set_viewport_size({"width": 375, "height": 700})
        fits(page)
        accessible(page)
        page.reload()
        expect(page.get_by_text("1 passed")).to_be_visible()
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Print the sheet").click()
        sheet = opened.value
        expect(sheet.get_by_text("R. Rao")).to_be_visible()
        expect(sheet.get_by_text("12.5").first).to_be_visible()
        assert "M_ME" in sheet.content()
