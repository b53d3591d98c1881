"""Files for CPEs: whole or not there at all, under a name of ours; and what CPEs may log in with."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from agent.acs.tasks import parse_arguments
from agent.store.credentials import Credentials
from agent.store.database import Database
from agent.store.device_errors import CredentialTakenError, FileInUseError, FileTakenError, RefusedError
from agent.store.device_waiters import make_waiters
from agent.store.file_shelf import ABANDONED_SECONDS, FileShelf, FileTooLargeError, StorageError
from agent.store.files import FileFacts, Files, clean_name
from agent.store.tasks import TaskOrder, Tasks
from tests.store.cpes import add_device
from tests.store.farm import rows

IMAGE = b"firmware " * 1000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "files"


@pytest.fixture
def files(database: Database, directory: Path) -> Files:
    return Files(database, FileShelf(directory), bytes_most=100_000)


def content_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


class TestAdding:
    def test_the_bytes_lie_under_their_digest(self, files: Files, directory: Path) -> None:
        facts = FileFacts(name="V5R020.bin", kind="1", oui="00259E", product_class="EG8145V5", version="V5R020")
        row = files.add(facts, (IMAGE[:100], b"", IMAGE[100:]), "anna")
        digest = hashlib.sha256(IMAGE).hexdigest()
        assert (row.name, row.size, row.sha256, row.created_by) == ("V5R020.bin", len(IMAGE), digest, "anna")
        assert content_of(directory) == {digest: IMAGE}
        assert files.path_of(row) == directory / digest
        assert stat.S_IMODE(files.path_of(row).stat().st_mode) == 0o640
        assert files.fetch("V5R020.bin") == row
        assert files.fetch("another") is None

    def test_root_gives_them_to_the_directory_s_owner(self, files: Files, directory: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root can give files away")
        directory.mkdir()
        os.chown(directory, 1234, 2345)
        path = files.path_of(files.add(FileFacts(name="a"), (b"x",), "anna"))
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)

    def test_a_name_is_taken_once(self, files: Files, directory: Path) -> None:
        files.add(FileFacts(name="a.bin"), (b"1",), "anna")
        with pytest.raises(FileTakenError):
            files.add(FileFacts(name="a.bin"), (b"2",), "anna")
        assert list(content_of(directory).values()) == [b"1"]

    def test_one_of_two_that_come_at_once_stays(self, files: Files, directory: Path) -> None:
        both = threading.Barrier(2, timeout=20)
        outcomes: list[object] = []

        def slowly(content: bytes) -> Iterator[bytes]:
            both.wait()
            yield content

        def add(content: bytes) -> None:
            try:
                outcomes.append(files.add(FileFacts(name="a.bin"), slowly(content), "anna").sha256)
            except FileTakenError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=add, args=(content,)) for content in (b"one", b"two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        (digest,) = [outcome for outcome in outcomes if isinstance(outcome, str)]
        assert len(outcomes) == 2
        assert list(content_of(directory)) == [digest]

    def test_what_is_too_large_or_breaks_off_leaves_nothing(self, files: Files, directory: Path) -> None:
        def broken() -> Iterator[bytes]:
            yield b"some"
            raise RuntimeError("the client has gone")

        with pytest.raises(FileTooLargeError, match="file_bytes_most"):
            files.add(FileFacts(name="a"), (b"x" * 99_999, b"xx"), "anna")
        with pytest.raises(RuntimeError):
            files.add(FileFacts(name="a"), broken(), "anna")
        with pytest.raises(RefusedError, match="refused"):
            files.add(FileFacts(name="a", kind="9"), (b"x",), "anna")
        assert content_of(directory) == {}
        assert files.fetch_page() == ()

    def test_without_a_place_to_write(self, database: Database, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        files = Files(database, FileShelf(tmp_path / "file" / "x"), bytes_most=1000)
        with pytest.raises(StorageError, match=r"acs\.file_dir"):
            files.add(FileFacts(name="a"), (b"x",), "anna")
        assert files.fetch_page() == ()

    def test_what_a_killed_process_left_goes(self, files: Files, directory: Path) -> None:
        directory.mkdir()
        for name, age in ((".incoming-old", ABANDONED_SECONDS + 10), (".incoming-new", 10.0)):
            (directory / name).write_bytes(b"half")
            os.utime(directory / name, (time.time() - age, time.time() - age))
        files.add(FileFacts(name="a"), (b"x",), "anna")
        assert ".incoming-old" not in content_of(directory)
        assert ".incoming-new" in content_of(directory)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("V5R020.bin", "V5R020.bin"),
        ("my firmware (1).bin", "my_firmware_1_.bin"),
        ("../../etc/passwd", "passwd"),
        ("C:\\fw\\a.bin", "a.bin"),
        (".hidden", "hidden"),
        ("Ünï.bin", "n_.bin"),
        ("a\x00b", "a_b"),
        ("x" * 300, "x" * 200),
    ],
)
def test_names_are_made_harmless(given: str, name: str) -> None:
    assert clean_name(given) == name


@pytest.mark.parametrize("given", ["", "..", "/", "___", "///", "\x00"])
def test_what_is_no_name(given: str) -> None:
    with pytest.raises(RefusedError):
        clean_name(given)


class TestDeleting:
    def test_the_bytes_go_with_their_last_name(self, files: Files, directory: Path) -> None:
        for name in ("a", "b"):
            files.add(FileFacts(name=name), (b"same",), "anna")
        assert files.delete("a")
        assert list(content_of(directory).values()) == [b"same"]
        assert files.delete("b")
        assert content_of(directory) == {}
        assert not files.delete("b")

    def test_not_while_a_download_names_it(self, files: Files, database: Database, database_url: str) -> None:
        device = add_device(database_url)
        files.add(FileFacts(name="a"), (b"x",), "anna")
        waiters = make_waiters(database)
        order = TaskOrder(
            arguments=parse_arguments("download", {"file": "a"}),
            created_by="anna",
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        assert Tasks(database, waiters).create(device, order) is not None
        for status in ("pending", "sent"):
            rows(database_url, "UPDATE tasks SET status = %s", status)
            with pytest.raises(FileInUseError):
                files.delete("a")
        rows(database_url, "UPDATE tasks SET status = 'completed'")
        assert files.delete("a")

    def test_a_download_that_is_just_being_made_counts(self, files: Files, database_url: str, directory: Path) -> None:
        add_device(database_url)
        files.add(FileFacts(name="a"), (b"x",), "anna")
        outcome: list[object] = []

        def delete() -> None:
            try:
                outcome.append(files.delete("a"))
            except FileInUseError as error:
                outcome.append(error)

        with psycopg.connect(database_url) as connection:
            connection.execute("SELECT FROM files WHERE name = 'a' FOR KEY SHARE")
            deleting = threading.Thread(target=delete)
            deleting.start()
            time.sleep(0.3)
            connection.execute(
                "INSERT INTO tasks (device_id, kind, arguments, priority, expires_at) SELECT id, 'download',"
                " '{\"file\": \"a\"}', 60, now() + interval '1 h' FROM devices"
            )
        deleting.join(20)
        assert isinstance(outcome[0], FileInUseError)
        assert len(content_of(directory)) == 1


def test_files_page_by_page_and_for_a_model(files: Files) -> None:
    for name, oui, kind in (("a", "00259E", "1"), ("b", "", "1"), ("c", "FFFFFF", "3"), ("d", "00259E", "3")):
        files.add(FileFacts(name=name, oui=oui, kind=kind), (name.encode(),), "anna")
    assert [row.name for row in files.fetch_page()] == ["a", "b", "c", "d"]
    assert [row.name for row in files.fetch_page(after="b", limit=1)] == ["c"]
    assert [row.name for row in files.fetch_page(oui="00259E")] == ["a", "b", "d"]
    assert [row.name for row in files.fetch_page(oui="00259E", kind="3")] == ["d"]


class TestCredentials:
    def test_only_what_checks_a_password_is_kept(self, database: Database, database_url: str) -> None:
        credentials = Credentials(database, "lastmile")
        device = add_device(database_url)
        row = credentials.add("cpe-1", "geheim ü", device)
        assert (row.username, row.realm, row.device_id) == ("cpe-1", "lastmile", device)
        ((md5, sha256),) = rows(database_url, "SELECT ha1_md5, ha1_sha256 FROM cpe_credentials")
        secret = "cpe-1:lastmile:geheim ü".encode()
        assert md5 == hashlib.md5(secret).hexdigest()
        assert sha256 == hashlib.sha256(secret).hexdigest()
        assert credentials.list() == (row,)
        with pytest.raises(CredentialTakenError):
            credentials.add("cpe-1", "other")
        assert credentials.remove("cpe-1")
        assert not credentials.remove("cpe-1")

    @pytest.mark.parametrize(
        ("username", "password", "device_id"),
        [
            ("", "x", None),
            ("a:b", "x", None),
            ("a\nb", "x", None),
            ("a\ud800", "x", None),
            ("x" * 257, "x", None),
            ("a", "", None),
            ("a", "x\x00", None),
            ("a", "x", "nonsense"),
            ("a", "x", "a-b-c-d"),
            ("a", "x", "--"),
        ],
    )
    def test_what_no_cpe_could_use_is_refused(
        self, database: Database, username: str, password: str, device_id: str | None
    ) -> None:
        credentials = Credentials(database, "lastmile")
        with pytest.raises(RefusedError):
            credentials.add(username, password, device_id)
        assert credentials.list() == ()
