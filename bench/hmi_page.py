"""HMI: how soon the page is there in Chromium, and how heavy it is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from typing import Any, Final

from playwright.async_api import Browser, Page, async_playwright

from bench import hmi_rig
from bench.result import Result, percentile
from hmi.assets import Assets

ROUNDS: Final = 5
PAINT_MS: Final = 1_000.0
WEIGHT_KB: Final = 400.0
_PAINTED: Final = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
_LOADED: Final = """[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
    .reduce((sum, each) => sum + each.transferSize, 0)"""


async def _paint(page: Page) -> float:
    # Asked from outside: the page's own policy lets nothing be evaluated within it.
    async with asyncio.timeout(60):
        while not (painted := float(await page.evaluate(_PAINTED))):
            await asyncio.sleep(0.05)
    return painted


async def _round(browser: Browser, url: str) -> tuple[float, float, float]:
    """(first paint of the login, first paint with a session, octets until the overview stands); nothing is cached."""
    place = await browser.new_context()
    page = await place.new_page()
    await page.goto(url)
    login = await _paint(page)
    await page.get_by_label("Name").fill(hmi_rig.NAME)
    await page.get_by_label("Password").fill(hmi_rig.PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.locator(".single-line").wait_for()
    weight = float(await page.evaluate(_LOADED))
    cookies: Any = await place.cookies()
    await place.close()
    fresh = await browser.new_context()
    await fresh.add_cookies(cookies)
    page = await fresh.new_page()
    await page.goto(url)
    inside = await _paint(page)
    await page.locator(".single-line").wait_for()
    await fresh.close()
    return login, inside, weight


async def _measure() -> list[Result]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("Debian's chromium is not installed")
    async with hmi_rig.hmi(hmi_rig.demo_site()) as product, async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        rounds = [await _round(browser, f"http://127.0.0.1:{product.port}/") for _ in range(ROUNDS)]
        await browser.close()
    logins, insides, weights = zip(*rounds, strict=True)
    note = f"median of {ROUNDS} with an empty cache; slowest {max(logins):.0f} and {max(insides):.0f} ms"
    return [
        Result(name="hmi_first_paint_login", value=percentile(logins, 50), unit="ms", budget=PAINT_MS, note=note),
        Result(name="hmi_first_paint_overview", value=percentile(insides, 50), unit="ms", budget=PAINT_MS),
        Result(name="hmi_weight_first_page", value=max(weights) / 1e3, unit="kB", budget=WEIGHT_KB, note="transferred"),
        Result(name="hmi_weight_all_pages", value=_all_kb(), unit="kB", budget=WEIGHT_KB, note="every static file"),
    ]


def _all_kb() -> float:
    """Every file of the page as it is transferred."""
    return sum(min(len(asset.packed), len(asset.data)) for asset in Assets().files.values()) / 1e3


def measure() -> Iterator[Result]:
    """See the module."""
    yield from asyncio.run(_measure())
