"""Hot-plug through libudev: under umockdev, and on a directory bind-mounted over /sys with real netlink messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.host.hotplug import slot_of
from tests.host import hotplug_scenes
from tests.host.netns import needs_root

ROOT = Path(__file__).parents[2]
SCENES = Path(hotplug_scenes.__file__)


def play(command: list[str], **environment: str) -> None:
    result = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", **environment},
    )
    assert result.returncode == 0, result.stdout + result.stderr


def named(scenes: tuple[Callable[..., None], ...]) -> list[str]:
    return [scene.__name__ for scene in scenes]


@pytest.mark.parametrize("scene", named(hotplug_scenes.ANYWHERE))
def test_under_umockdev(scene: str) -> None:
    wrapper = shutil.which("umockdev-wrapper")
    if wrapper is None:
        if os.environ.get("CI"):
            pytest.fail("umockdev-wrapper is missing: install the package umockdev")
        pytest.skip("HOT-PLUG IS NOT TESTED: umockdev-wrapper is missing (package umockdev)")
    # umockdev sends its events by a datagram socket that takes ten, and aborts when there are more.
    script = 'echo 4096 > /proc/sys/net/unix/max_dgram_qlen && exec "$@"'
    own_network = ["unshare", "--net", *(() if os.geteuid() == 0 else ("--map-root-user",)), "sh", "-c", script, "sh"]
    play([*own_network, wrapper, sys.executable, str(SCENES), "umockdev", scene])


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("scene", named((*hotplug_scenes.ANYWHERE, *hotplug_scenes.DIRECTORY_ONLY)))
def test_on_a_directory_mounted_over_sys(scene: str, tmp_path: Path) -> None:
    for empty in ("devices", "bus", "class"):
        (tmp_path / empty).mkdir()
    # Where no udev runs and /dev is no devtmpfs (a container), libudev hears nothing unless its control file is there.
    script = (
        'mount --bind "$1" /sys && mount -t tmpfs tmpfs /run && mkdir /run/udev && touch /run/udev/control'
        ' && exec "$2" "$3" /sys "$4"'
    )
    words = ["unshare", "--net", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, str(SCENES), scene]
    play(words, SYSTEMD_DEVICE_VERIFY_SYSFS="0")


@pytest.mark.parametrize(
    ("path", "slot"),
    [
        ("/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.2/ttyUSB2/tty/ttyUSB2", "1-1.2"),
        ("/devices/pci0000:00/0000:00:14.0/usb1/1-1", "1-1"),
        ("/sys/devices/platform/vhci_hcd.0/usb12/12-10/12-10.4.1/12-10.4.1:1.4/net/wwan0", "12-10.4.1"),
        ("/devices/pci0000:00/0000:00:14.0/usb1", None),
        ("/devices/virtual/net/lo", None),
        ("", None),
    ],
)
def test_a_slot_is_read_from_a_path_alone(path: str, slot: str | None) -> None:
    assert slot_of(path) == slot
