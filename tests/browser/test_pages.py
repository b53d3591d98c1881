"""Every page, for each role: it comes without an error or a request elsewhere, all can read it, it fits a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from agent.store.rows import Role
from tests.browser.conftest import Visit
from tests.browser.ground import MODEM, Ground
from tests.browser.visitor import PHONE

FOR_ALL = ("/", "/modems", f"/modems/{MODEM}", "/devices", "/sessions", "/files", "/faults", "/alerts", "/account")
FOR_ADMINS = ("/audit", "/operators", "/settings")
SCHEMES = ("light", "dark")


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("path", [*FOR_ALL, *FOR_ADMINS])
def test_it_comes_whole_or_not_at_all(visit: Visit, path: str, role: Role) -> None:
    visitor = visit(role)
    allowed = path in FOR_ALL or role is Role.ADMIN
    if not allowed:
        visitor.expected = ("403",)
    assert visitor.open(path) == (200 if allowed else 403)
    expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    visitor.page.wait_for_timeout(300)
    assert visitor.overflow() == 0


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("path", [*FOR_ALL, *FOR_ADMINS])
def test_it_reads_well_to_everybody(visit: Visit, path: str, scheme: str) -> None:
    visitor = visit(Role.ADMIN, color_scheme=scheme)
    visitor.open(path)
    visitor.page.wait_for_timeout(300)
    assert visitor.violations() == []


@pytest.mark.parametrize("path", [*FOR_ALL, *FOR_ADMINS])
def test_it_fits_a_phone(visit: Visit, path: str) -> None:
    visitor = visit(Role.ADMIN)
    visitor.page.set_viewport_size(PHONE)
    visitor.open(path)
    visitor.page.wait_for_timeout(300)
    assert visitor.overflow() == 0
    assert visitor.violations() == []


@pytest.mark.parametrize("path", [*FOR_ALL, *FOR_ADMINS])
def test_it_reads_without_scripts(visit: Visit, path: str) -> None:
    visitor = visit(Role.ADMIN, java_script_enabled=False)
    assert visitor.open(path) == 200
    expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    assert len(visitor.page.locator("main").inner_text()) > 40


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_way_in(visit: Visit, scheme: str) -> None:
    visitor = visit(None, color_scheme=scheme)
    visitor.open("/modems")
    assert "/login" in visitor.page.url
    assert visitor.violations() == []


def test_a_devices_pages(visit: Visit, ground: Ground) -> None:
    _, device_id = ground.meet()
    visitor = visit(Role.ADMIN)
    visitor.open("/devices")
    visitor.page.get_by_role("link", name=device_id).first.click()
    tabs = visitor.page.get_by_role("navigation", name="Device").get_by_role("link")
    for number in range(tabs.count()):
        tabs.nth(number).click()
        expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        visitor.page.wait_for_timeout(300)
        assert visitor.violations() == [], visitor.page.url
        assert visitor.overflow() == 0
