"""Every page, for each role: it comes without an error or a request elsewhere, all can read it, it fits a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from agent.store.rows import Role
from agent.web.pages.navigation import GROUPS
from tests.browser.conftest import Visit
from tests.browser.ground import MODEM, Ground
from tests.browser.visitor import PHONE

ENTRIES = tuple(entry for group in GROUPS for entry in group.entries)
FOR_ALL = (*(entry.path for entry in ENTRIES if entry.role is Role.VIEWER), "/account", f"/modems/{MODEM}")
FOR_ADMINS = tuple(entry.path for entry in ENTRIES if entry.role is Role.ADMIN)
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
    cpe = ground.meet()
    visitor = visit(Role.ADMIN)
    visitor.open("/devices")
    visitor.page.get_by_role("link", name=cpe.serial_number).click()
    tabs = visitor.page.get_by_role("navigation", name="Parts of the device").get_by_role("link")
    expect(tabs.first).to_be_visible()
    for number in range(tabs.count()):
        tabs.nth(number).click()
        expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
        visitor.page.wait_for_timeout(300)
        assert visitor.violations() == [], visitor.page.url
        assert visitor.overflow() == 0
