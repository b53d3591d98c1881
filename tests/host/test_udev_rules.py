"""The udev rules, run by udev itself on a directory mounted over /sys."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.host.netns import needs_root
from tests.host.sysfs_tree import DirectoryBed, Entry, Plug

RULES = Path(__file__).parents[2] / "udev" / "61-lastmile-modem.rules"
MODEM = Plug(slot="1-1.2")
PORTS = [entry for entry in MODEM.entries() if entry.subsystem != "usb"]


def apply_rules(tmp_path: Path, plug: Plug, entry: Entry, action: str) -> dict[str, str]:
    """Properties that udev gives the entry by our rules alone; `power/` files are left in `tmp_path`/sys."""
    udevadm = shutil.which("udevadm")
    if udevadm is None:
        if os.environ.get("CI"):
            pytest.fail("udevadm is missing: install the package udev")
        pytest.skip("UDEV RULES ARE NOT TESTED: udevadm is missing")
    root = tmp_path / "sys"
    for empty in ("devices", "bus", "class"):
        (root / empty).mkdir(parents=True)
    bed = DirectoryBed(root)
    for each in plug.entries():
        bed.show(each)
    power = root / plug.device_path.lstrip("/") / "power"
    power.mkdir()
    # As long as what is written, since udev does not cut a file short: one in sysfs has no length.
    (power / "control").write_text("??\n", encoding="ascii")
    (power / "persist").write_text("1\n", encoding="ascii")
    rules, empty_dir = tmp_path / "rules", tmp_path / "empty"
    rules.mkdir()
    empty_dir.mkdir()
    shutil.copy(RULES, rules)
    script = """
        mkdir -p /run/udev/rules.d /etc/udev/rules.d &&
        mount --bind "$1" /sys && mount --bind "$2" /run/udev/rules.d &&
        mount --bind "$3" /usr/lib/udev/rules.d && mount --bind "$3" /etc/udev/rules.d &&
        exec "$4" test --action="$5" "/sys$6"
    """
    words = [script, "sh", str(root), str(rules), str(empty_dir), udevadm, action, entry.path]
    result = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"},
    )
    assert result.returncode == 0, result.stdout + result.stderr
    said = result.stdout + result.stderr
    assert "lastmile-modem.rules" in said, said
    complaints = [line for line in said.splitlines() if "lastmile-modem.rules:" in line and "nvalid" in line]
    assert complaints == []
    lines = result.stdout.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith(" "))


def power_of(tmp_path: Path, plug: Plug) -> tuple[str, str]:
    power = tmp_path / "sys" / plug.device_path.lstrip("/") / "power"
    control, persist = ((power / name).read_text(encoding="ascii").strip() for name in ("control", "persist"))
    return control, persist


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("action", ["add", "change", "move", "bind"])
@pytest.mark.parametrize("usb_id", ["2c7c:0125", "2c7c:0121"])
def test_a_modem_is_kept_from_modemmanager_and_awake(tmp_path: Path, action: str, usb_id: str) -> None:
    plug = replace(MODEM, usb_id=usb_id)
    device = next(plug.entries())
    assert apply_rules(tmp_path, plug, device, action).get("ID_MM_DEVICE_IGNORE") == "1"
    assert power_of(tmp_path, plug) == ("on", "0")


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("port", PORTS, ids=[port.name for port in PORTS])
def test_every_port_is_kept_from_modemmanager_and_links_from_networkmanager(tmp_path: Path, port: Entry) -> None:
    properties = apply_rules(tmp_path, MODEM, port, "add")
    assert properties.get("ID_MM_PORT_IGNORE") == "1"
    assert properties.get("NM_UNMANAGED") == ("1" if port.subsystem == "net" else None)


@needs_root
@pytest.mark.root
@pytest.mark.parametrize(("usb_id", "action"), [("2c7c:6026", "add"), ("0403:0125", "add"), ("2c7c:0125", "remove")])
def test_other_devices_and_removals_are_left_alone(tmp_path: Path, usb_id: str, action: str) -> None:
    plug = replace(MODEM, usb_id=usb_id)
    for entry in (next(plug.entries()), list(plug.entries())[-1]):
        properties = apply_rules(tmp_path / entry.name, plug, entry, action)
        assert not {"ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE", "NM_UNMANAGED"} & properties.keys()
        assert power_of(tmp_path / entry.name, plug) == ("??", "1")


def test_the_rules_are_read_before_modemmanagers() -> None:
    assert RULES.name < "77-mm-"
