"""Modems that change hands between lastmile and ModemManager."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.errors import TransientError
from agent.core.identifiers import Slot
from agent.host.handover import Claim, Owner, plan_handover, save_marks
from agent.modem.model import Hardware
from tests.host import handover_scene
from tests.host.netns import needs_root

ROOT = Path(__file__).parents[2]
SLOT, OTHER = Slot("1-1.2"), Slot("1-1.4")


def modem(slot: Slot) -> Hardware:
    return Hardware(slot=slot, usb_id="2c7c:0125", syspath=f"/sys/{slot}", usb_serial=None)


@pytest.mark.parametrize(
    ("owner", "left", "becomes"),
    [
        (Owner.LASTMILE, [], None),
        (Owner.LASTMILE, [OTHER], None),
        (Owner.LASTMILE, [SLOT], Owner.MODEMMANAGER),
        (Owner.MODEMMANAGER, [SLOT], None),
        (Owner.MODEMMANAGER, [], Owner.LASTMILE),
        (None, [SLOT], None),
        (None, [], None),
    ],
)
def test_only_what_is_in_the_wrong_hands_changes_them(
    owner: Owner | None, left: list[Slot], becomes: Owner | None
) -> None:
    expected = {} if becomes is None else {SLOT: (modem(SLOT), becomes)}
    assert plan_handover([Claim(modem(SLOT), owner)], left) == expected


def test_marks_are_one_empty_file_per_slot(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "marks"
    save_marks(folder, [])
    assert not folder.parent.exists()
    for slots in ([SLOT], [SLOT, OTHER], [OTHER], []):
        save_marks(folder, slots)
        assert sorted(path.name for path in folder.iterdir()) == sorted(slots)


def test_an_impossible_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match="file"):
        save_marks(tmp_path / "file" / "marks", [SLOT])


@needs_root
@pytest.mark.root
def test_a_modem_goes_to_modemmanager_and_comes_back(tmp_path: Path) -> None:
    for empty in ("sys/devices", "sys/bus", "sys/class", "state"):
        (tmp_path / empty).mkdir(parents=True)
    script = (
        'mount --bind "$1/sys" /sys && mount -t tmpfs tmpfs /run && mkdir -p /run/udev/data && '
        'touch /run/udev/control && exec "$2" "$3" "$1/state"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, handover_scene.__file__],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("modem was handed over") == 2
    assert done.stderr.count("udev's rule does not follow modem.leave_to_modemmanager") == 1
