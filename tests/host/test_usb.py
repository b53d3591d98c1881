"""Resets of a USB device, on ordinary files in place of usbfs and sysfs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.core.errors import TransientError
from agent.core.identifiers import Slot
from agent.host.usb import SysfsUsbBus
from agent.modem.model import Hardware


@pytest.fixture
def hardware(tmp_path: Path) -> Hardware:
    syspath = tmp_path / "1-1.2"
    syspath.mkdir()
    (syspath / "busnum").write_text("1\n", encoding="ascii")
    (syspath / "devnum").write_text("9\n", encoding="ascii")
    return Hardware(slot=Slot("1-1.2"), usb_id="2c7c:0125", syspath=str(syspath))


def test_without_usbfs_the_device_is_deauthorised_and_authorised(hardware: Hardware, tmp_path: Path) -> None:
    switch = Path(hardware.syspath, "authorized")
    switch.write_text("1", encoding="ascii")
    before = switch.stat().st_mtime_ns
    SysfsUsbBus(bus_dir=tmp_path / "none").reset(hardware)
    assert switch.read_text(encoding="ascii") == "1"
    assert switch.stat().st_mtime_ns > before


def test_a_node_that_refuses_the_reset_falls_back(hardware: Hardware, tmp_path: Path) -> None:
    node = tmp_path / "bus" / "001" / "009"
    node.parent.mkdir(parents=True)
    node.touch()
    Path(hardware.syspath, "authorized").write_text("0", encoding="ascii")
    SysfsUsbBus(bus_dir=tmp_path / "bus").reset(hardware)
    assert Path(hardware.syspath, "authorized").read_text(encoding="ascii") == "1"


def test_a_device_that_has_gone_is_said(hardware: Hardware, tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"1-1\.2"):
        SysfsUsbBus(bus_dir=tmp_path / "none").reset(hardware)
    assert not Path(hardware.syspath, "authorized").exists()


def test_without_a_command_no_power_is_cycled(hardware: Hardware) -> None:
    assert SysfsUsbBus().cycle_power(hardware) is False


def test_the_power_command_gets_the_slot(hardware: Hardware, tmp_path: Path) -> None:
    record = tmp_path / "record"
    script = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[2])"
    assert SysfsUsbBus(power_command=[sys.executable, "-c", script, str(record)]).cycle_power(hardware) is True
    assert record.read_text(encoding="ascii") == "1-1.2"


@pytest.mark.parametrize(
    ("command", "timeout_seconds"),
    [(("/nonexistent/uhubctl",), 5.0), (("false",), 5.0), (("sh", "-c", "sleep 30"), 0.2)],
)
def test_a_power_command_that_fails_is_said(
    hardware: Hardware, command: tuple[str, ...], timeout_seconds: float
) -> None:
    bus = SysfsUsbBus(power_command=command, power_timeout_seconds=timeout_seconds)
    with pytest.raises(TransientError, match=r"1-1\.2"):
        bus.cycle_power(hardware)
