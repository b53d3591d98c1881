"""The udev rules, run by udev itself on a directory mounted over /sys."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agent.core.settings.schema import AgentSettings
from agent.host.device_links import BY_PATH
from agent.host.handover import FOLDER as FOLDER_OF_LEFT
from agent.host.handover import PROPERTY, Owner
from tests.host.netns import needs_root
from tests.host.sysfs_tree import CONTROLLER, DirectoryBed, Entry, Plug

FOLDER = Path(__file__).parents[2] / "udev"
RULES = FOLDER / "61-lastmile-modem.rules"
MODEM = Plug(slot="1-1.2")
PORTS = [entry for entry in MODEM.entries() if entry.subsystem != "usb"]
PATH = "pci-0000:00:14.0-usb-0:1.2"


@dataclass(frozen=True)
class Told:
    """What udev made of a device."""

    properties: dict[str, str]
    tags: frozenset[str]
    links: frozenset[str]


def apply_rules(
    tmp_path: Path, plug: Plug, entry: Entry, action: str, *, left: tuple[str, ...] = (), foreign: str = ""
) -> Told:
    """What udev gives the entry by our rules alone, and by the `foreign` ones of 70-uaccess.rules; `power/` files are
    left in `tmp_path`/sys."""
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
    device = root / plug.device_path.lstrip("/")
    if plug.qmi_interface is not None:
        driver = root / "bus/usb/drivers/qmi_wwan"
        driver.mkdir(parents=True)
        (device / f"{plug.slot}:1.{plug.qmi_interface}" / "driver").symlink_to(driver)
    if entry.node is not None and entry.subsystem != "usb":
        # Only what has a device number gets links.
        with (root / entry.path.lstrip("/") / "uevent").open("a", encoding="ascii") as uevent:
            uevent.write("MAJOR=188\nMINOR=0\n")
    _complete_for_path_id(root)
    power = device / "power"
    power.mkdir()
    # As long as what is written, since udev does not cut a file short: one in sysfs has no length.
    (power / "control").write_text("??\n", encoding="ascii")
    (power / "persist").write_text("1\n", encoding="ascii")
    rules, empty_dir, state = tmp_path / "rules", tmp_path / "empty", tmp_path / "state"
    for each_dir in (rules, empty_dir, state / "lastmile" / "leave-to-modemmanager"):
        each_dir.mkdir(parents=True)
    for slot in left:
        (state / "lastmile" / "leave-to-modemmanager" / slot).touch()
    for each_file in FOLDER.glob("*.rules"):
        shutil.copy(each_file, rules)
    (rules / "70-uaccess.rules").write_text(foreign, encoding="ascii")
    script = """
        mkdir -p /run/udev /etc/udev/rules.d && mount -t tmpfs udev /run/udev && mkdir /run/udev/rules.d &&
        mount -t tmpfs devices /dev && touch "/dev/$8" &&
        mount --bind "$1" /sys && mount --bind "$2" /run/udev/rules.d && mount --bind "$7" /var/lib &&
        mount --bind "$3" /usr/lib/udev/rules.d && mount --bind "$3" /etc/udev/rules.d &&
        exec "$4" test --action="$5" "/sys$6"
    """
    words = [script, "sh", str(root), str(rules), str(empty_dir), udevadm, action, entry.path, str(state), entry.name]
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
    complaints = [line for line in said.splitlines() if "lastmile-modem" in line and ".rules:" in line]
    assert [line for line in complaints if re.search(r"invalid|unknown|failed|ignor", line, re.IGNORECASE)] == []
    lines = [line for line in result.stdout.splitlines() if "=" in line and not line.startswith(" ")]
    properties = dict(line.split("=", 1) for line in lines)
    return Told(
        properties=properties,
        tags=frozenset(properties.get("CURRENT_TAGS", "").strip(":").split(":")) - {""},
        links=frozenset(properties.get("DEVLINKS", "").split()),
    )


def _complete_for_path_id(root: Path) -> None:
    """The controller and its hubs, as far as udev's path_id looks at them."""
    for path, subsystem in ((CONTROLLER, "usb"), (f"{CONTROLLER}/1-1", "usb"), (CONTROLLER.rpartition("/")[0], "pci")):
        directory = root / path.lstrip("/")
        family = root / "bus" / subsystem
        family.mkdir(parents=True, exist_ok=True)
        (directory / "subsystem").symlink_to(os.path.relpath(family, directory))
        (directory / "uevent").write_text("DEVTYPE=usb_device\n" if subsystem == "usb" else "", encoding="ascii")


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
    told = apply_rules(tmp_path, plug, device, action)
    assert told.properties.get("ID_MM_DEVICE_IGNORE") == "1"
    assert told.properties.get(PROPERTY) == Owner.LASTMILE.value
    assert "lastmile" in told.tags
    assert power_of(tmp_path, plug) == ("on", "0")


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("port", PORTS, ids=[port.name for port in PORTS])
def test_every_port_is_kept_from_modemmanager_and_links_from_networkmanager(tmp_path: Path, port: Entry) -> None:
    told = apply_rules(tmp_path, MODEM, port, "add")
    assert told.properties.get("ID_MM_PORT_IGNORE") == "1"
    assert told.properties.get("NM_UNMANAGED") == ("1" if port.subsystem == "net" else None)
    assert "lastmile" in told.tags


