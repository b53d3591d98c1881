"""Files on their way to and from CPEs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from agent.sim.postgres import EmbeddedPostgres
from agent.store.database import Database
from agent.store.transfers import StoredFile, Transfer, TransferStore
from tests.postgres_fixture import fresh_database
from tests.store.cpes import OUI, PRODUCT_CLASS, add_device
from tests.store.emptying import without_devices
from tests.store.farm import rows

SHA, OTHER_SHA = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def shared_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    with fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    return without_devices(shared_url)


@pytest.fixture
def transfers(database: Database) -> TransferStore:
    return TransferStore(database)


def add_task(url: str, kind: str, status: str = "sent", number: int = 1, **arguments: Any) -> int:
    device_id = add_device(url, number)
    ((task,),) = rows(
        url,
        "INSERT INTO tasks (device_id, kind, arguments, status, priority, expires_at)"
        " SELECT id, %s, %s, %s, 60, now() + interval '1 hour' FROM devices WHERE device_id = %s RETURNING id",
        *(kind, json.dumps(arguments), status, device_id),
    )
    assert isinstance(task, int)
    return task


def test_a_file_is_found_by_its_name(transfers: TransferStore, database_url: str) -> None:
    rows(database_url, "INSERT INTO files (name, kind, size, sha256) VALUES ('fw-1.bin', '1', 7, %s)", SHA)
    assert transfers.fetch_file("fw-1.bin") == StoredFile(name="fw-1.bin", kind="1", size=7, sha256=SHA)
    for name in ("fw-1", "FW-1.bin", "../fw-1.bin", "", "fw-1.bin\x00", "\ud800"):
        assert transfers.fetch_file(name) is None


def test_a_transfer_is_one_while_it_is_under_way(transfers: TransferStore, database_url: str) -> None:
    download = add_task(database_url, "download", file="fw-1.bin", file_type="1 Firmware Upgrade Image")
    found = transfers.fetch_transfer(download)
    assert found is not None
    assert (found.task, found.kind, found.file, found.file_type) == (
        *(download, "download"),
        *("fw-1.bin", "1 Firmware Upgrade Image"),
    )
    upload = transfers.fetch_transfer(add_task(database_url, "upload", number=2))
    assert upload is not None
    assert (upload.kind, upload.file, upload.file_type) == ("upload", None, "")
    assert transfers.fetch_transfer(download + 1000) is None


@pytest.mark.parametrize("status", ["pending", "completed", "failed", "cancelled", "expired"])
def test_a_transfer_that_is_not_under_way_is_none(transfers: TransferStore, database_url: str, status: str) -> None:
    assert transfers.fetch_transfer(add_task(database_url, "download", status, file="x")) is None


def test_another_task_is_no_transfer(transfers: TransferStore, database_url: str) -> None:
    assert transfers.fetch_transfer(add_task(database_url, "reboot")) is None


class TestUpload:
    def transfer(self, transfers: TransferStore, url: str) -> Transfer:
        found = transfers.fetch_transfer(add_task(url, "upload", file_type="1 Vendor Configuration File"))
        assert found is not None
        return found

    def test_what_has_come_is_registered_and_named_in_the_result(
        self, transfers: TransferStore, database_url: str
    ) -> None:
        transfer = self.transfer(transfers, database_url)
        transfers.add_upload(transfer, name="upload-1", size=10, sha256=SHA)
        assert rows(database_url, "SELECT name, kind, oui, product_class, size, sha256, created_by FROM files") == [
            ("upload-1", "upload", OUI, PRODUCT_CLASS, 10, SHA, transfer.device_id)
        ]
        assert rows(database_url, "SELECT result, status FROM tasks") == [({"file": "upload-1", "size": 10}, "sent")]

    def test_the_same_again_replaces_it(self, transfers: TransferStore, database_url: str) -> None:
        transfer = self.transfer(transfers, database_url)
        rows(database_url, """UPDATE tasks SET result = '{"note": 1}'""")
        transfers.add_upload(transfer, name="upload-1", size=10, sha256=SHA)
        transfers.add_upload(transfer, name="upload-1", size=20, sha256=OTHER_SHA)
        assert rows(database_url, "SELECT size, sha256 FROM files") == [(20, OTHER_SHA)]
        assert rows(database_url, "SELECT result FROM tasks") == [({"note": 1, "file": "upload-1", "size": 20},)]

    def test_it_is_registered_and_named_or_neither(self, transfers: TransferStore, database_url: str) -> None:
        transfer = self.transfer(transfers, database_url)
        rows(database_url, "ALTER TABLE tasks ADD CONSTRAINT never CHECK (result IS NULL)")
        try:
            with pytest.raises(psycopg.IntegrityError):
                transfers.add_upload(transfer, name="upload-1", size=10, sha256=SHA)
        finally:
            rows(database_url, "ALTER TABLE tasks DROP CONSTRAINT never")
        assert rows(database_url, "SELECT count(*) FROM files") == [(0,)]
