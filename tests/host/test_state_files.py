"""Memories on disk: sessions, PIN tries, and the atomic write under both."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from agent.core.atomic import atomic_write
from agent.core.errors import ConfigError, TransientError
from agent.core.identifiers import Iccid, Serial
from agent.host.state_files import FilePinMemory, FileSessionMemory
from agent.modem.model import DataSession

SERIAL = Serial("863000000000017")
ICCID = Iccid("8988211000000000017")
OTHER_ICCID = Iccid("8988211000000000025")
PIN = "1234"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestAtomicWrite:
    def test_text_mode_and_group_are_as_asked_whatever_the_umask(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        before = os.umask(0o077)
        try:
            atomic_write(path, "Grüße\n", mode=0o644, gid=os.getegid())
        finally:
            os.umask(before)
        assert path.read_bytes() == "Grüße\n".encode()
        assert (mode_of(path), path.stat().st_gid) == (0o644, os.getegid())
        assert [each.name for each in tmp_path.iterdir()] == ["file"]

    def test_the_default_mode_hides_it_from_others(self, tmp_path: Path) -> None:
        atomic_write(tmp_path / "file", "")
        assert mode_of(tmp_path / "file") == 0o640

    def test_a_failure_leaves_the_old_file_and_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "file"
        path.write_text("old", encoding="ascii")

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "disk full")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="disk full"):
            atomic_write(path, "new")
        assert path.read_text(encoding="ascii") == "old"
        assert [each.name for each in tmp_path.iterdir()] == ["file"]

    def test_file_is_synced_before_the_rename_and_the_directory_after(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "file"
        path.write_text("old", encoding="ascii")
        seen: list[tuple[bool, str]] = []
        real = os.fsync

        def watched(descriptor: int) -> None:
            seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_text(encoding="ascii")))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", watched)
        atomic_write(path, "new")
        assert seen == [(False, "old"), (True, "new")]


class TestSessions:
    @pytest.mark.parametrize("handle", [None, 3_456_789_012])
    def test_a_session_outlives_the_agent(self, tmp_path: Path, handle: int | None) -> None:
        session = DataSession(client_id=7, packet_data_handle=handle)
        FileSessionMemory(tmp_path).save(SERIAL, session)
        assert FileSessionMemory(tmp_path).fetch(SERIAL) == session

    def test_a_forgotten_one_is_none(self, tmp_path: Path) -> None:
        memory = FileSessionMemory(tmp_path)
        assert memory.fetch(SERIAL) is None
        memory.save(SERIAL, None)
        memory.save(SERIAL, DataSession(client_id=7, packet_data_handle=1))
        memory.save(SERIAL, None)
        assert memory.fetch(SERIAL) is None

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "7", '{"client_id": "7", "packet_data_handle": null}', '{"client_id": 7}', "\x00", "\xff"],
    )
    def test_an_unreadable_one_counts_as_none_and_is_logged(
        self, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        memory = FileSessionMemory(tmp_path)
        memory.save(SERIAL, DataSession(client_id=7, packet_data_handle=1))
        (tmp_path / "sessions" / f"{SERIAL}.json").write_bytes(text.encode("latin-1"))
        assert memory.fetch(SERIAL) is None
        assert "unreadable" in caplog.text

    def test_a_place_that_cannot_be_written_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "sessions").touch()
        with pytest.raises(TransientError):
            FileSessionMemory(tmp_path).save(SERIAL, DataSession(client_id=7, packet_data_handle=1))


class TestPinTries:
    def test_a_try_is_remembered_by_sim_and_value_for_ever(self, tmp_path: Path) -> None:
        memory = FilePinMemory(tmp_path / "state")
        assert not memory.tried(ICCID, PIN)
        memory.remember(ICCID, PIN)
        memory.remember(ICCID, PIN)
        again = FilePinMemory(tmp_path / "state")
        assert again.tried(ICCID, PIN)
        assert not again.tried(ICCID, "4321")
        assert not again.tried(OTHER_ICCID, PIN)

    def test_a_pin_that_was_right_may_be_entered_again_and_others_may_not(self, tmp_path: Path) -> None:
        memory = FilePinMemory(tmp_path)
        memory.remember(ICCID, "1234")
        memory.remember(ICCID, "9999")
        memory.accept(ICCID, "1234")
        again = FilePinMemory(tmp_path)
        assert not again.tried(ICCID, "1234")
        assert again.tried(ICCID, "9999")

    def test_nothing_on_disk_tells_the_pin_or_is_readable_by_others(self, tmp_path: Path) -> None:
        FilePinMemory(tmp_path).remember(ICCID, PIN)
        for path in tmp_path.iterdir():
            assert mode_of(path) == 0o600
            assert ICCID not in path.read_text(encoding="ascii")
        assert f'"{PIN}"' not in (tmp_path / "pin-tries.json").read_text(encoding="ascii")

    def test_two_hosts_write_different_digests(self, tmp_path: Path) -> None:
        texts = []
        for host in ("a", "b"):
            FilePinMemory(tmp_path / host).remember(ICCID, PIN)
            texts.append((tmp_path / host / "pin-tries.json").read_text(encoding="ascii"))
        assert texts[0] != texts[1]

    def test_a_try_that_could_not_be_stored_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        memory = FilePinMemory(tmp_path)
        assert not memory.tried(ICCID, PIN)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "disk full")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(TransientError, match="disk full"):
            memory.remember(ICCID, PIN)

    @pytest.mark.parametrize("lost", ["pin-key", "pin-tries.json"])
    def test_a_lost_file_is_never_a_pin_untried(self, tmp_path: Path, lost: str) -> None:
        memory = FilePinMemory(tmp_path)
        memory.remember(ICCID, PIN)
        (tmp_path / lost).unlink()
        for pin in (PIN, "4321"):
            with pytest.raises(ConfigError, match="is missing"):
                memory.tried(ICCID, pin)
            with pytest.raises(ConfigError, match="then remove"):
                memory.remember(ICCID, pin)

    @pytest.mark.parametrize("name", ["pin-key", "pin-tries.json"])
    @pytest.mark.parametrize("keep_bytes", [0, 1, 10, -2])
    def test_a_file_cut_off_is_never_a_pin_untried(self, tmp_path: Path, name: str, keep_bytes: int) -> None:
        memory = FilePinMemory(tmp_path)
        memory.remember(ICCID, PIN)
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:keep_bytes])
        with pytest.raises(ConfigError, match="is damaged"):
            memory.tried(ICCID, PIN)

    def test_a_try_cut_off_the_list_is_noticed(self, tmp_path: Path) -> None:
        memory = FilePinMemory(tmp_path)
        memory.remember(ICCID, PIN)
        path = tmp_path / "pin-tries.json"
        values = json.loads(path.read_text(encoding="ascii"))
        values["tries"] = []
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="ascii")
        with pytest.raises(ConfigError, match="is damaged"):
            memory.tried(ICCID, PIN)

    @pytest.mark.parametrize("text", ["[]", '{"tries": 3, "seal": ""}', '{"tries": [3], "seal": ""}', "\xff\xfe"])
    def test_a_list_of_another_shape_is_noticed(self, tmp_path: Path, text: str) -> None:
        memory = FilePinMemory(tmp_path)
        memory.remember(ICCID, PIN)
        (tmp_path / "pin-tries.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError, match="is damaged"):
            memory.tried(ICCID, PIN)

    def test_an_agent_killed_at_its_very_first_start_goes_on(self, tmp_path: Path) -> None:
        """Between the making of the two files: nothing can have been tried yet."""
        memory = FilePinMemory(tmp_path)
        memory.tried(ICCID, PIN)
        (tmp_path / "pin-key").unlink()
        assert not memory.tried(ICCID, PIN)

    def test_thirty_threads_lose_no_try(self, tmp_path: Path) -> None:
        memory = FilePinMemory(tmp_path)
        pins = [f"{number:04}" for number in range(30)]
        threads = [threading.Thread(target=memory.remember, args=(ICCID, pin)) for pin in pins]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert all(FilePinMemory(tmp_path).tried(ICCID, pin) for pin in pins)
