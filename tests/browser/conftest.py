"""Real processes, a real browser, and people of each role in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from agent.sim.postgres import EmbeddedPostgres
from agent.store.rows import Role
from tests.browser.ground import Ground, running_ground
from tests.browser.visitor import Visitor
from tests.postgres_fixture import fresh_database, missing_service

CHROMIUM = Path("/usr/bin/chromium")
Visit = Callable[..., Visitor]


@pytest.fixture(scope="package")
def ground(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """What all tests look at; a test changes a modem or a CPE of its own."""
    folder: Path = tmp_path_factory.mktemp("browser")
    with fresh_database(postgres_server) as url, running_ground(url, folder) as running:
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's own. For this folder only: while Playwright runs, its event loop is this thread's, and nobody else can
    have one."""
    if not CHROMIUM.exists():
        missing_service("chromium, as the package of that name has it")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except PlaywrightError as error:
            missing_service(f"a chromium that starts: {error}")
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def states(ground: Ground, chromium: Browser) -> dict[Role, Any]:
    """Browsers in which a person of each role has signed in, to begin from."""
    made: dict[Role, Any] = {}
    for role in Role:
        visitor = Visitor(chromium, ground.url)
        visitor.sign_in(role.value)
        made[role] = visitor.context.storage_state()
        visitor.close()
    return made


@pytest.fixture
def visit(ground: Ground, chromium: Browser, states: dict[Role, Any]) -> Iterator[Visit]:
    """`visit(role)`: somebody who has signed in; `visit(None)`: somebody who has not. In the end all complaints are
    read."""
    visitors: list[Visitor] = []

    def begin(role: Role | None = Role.VIEWER, **options: Any) -> Visitor:
        ground.keep_agent_alive()
        state = {} if role is None else {"storage_state": states[role]}
        visitor = Visitor(chromium, ground.url, **state, **options)
        visitors.append(visitor)
        return visitor

    yield begin
    for visitor in visitors:
        visitor.close()
