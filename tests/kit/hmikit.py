"""The HMI of a whole gateway as people meet it: calls over HTTP, and a real browser."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from gateway.users.roles import Role
from gateway.users.store import User, hash_password, write_users
from tests.kit.gateway import START_S, DemoSite, listens, wait_until

CHROMIUM: Final = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")
PASSWORD: Final = "correct horse battery"
PEOPLE: Final = {"vera": Role.VIEWER, "omar": Role.OPERATOR, "esha": Role.ENGINEER, "adam": Role.ADMINISTRATOR}


def people(site: DemoSite) -> None:
    """Vera the viewer, Omar the operator, Esha the engineer, Adam the administrator; one password for all."""
    hashed = hash_password(PASSWORD)
    users = {name: User(name=name, roles=frozenset({role.value}), password=hashed) for name, role in PEOPLE.items()}
    write_users(site.state_dir / "users.yaml", users)


@contextlib.contextmanager
def hmi_site(
    folder: Any, whole: bool = False, before: Callable[[DemoSite], None] = lambda site: None
) -> Iterator[HmiSite]:
    """The demo plant with its gateway and HMI, up and serving. `before` may change the site before it starts."""
    with DemoSite(folder, whole=whole, hmi=True) as site:
        people(site)
        before(site)
        site.start_simulator()
        site.start()
        wait_until(lambda: listens(site.hmi_port), "the HMI, which may be later than the rest")
        hmi = HmiSite(site)
        try:
            yield hmi
        finally:
            for caller in hmi.callers:
                caller.http.close()


@dataclass(frozen=True, slots=True)
class HmiSite:
    """A running gateway with its HMI."""

    site: DemoSite
    callers: list[Caller] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.site.hmi_port}"

    def caller(self, name: str = "") -> Caller:
        """A program that logs in as this person; without a name it does not log in."""
        caller = Caller(self.url)
        self.callers.append(caller)
        if name:
            caller.login(name)
        return caller


class Caller:
    """Calls the API as the page does: with the session's cookie and its token against forged calls."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)
        self.csrf = ""

    def login(self, name: str, password: str = PASSWORD) -> httpx.Response:
        answer = self.http.post("/api/login", json={"name": name, "password": password})
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    def get(self, path: str, **query: Any) -> Any:
        """The answer's JSON; fails for a refusal."""
        return self._good(self.http.get(path, params=query))

    def post(self, path: str, body: Any = None) -> Any:
        return self._good(self.ask("POST", path, body))

    def put(self, path: str, body: Any = None) -> Any:
        return self._good(self.ask("PUT", path, body))

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """The answer as it is, a refusal too."""
        return self.http.request(method, path, json=body, headers={"X-CSRF-Token": self.csrf})

    @staticmethod
    def _good(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, f"{answer.request.method} {answer.request.url}: {answer.text}"
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.content


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def desk(
    browser: Browser, hmi: HmiSite, name: str, address: str = "", *, restarts: bool = False, **context: Any
) -> Iterator[Page]:
    """A page on which this person has logged in, at ``#/address``. Errors in the page's console fail the test.

    `restarts`: the HMI's own process is started anew meanwhile, and that the page cannot reach it then is no trouble.
    """
    place: BrowserContext = browser.new_context(**context)
    page = place.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if _trouble(said, restarts) else None)
    page.goto(f"{hmi.url}/#/{address}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.locator(".shell").wait_for(timeout=START_S * 1000)
    try:
        yield page
        assert not troubles, troubles
    finally:
        place.close()


def _trouble(said: ConsoleMessage, restarts: bool) -> bool:
    """A refusal that the page shows to the person is none."""
    away = restarts and ("net::ERR_" in said.text or "WebSocket connection" in said.text)
    return said.type == "error" and "status of" not in said.text and not away


def accessible(page: Page) -> None:
    """axe-core finds nothing against WCAG 2.1 A and AA on the page as it stands."""
    from axe_playwright_python.sync_playwright import Axe

    result = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    found = [
        f"{each['id']}: {each['help']}: {[node['html'][:160] for node in each['nodes'][:3]]}"
        for each in result.response["violations"]
    ]
    assert not found, "\n".join(found)


def fits(page: Page) -> None:
    """Nothing sticks out of the page sideways."""
    width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1], f"the page is {width[0]} px wide in a window of {width[1]}"


def shown(page: Page, text: str) -> None:
    """The page says this, now or soon."""
    wait_until(lambda: text in page.locator("body").inner_text(), f"the page to say {text!r}")


def drawn(page: Page, column: int) -> list[float | None]:
    """What uPlot draws: column 0 is time, then low, high and mean of each point."""
    return list(page.evaluate("(column) => [...(document.querySelector('.chart').uplot?.data[column] ?? [])]", column))


def known(values: list[float | None]) -> list[int]:
    """Where there is something."""
    return [at for at, value in enumerate(values) if value is not None]
