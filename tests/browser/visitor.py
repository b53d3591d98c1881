"""Somebody in front of a browser, and what must be true of every page they see."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, ViewportSize

from tests.web.people import PASSWORD

AXE = Path(__file__).parents[1] / "data/axe/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
WIDE, PHONE = ViewportSize(width=1440, height=900), ViewportSize(width=390, height=844)
PATIENCE_MILLISECONDS = 20_000


class Visitor:
    """One page in a browser of its own. `complaints` has what no page may cause: errors in the console, and requests
    that leave the server."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of complaints that a test brings about itself."""
        self.context: BrowserContext = browser.new_context(base_url=url, viewport=WIDE, **options)
        self.context.set_default_timeout(PATIENCE_MILLISECONDS)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.context.on("request", self._watch)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Fill in the form."""
        self.page.goto("/login")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "/login" not in url)

    def open(self, path: str) -> int:
        """Go to a page; its status."""
        response = self.page.goto(path, wait_until="load")
        assert response is not None
        return response.status

    def wait_until_live(self) -> None:
        """Return when the stream of events is open, as far as the server's answer tells."""
        with self.page.expect_response(lambda response: urlsplit(response.url).path.endswith("/events")):
            self.page.reload()

    def violations(self) -> list[str]:
        """What axe-core finds against WCAG 2.2 AA on the page as it is."""
        # A page's own policy allows no such script; the browser's debugger is not bound by it.
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.page.evaluate("rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", RULES)[
            "violations"
        ]
        return [f"{each['id']}: {each['help']}: {_places(each)}" for each in found]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width

    def cookies(self) -> dict[str, str]:
        """What the browser keeps for the server."""
        return {cookie["name"]: cookie["value"] for cookie in self.context.cookies()}

    def close(self) -> None:
        """Leave; AssertionError when there was something to complain of."""
        self.context.close()
        left = [each for each in self.complaints if not any(part in each for part in self.expected)]
        assert left == []

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def _watch(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.complaints.append(f"request: {request.url}")


def _places(violation: dict[str, Any]) -> str:
    return "; ".join(f"{node['target']} {node['html'][:160]}" for node in violation["nodes"][:4])
