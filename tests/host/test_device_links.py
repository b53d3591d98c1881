"""Lasting names of a modem's ports."""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.errors import TransientError
from agent.core.identifiers import Serial, Slot
from agent.host.device_links import DeviceLinkDirectory
from agent.modem.model import Hardware

IN_MOVED_TO, IN_DELETE = 0x80, 0x200
SERIAL = Serial("863000000000017")
OTHER = Serial("863000000000025")
HARDWARE = Hardware(
    slot=Slot("1-1.2"), usb_id="2c7c:0125", syspath="/sys/x", at_node="/dev/ttyUSB2", qmi_node="/dev/cdc-wdm0"
)


def targets(home: Path) -> dict[str, str]:
    return {link.name: str(link.readlink()) for link in home.iterdir()}


def test_links_point_at_the_nodes_of_the_moment(tmp_path: Path) -> None:
    links = DeviceLinkDirectory(tmp_path / "modems")
    links.make(SERIAL, HARDWARE)
    assert targets(tmp_path / "modems" / SERIAL) == {"at": "/dev/ttyUSB2", "qmi": "/dev/cdc-wdm0"}
    links.make(SERIAL, replace(HARDWARE, at_node="/dev/ttyUSB6", qmi_node=None))
    assert targets(tmp_path / "modems" / SERIAL) == {"at": "/dev/ttyUSB6"}


def test_a_link_that_is_right_is_not_touched(tmp_path: Path) -> None:
    links = DeviceLinkDirectory(tmp_path)
    links.make(SERIAL, HARDWARE)
    before = (tmp_path / SERIAL / "at").lstat().st_ino
    links.make(SERIAL, HARDWARE)
    assert (tmp_path / SERIAL / "at").lstat().st_ino == before


def test_what_a_killed_agent_left_half_made_is_no_trouble(tmp_path: Path) -> None:
    home = tmp_path / SERIAL
    home.mkdir()
    (home / ".at.new").symlink_to("/dev/ttyUSB9")
    links = DeviceLinkDirectory(tmp_path)
    links.make(SERIAL, HARDWARE)
    assert targets(home) == {"at": "/dev/ttyUSB2", "qmi": "/dev/cdc-wdm0"}
    (home / ".qmi.new").symlink_to("/dev/cdc-wdm9")
    links.remove(SERIAL)
    assert not home.exists()


def test_a_link_is_never_away_while_it_changes(tmp_path: Path) -> None:
    """Told by inotify: the name is moved over, and never deleted."""
    links = DeviceLinkDirectory(tmp_path)
    links.make(SERIAL, HARDWARE)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, bytes(tmp_path / SERIAL), IN_MOVED_TO | IN_DELETE) > 0
        links.make(SERIAL, replace(HARDWARE, at_node="/dev/ttyUSB6"))
        data, events = os.read(watch, 4096), []
        while data:
            _, mask, _, length = struct.unpack_from("=iIII", data)
            events.append((mask, data[16 : 16 + length].rstrip(b"\0")))
            data = data[16 + length :]
    finally:
        os.close(watch)
    assert events == [(IN_MOVED_TO, b"at")]


def test_removing_is_idempotent(tmp_path: Path) -> None:
    links = DeviceLinkDirectory(tmp_path)
    links.make(SERIAL, HARDWARE)
    links.remove(SERIAL)
    links.remove(SERIAL)
    assert list(tmp_path.iterdir()) == []


def test_only_the_kept_remain_and_strangers_are_left_alone(tmp_path: Path) -> None:
    links = DeviceLinkDirectory(tmp_path)
    for serial in (SERIAL, OTHER):
        links.make(serial, HARDWARE)
    (tmp_path / "note").write_text("an operator's own", encoding="ascii")
    full = tmp_path / "full"
    full.mkdir()
    (full / "keep").touch()
    links.keep_only([SERIAL])
    assert {each.name for each in tmp_path.iterdir()} == {SERIAL, "note", "full"}
    assert (full / "keep").exists()


def test_udevs_links_by_path_are_left_alone(tmp_path: Path) -> None:
    by_path = tmp_path / "by-path"
    by_path.mkdir()
    DeviceLinkDirectory(tmp_path).keep_only([])
    assert by_path.is_dir()


def test_keeping_in_a_directory_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    DeviceLinkDirectory(tmp_path / "none").keep_only([])


def test_an_impossible_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match="cannot make"):
        DeviceLinkDirectory(tmp_path / "file").make(SERIAL, HARDWARE)
