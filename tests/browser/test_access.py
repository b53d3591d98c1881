"""Who may not cannot, whatever their browser is made to do."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from agent.store.rows import Role
from tests.browser.conftest import Visit
from tests.browser.ground import MODEM, Ground
from tests.store.farm import serial_of
from tests.web.people import PASSWORD


def test_a_viewer_sees_no_control_and_cannot_send_what_it_would(visit: Visit) -> None:
    visitor = visit(Role.VIEWER)
    visitor.expected = ("403",)
    visitor.open(f"/modems/{MODEM}")
    for name in ("Restart", "Disable", "Reconnect"):
        expect(visitor.page.get_by_role("button", name=name, exact=True)).to_have_count(0)
    status = visitor.page.evaluate(
        """async path => (await fetch(path, {method: "POST", headers: {
            "X-CSRF-Token": document.querySelector("meta[name=csrf-token]").content}})).status""",
        f"/api/v1/modems/{MODEM}/disable",
    )
    assert status == 403


def test_an_operator_is_told_before_traffic_is_interrupted(visit: Visit, ground: Ground) -> None:
    serial = serial_of(4)
    visitor = visit(Role.OPERATOR)
    visitor.open(f"/modems/{serial}")
    button = visitor.page.get_by_role("button", name="Disable", exact=True).first
    button.click()
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    visitor.page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    assert ground.rows("SELECT enabled FROM modems WHERE serial = %s", serial) == [(True,)]
    button.click()
    dialog.get_by_role("button", name="Disable").click()
    expect(visitor.page.get_by_role("button", name="Enable", exact=True)).to_be_visible()
    assert ground.rows("SELECT enabled FROM modems WHERE serial = %s", serial) == [(False,)]
    ground.rows("UPDATE modems SET enabled = true WHERE serial = %s", serial)


class TestCookie:
    @pytest.fixture
    def cookies(self, visit: Visit) -> dict[str, str]:
        visitor = visit(None)
        visitor.sign_in("operator")
        return visitor.cookies()

    def test_scripts_cannot_read_it(self, visit: Visit) -> None:
        visitor = visit(Role.OPERATOR)
        visitor.open("/account")
        assert visitor.page.evaluate("document.cookie") == ""

    def test_alone_it_changes_nothing(self, ground: Ground, cookies: dict[str, str]) -> None:
        answer = httpx.post(f"{ground.url}/api/v1/modems/{MODEM}/disable", cookies=cookies, timeout=20)
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "csrf_refused"

    def test_another_web_page_cannot_use_it(self, ground: Ground, cookies: dict[str, str]) -> None:
        for path in ("/api/v1/modems", "/api/v1/events/ws"):
            answer = httpx.get(
                f"{ground.url}{path}", cookies=cookies, headers={"Origin": "https://evil.example.org"}, timeout=20
            )
            assert answer.status_code == 403

    def test_it_is_worth_nothing_after_its_owner_has_left(self, visit: Visit, ground: Ground) -> None:
        visitor = visit(None)
        visitor.sign_in("operator")
        stolen = visitor.cookies()
        assert httpx.get(f"{ground.url}/api/v1/modems", cookies=stolen, timeout=20).status_code == 200
        visitor.open("/account")
        visitor.page.get_by_role("button", name="Sign out", exact=True).first.click()
        visitor.page.wait_for_url("**/login*")
        assert httpx.get(f"{ground.url}/api/v1/modems", cookies=stolen, timeout=20).status_code == 401


def test_a_wrong_password_says_no_more_than_that(visit: Visit) -> None:
    visitor = visit(None)
    visitor.expected = ("401",)
    page = visitor.page
    told = []
    for name in ("viewer", "nobody-of-this-name"):
        visitor.open("/login")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(PASSWORD + "x")
        page.get_by_role("button", name="Sign in").click()
        told.append(page.get_by_role("alert").inner_text())
    assert told[0] == told[1]


def test_a_file_is_named_before_it_is_deleted(visit: Visit, ground: Ground) -> None:
    ground.rows("INSERT INTO files (name, kind, size, sha256) VALUES ('old-firmware.bin', '1', 1, repeat('0', 64))")
    visitor = visit(Role.ADMIN)
    visitor.open("/files")
    visitor.page.get_by_role("button", name="Delete", exact=True).click()
    dialog = visitor.page.get_by_role("dialog")
    expect(dialog).to_contain_text("old-firmware.bin")
    dialog.get_by_role("button", name="Cancel").click()
    assert ground.rows("SELECT count(*) FROM files WHERE name LIKE 'old-%'") == [(1,)]
    ground.rows("DELETE FROM files WHERE name LIKE 'old-%'")
