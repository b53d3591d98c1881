"""The link that makes the first admin: told once, where it is needed."""

from __future__ import annotations

import logging

import pytest

from agent.cli.access_store import access_services
from agent.cli.first_admin import announce_first_admin, announce_once
from agent.cli.setup_address import page_address
from agent.core.settings.schema import WebSettings
from agent.store.database import Database
from agent.store.passwords import Passwords
from agent.store.rows import Role
from tests.store.farm import rows

QUICK = Passwords(time_cost=1, memory_kib=1024, lanes=1)
SETTINGS = WebSettings()


def test_it_is_told_while_there_is_no_admin(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with Database(database_url) as database:
        access = access_services(database, SETTINGS, QUICK)
        with caplog.at_level(logging.WARNING):
            announce_first_admin(access, SETTINGS).join(20)
        (told,) = [record.getMessage() for record in caplog.records if "/setup/" in record.getMessage()]
        token = told.rpartition("/setup/")[2]
        assert access.links.fetch(token) is not None
        assert announce_once(access, SETTINGS) is None, "one that was told stays good"
        rows(database_url, "UPDATE setup_links SET expires_at = now()")
        second = announce_once(access, SETTINGS)
        assert second is not None
        access.links.use(second.rpartition("/")[2], "root", QUICK.hash("correct horse battery"))
        assert announce_once(access, SETTINGS) is None
        access.operators.create("more", Role.VIEWER)
        assert announce_once(access, SETTINGS) is None


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        (WebSettings(), "http://127.0.0.1:8080"),
        (WebSettings(listen="::1", tcp_port=81), "http://[::1]:81"),
        (WebSettings(host_names=("farm.example.org",), tls="self-made"), "https://farm.example.org:8080"),
        (WebSettings(host_names=("farm.example.org",), behind_tls=True), "https://farm.example.org"),
    ],
)
def test_the_address_is_one_that_can_be_opened(settings: WebSettings, address: str) -> None:
    assert page_address(settings) == address
