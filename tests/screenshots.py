"""One picture of every page of the HMI: ``python -m tests.screenshots FOLDER``, what `make screenshots` runs.

The demo plant with its gateway, on ports of its own and in a folder of its own; pages come from the page's own table,
so that new ones are pictured too. The overview also as a phone shows it, and dark.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page

from tests.kit.hmikit import HmiSite, chromium, desk, hmi_site

PERSON: Final = "adam"
DESKTOP: Final[dict[str, Any]] = {"viewport": {"width": 1280, "height": 800}}
PHONE: Final[dict[str, Any]] = {"viewport": {"width": 375, "height": 800}}
_SETTLE_MS: Final = 4_000
_NAMES: Final = "import('/static/pages.js').then((found) => found.PAGES.map((page) => page.name))"


def _enliven(hmi: HmiSite) -> None:
    """Something to be seen: the battery discharges. A machine that was too busy at the start may have tripped it."""
    hmi.site.cli("interlocks", "reset")
    hmi.site.cli("command", "bess1/pcs/run", "1")
    hmi.caller("omar").ask("POST", "/power", {"power_kw": 400})


def _pictures(hmi: HmiSite, browser: Browser) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(page, how the browser is, name of the picture)."""
    with desk(browser, hmi, PERSON) as page:
        names: list[str] = page.evaluate(_NAMES)
    for name in names:
        yield name, DESKTOP, name
    yield "overview", PHONE, "overview-phone"
    yield "overview", DESKTOP | {"color_scheme": "dark"}, "overview-dark"


def _settle(page: Page) -> None:
    page.locator("h1").first.wait_for()
    page.wait_for_timeout(_SETTLE_MS)


def take(folder: Path) -> list[Path]:
    """Take all of them; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with tempfile.TemporaryDirectory() as place, hmi_site(Path(place), whole=True) as hmi, chromium() as browser:
        _enliven(hmi)
        for address, how, name in _pictures(hmi, browser):
            with desk(browser, hmi, PERSON, address, **how) as page:
                _settle(page)
                taken.append(folder / f"{name}.png")
                page.screenshot(path=taken[-1])
    return taken


def main() -> int:
    """The command line."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m tests.screenshots FOLDER\n")
        return 2
    for path in take(Path(sys.argv[1])):
        sys.stdout.write(f"{path} {path.stat().st_size / 1e3:.0f} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
