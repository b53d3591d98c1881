"""Modems that change hands between lastmile and ModemManager.

udev's rule (61-lastmile-modem.rules) says of each modem whose it is, by an empty file per slot that is left to
ModemManager, and keeps ModemManager from all others. Here the files are made to agree with the settings. A modem that
thus changes hands is detached from the bus and attached again: neither side keeps a port open, a data session or an
address from before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pyudev

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.identifiers import Slot
from agent.host.hotplug import slot_of
from agent.host.usb import reauthorise
from agent.modem.model import Hardware

FOLDER = "leave-to-modemmanager"
"""Below agent.state_dir; udev's rule has the path of the default one."""
PROPERTY = "ID_LASTMILE"
SETTLE_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Owner(Enum):
    """What udev's rule has noted; the values are the property's."""

    LASTMILE = "managed"
    MODEMMANAGER = "left"


@dataclass(frozen=True, slots=True)
class Claim:
    """A modem on the bus, and whose udev says it is; None: udev's rule was not applied to it."""

    hardware: Hardware
    owner: Owner | None


def plan_handover(claims: Iterable[Claim], left: Collection[Slot]) -> Mapping[Slot, tuple[Hardware, Owner]]:
    """The modems that must change hands, and into whose; those that the rule does not know are left alone. Pure."""
    changes = {}
    for claim in claims:
        wanted = Owner.MODEMMANAGER if claim.hardware.slot in left else Owner.LASTMILE
        if claim.owner is not None and claim.owner is not wanted:
            changes[claim.hardware.slot] = (claim.hardware, wanted)
    return changes


def hand_over(usb_ids: Collection[str], left: Collection[Slot], state_dir: Path) -> None:
    """Make files, udev and the modems agree with `left`; nothing happens when they do. A modem that cannot be handed
    over is named in the log. Raises TransientError when nothing can be done at all."""
    save_marks(state_dir / FOLDER, left)
    changes = dict(plan_handover(fetch_claims(usb_ids), left))
    for hardware, _ in changes.values():
        _have_udev_look(hardware)
    waiting = dict(changes)
    deadline, pause = Deadline.after(SETTLE_SECONDS), threading.Event()
    while waiting and not deadline.passed:
        pause.wait(_LOOK_SECONDS)
        waiting = dict(plan_handover(fetch_claims(usb_ids), left))
    for slot, (hardware, owner) in changes.items():
        fields = {"SLOT": slot, "OWNER": owner.name.lower()}
        if slot in waiting:
            _log.warning("udev's rule does not follow modem.leave_to_modemmanager", extra=fields)
            continue
        try:
            reauthorise(hardware)
        except TransientError as error:
            _log.warning("modem could not be handed over: unplug it", extra={**fields, "ERROR": str(error)})
        else:
            _log.info("modem was handed over", extra=fields)


def save_marks(folder: Path, slots: Collection[Slot]) -> None:
    """Have one empty file per slot in `folder`, and no other file. Raises TransientError."""
    try:
        present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        for name in present - set(slots):
            (folder / name).unlink()
        if slots:
            folder.mkdir(parents=True, exist_ok=True)
        for slot in set(slots) - present:
            (folder / slot).touch()
    except OSError as error:
        raise TransientError(f"{folder}: {error}") from error


def fetch_claims(usb_ids: Collection[str]) -> tuple[Claim, ...]:
    """Every modem on the bus with one of these `vendor:product` ids. Raises TransientError."""
    found = []
    try:
        devices = list(pyudev.Context().list_devices(subsystem="usb", DEVTYPE="usb_device"))
        for device in devices:
            slot, usb_id = slot_of(device.sys_path), _usb_id(device)
            if slot is not None and usb_id in usb_ids:
                noted = device.properties.get(PROPERTY)
                owner = Owner(noted) if noted in {each.value for each in Owner} else None
                found.append(Claim(Hardware(slot=slot, usb_id=usb_id, syspath=device.sys_path, usb_serial=None), owner))
    except (ImportError, OSError, ValueError) as error:
        raise TransientError(f"udev cannot enumerate: {error}") from error
    return tuple(found)


def _usb_id(device: pyudev.Device) -> str:
    """`vendor:product`; parts are missing when the device has just gone."""
    parts = (device.attributes.get(name) or b"" for name in ("idVendor", "idProduct"))
    return ":".join(part.decode(errors="replace").strip() for part in parts)


def _have_udev_look(hardware: Hardware) -> None:
    """Have the kernel tell udev of the device once more."""
    path = Path(hardware.syspath, "uevent")
    try:
        path.write_text("change", encoding="ascii")
    except OSError as error:
        _log.warning("udev was not told to look again", extra={"SLOT": hardware.slot, "ERROR": str(error)})
