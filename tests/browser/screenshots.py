"""`python -m tests.browser.screenshots [FOLDER] [--only PART]`: pictures of every page, light and dark and on a phone,
of a fleet that is made up; into docs/screenshots unless told otherwise."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from agent.store.rows import Role
from tests.browser.conftest import CHROMIUM
from tests.browser.ground import MODEM, Ground, running_ground
from tests.browser.scene import MODEMS, populate, prepare
from tests.browser.visitor import PHONE, WIDE, Visitor
from tests.postgres_fixture import fresh_database, make_template, running_postgres

FOLDER = Path(__file__).parents[2] / "docs/screenshots"
SCHEMES = ("light", "dark")
SETTLE_MILLISECONDS = 1500
HEIGHT_MOST = 2400


def pages_of(listed: dict[str, str], device: str) -> dict[str, str]:
    """File name and path of each page that is seen signed in; `listed` is what the navigation has."""
    of_device = {
        f"device-{tab or 'summary'}": f"/devices/{device}{'/' if tab else ''}{tab}"
        for tab in ("", "parameters", "tasks", "faults", "sessions")
    }
    return {**listed, "modem": f"/modems/{MODEM}", **of_device, "account": "/account"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    parser.add_argument("--only", default="", help="pages whose file name has this in it")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, running_postgres(Path(scratch) / "postgres") as server:
        make_template(server)
        with fresh_database(server) as url:
            ready = prepare(url)
            with running_ground(url, Path(scratch) / "ground", modems=MODEMS, prepare=ready) as ground:
                _take_all(ground, options.folder, options.only)


def _take_all(ground: Ground, folder: Path, only: str) -> None:
    serial_number = populate(ground)
    [[device]] = ground.rows("SELECT device_id FROM devices WHERE serial_number = %s", serial_number)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--hide-scrollbars"])
        state, listed = _sign_in(browser, ground)
        # A `%` of the id is encoded once more in a path.
        pages = {name: path for name, path in pages_of(listed, str(device).replace("%", "%25")).items() if only in name}
        for scheme in SCHEMES:
            for name, path in {**pages, **({"login": "/login"} if only in "login" else {})}.items():
                signed_in = {} if name == "login" else {"storage_state": state}
                _take(ground, browser, path, folder / f"{name}-{scheme}.png", color_scheme=scheme, **signed_in)
        for name, path in pages.items():
            _take(ground, browser, path, folder / f"{name}-phone.png", phone=True, storage_state=state)
        browser.close()


def _sign_in(browser: Browser, ground: Ground) -> tuple[Any, dict[str, str]]:
    """A browser's state to begin from, and the pages that its navigation leads to."""
    visitor = Visitor(browser, ground.url)
    visitor.sign_in(Role.ADMIN.value)
    visitor.open("/")
    links = visitor.page.locator("#rail li a").all()
    listed = {link.inner_text().strip().lower(): link.get_attribute("href") or "" for link in links}
    state = visitor.context.storage_state()
    visitor.close()
    return state, listed


def _take(ground: Ground, browser: Browser, path: str, file: Path, *, phone: bool = False, **options: Any) -> None:
    ground.keep_agent_alive()
    visitor = Visitor(browser, ground.url, locale="en-GB", timezone_id="Europe/Berlin", **options)
    size = PHONE if phone else WIDE
    visitor.page.set_viewport_size(size)
    status = visitor.open(path)
    visitor.page.wait_for_timeout(SETTLE_MILLISECONDS)
    height = min(HEIGHT_MOST, visitor.page.evaluate("document.documentElement.scrollHeight"))
    visitor.page.set_viewport_size(ViewportSize(width=size["width"], height=max(size["height"], height)))
    visitor.page.wait_for_timeout(300)
    visitor.page.screenshot(path=file, animations="disabled")
    print(f"{file.name}: {path}, {status}", flush=True)
    visitor.close()


if __name__ == "__main__":
    main()
