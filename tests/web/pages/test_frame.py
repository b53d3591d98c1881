"""What all pages share: assets, headers, navigation, errors as pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from agent.core.templates import templates_directory
from agent.store.rows import Role
from agent.web.pages.assets import Assets
from agent.web.pages.listing import Listing
from agent.web.pages.navigation import GROUPS, groups_for
from tests.web.conftest import Headers

STATIC = templates_directory() / "web" / "static"
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets(STATIC)


def test_assets_are_kept_for_ever_under_the_digest_of_their_content(client: FlaskClient, assets: Assets) -> None:
    response = client.get(assets.url("app.css"))
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.mimetype == "text/css"
    assert response.data == (STATIC / "app.css").read_bytes()


def test_an_asset_of_another_digest_is_not_kept(client: FlaskClient) -> None:
    response = client.get("/static/0000000000000000/app.css")
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-cache"


def test_assets_are_sent_compressed_to_who_can_take_it(client: FlaskClient, assets: Assets) -> None:
    response = client.get(assets.url("vendor/htmx.min.js"), headers={"Accept-Encoding": "gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response.headers["Vary"]
    assert len(response.data) < len((STATIC / "vendor/htmx.min.js").read_bytes()) / 2


@pytest.mark.parametrize("name", ["../base.html", "nothing.css", "%2e%2e/base.html", "js/../../base.html"])
def test_nothing_but_assets_is_served(client: FlaskClient, assets: Assets, name: str) -> None:
    assert client.get(f"/static/{assets.digest}/{name}").status_code == 404


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a")
    before = Assets(tmp_path).digest
    (tmp_path / "a.css").write_text("b")
    assert Assets(tmp_path).digest != before


def test_vendored_libraries_come_with_their_licences() -> None:
    vendored = {path.name for path in (STATIC / "vendor").iterdir()}
    assert {"htmx.min.js", "htmx.LICENSE.txt", "uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE.txt"} <= vendored


def test_templates_have_no_inline_script_style_or_handler() -> None:
    for path in (templates_directory() / "web").rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|javascript:|\bhx-on", text), path


def test_scripts_ask_no_other_server_and_evaluate_nothing() -> None:
    for path in (STATIC / "js").glob("*.js"):
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\beval\(|new Function", text), path


def test_pages_have_a_strict_policy(client: FlaskClient, viewer: Headers) -> None:
    response = client.get("/", headers={**viewer, **HTML})
    assert response.status_code == 200
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert response.headers["Cache-Control"] == "no-store"


def test_the_api_keeps_its_own_policy(client: FlaskClient, viewer: Headers) -> None:
    response = client.get("/api/v1/modems", headers=viewer)
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"


def test_a_page_that_is_missing_is_a_page(client: FlaskClient) -> None:
    response = client.get("/no-such-page", headers=HTML)
    assert response.status_code == 404
    assert response.mimetype == "text/html"
    assert "Nothing is here" in response.text


def test_who_is_signed_in_keeps_the_navigation_on_a_page_that_is_missing(client: FlaskClient, viewer: Headers) -> None:
    assert 'href="/modems"' in client.get("/no-such-page", headers={**viewer, **HTML}).text
    assert 'href="/modems"' not in client.get("/no-such-page", headers=HTML).text


def test_a_program_gets_errors_as_json(client: FlaskClient) -> None:
    for path in ("/no-such-page", "/api/v1/nothing"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json["error"]["code"] == "not_found"  # type: ignore[index]


def test_the_api_speaks_json_to_browsers_too(client: FlaskClient) -> None:
    assert client.get("/api/v1/nothing", headers=HTML).mimetype == "application/json"


def test_an_address_in_an_error_page_is_escaped(client: FlaskClient) -> None:
    response = client.get("/<script>alert(1)</script>", headers=HTML)
    assert "<script>alert" not in response.text


def test_navigation_shows_what_the_role_may_see_and_what_is_served() -> None:
    every = frozenset(entry.path for group in GROUPS for entry in group.entries)
    seen = {entry.path for group in groups_for(Role.VIEWER, every) for entry in group.entries}
    assert "/modems" in seen
    assert "/operators" not in seen
    assert groups_for(Role.ADMIN, frozenset({"/modems"}))[0].entries[0].path == "/modems"


def test_an_entry_leads_to_the_pages_below_it() -> None:
    by_path = {entry.path: entry for group in GROUPS for entry in group.entries}
    assert by_path["/modems"].leads_to("/modems/860000000000001")
    assert not by_path["/"].leads_to("/modems")
    assert not by_path["/devices"].leads_to("/devices-other")


def test_a_list_turns_its_order_when_the_same_head_is_used_again() -> None:
    listing = Listing(path="/modems", sort="serial", filters={"q": ("a b",)}, first=frozenset({"signal"}))
    assert listing.sort_url("serial") == "/modems?q=a+b&sort=serial&order=desc"
    assert listing.sort_url("signal") == "/modems?q=a+b&sort=signal&order=desc"
    assert listing.direction("serial") == "ascending"
    assert listing.url(q=None) == "/modems?sort=serial"


OPEN = ("/static/", "/login", "/setup/")
"""Pages for people who have not signed in."""


def test_no_page_is_open(app: Flask, client: FlaskClient) -> None:
    rules = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not rule.rule.startswith(("/api", "/metrics", *OPEN))
    ]
    assert "/" in rules
    for rule in rules:
        response = client.get(re.sub(r"<[^>]+>", "1", rule), headers=HTML)
        assert response.status_code == 401 or response.location.startswith("/login"), rule