@needs_root
@pytest.mark.root
@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("ttyUSB0", f"{PATH}:1.0-diag"),
        ("ttyUSB1", f"{PATH}:1.1-nmea"),
        ("ttyUSB2", f"{PATH}:1.2-at"),
        ("ttyUSB3", f"{PATH}:1.3-at2"),
        ("cdc-wdm0", f"{PATH}:1.4-qmi"),
    ],
)
def test_every_port_has_a_link_by_path_that_units_can_bind_to(tmp_path: Path, name: str, link: str) -> None:
    (port,) = (each for each in PORTS if each.name == name)
    told = apply_rules(tmp_path, MODEM, port, "add")
    assert told.links == {f"/dev/modems/{BY_PATH}/{link}"}
    assert "systemd" in told.tags


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("entry", [next(MODEM.entries()), *PORTS], ids=lambda entry: str(entry.name))
def test_a_modem_that_is_left_to_modemmanager_is_only_kept_awake(tmp_path: Path, entry: Entry) -> None:
    told = apply_rules(tmp_path, MODEM, entry, "add", left=("1-1.2",))
    assert told.properties.get(PROPERTY) == Owner.MODEMMANAGER.value
    assert not {"ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE", "NM_UNMANAGED"} & told.properties.keys()
    assert told.tags == frozenset()
    assert told.links == frozenset()
    assert power_of(tmp_path, MODEM) == (("on", "0") if entry.subsystem == "usb" else ("??", "1"))


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("entry", [next(MODEM.entries()), PORTS[0]], ids=lambda entry: str(entry.name))
def test_another_slot_that_is_left_makes_no_difference(tmp_path: Path, entry: Entry) -> None:
    told = apply_rules(tmp_path, MODEM, entry, "add", left=("1-1", "1-1.20"))
    assert told.properties.get("ID_MM_DEVICE_IGNORE") == "1"


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("entry", [next(MODEM.entries()), PORTS[0]], ids=lambda entry: str(entry.name))
def test_nobody_at_the_screen_gets_a_modem(tmp_path: Path, entry: Entry) -> None:
    told = apply_rules(tmp_path, MODEM, entry, "add", foreign='ACTION!="remove", TAG+="uaccess"\n')
    assert "uaccess" not in told.tags


@needs_root
@pytest.mark.root
@pytest.mark.parametrize(("usb_id", "action"), [("2c7c:6026", "add"), ("0403:0125", "add"), ("2c7c:0125", "remove")])
def test_other_devices_and_removals_are_left_alone(tmp_path: Path, usb_id: str, action: str) -> None:
    plug = replace(MODEM, usb_id=usb_id)
    for entry in (next(plug.entries()), list(plug.entries())[-1]):
        told = apply_rules(tmp_path / entry.name, plug, entry, action, foreign='TAG+="uaccess"\n')
        assert not {"ID_MM_DEVICE_IGNORE", "ID_MM_PORT_IGNORE", "NM_UNMANAGED", PROPERTY} & told.properties.keys()
        assert told.tags <= {"uaccess"}
        assert told.links == frozenset()
        assert power_of(tmp_path / entry.name, plug) == ("??", "1")


def test_the_rules_are_read_before_modemmanagers() -> None:
    assert RULES.name < "77-mm-"


def test_the_tag_is_taken_away_after_it_is_given_and_before_it_counts() -> None:
    (access,) = FOLDER.glob("*-lastmile-modem-access.rules")
    assert "70-uaccess.rules" < access.name < "73-seat-late.rules"


def test_the_rule_looks_where_the_agent_writes() -> None:
    folder = AgentSettings().state_dir / FOLDER_OF_LEFT
    assert RULES.read_text(encoding="utf-8").count(f'TEST=="{folder}/$') == 2
