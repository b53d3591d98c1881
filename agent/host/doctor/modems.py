"""The modems on the bus as sysfs and udev show them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyudev

from agent.core.errors import TransientError
from agent.doctor.udev import RuleFile, UdevFacts, UdevModem
from agent.doctor.usb import UsbModem
from agent.host.doctor.places import Places, read_text
from agent.host.hotplug import slot_of

OUR_RULES = "*lastmile*.rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluggedModem:
    """A modem, its nodes below /dev, and its link."""

    usb: UsbModem
    syspath: Path
    nodes: tuple[str, ...]
    link_index: int | None


def fetch_modems(places: Places, usb_ids: Collection[str], left: Collection[str] = ()) -> tuple[PluggedModem, ...]:
    """Every modem with one of these `vendor:product` ids, by slot, except those in the slots that are `left` to
    others. Raises TransientError when sysfs cannot be read."""
    devices = places.sys / "bus/usb/devices"
    try:
        names = sorted(os.listdir(devices)) if devices.is_dir() else []  # noqa: PTH208
    except OSError as error:
        raise TransientError(f"cannot read {devices}: {error}") from error
    ports = tuple(_ports(places))
    found = []
    for name in names:
        usb_id = f"{read_text(devices / name / 'idVendor')}:{read_text(devices / name / 'idProduct')}"
        if usb_id in usb_ids and name not in left:
            found.append(_modem(name, (devices / name).resolve(), ports))
    return tuple(found)


def _ports(places: Places) -> Iterator[tuple[str, str, Path]]:
    """(slot, name, where) of everything that hangs on a USB device and may be a modem's port."""
    for place, prefix in (("class/tty", "ttyUSB"), ("class/usbmisc", "cdc-wdm"), ("class/net", "")):
        for path in sorted((places.sys / place).glob(f"{prefix}*")):
            where = path.resolve()
            slot = slot_of(str(where))
            if slot is not None:
                yield slot, path.name, where


def _modem(slot: str, syspath: Path, ports: tuple[tuple[str, str, Path], ...]) -> PluggedModem:
    mine = [(name, where) for its_slot, name, where in ports if its_slot == slot]
    ttys = [name for name, _ in mine if name.startswith("ttyUSB")]
    qmi = [name for name, _ in mine if name.startswith("cdc-wdm")]
    links = [(name, where) for name, where in mine if name not in ttys and name not in qmi]
    index = read_text(links[0][1] / "ifindex") if links else None
    authorised = read_text(syspath / "authorized")
    controller = _controller(syspath)
    return PluggedModem(
        usb=UsbModem(
            slot=slot,
            controller=controller.name,
            controller_driver=_driver(controller),
            power_control=read_text(syspath / "power/control"),
            persist=read_text(syspath / "power/persist"),
            authorised=authorised != "0" if authorised is not None else None,
            serial_ports=len(ttys),
            has_qmi=bool(qmi),
            link=links[0][0] if links else None,
        ),
        syspath=syspath,
        nodes=tuple(f"/dev/{name}" for name in (*ttys, *qmi)),
        link_index=int(index) if index is not None and index.isdecimal() else None,
    )


def _controller(syspath: Path) -> Path:
    """What the root hub `usbN` hangs on."""
    for part in (syspath, *syspath.parents):
        if part.name.startswith("usb") and part.name[3:].isdecimal():
            return part.parent
    return syspath.parent


def _driver(device: Path) -> str | None:
    try:
        return (device / "driver").readlink().name
    except OSError:
        return None


def udev_properties(syspath: Path) -> Mapping[str, str] | None:
    """What udev's rules gave the device; None when udev has not seen it. Raises TransientError without libudev."""
    try:
        device = pyudev.Devices.from_sys_path(pyudev.Context(), str(syspath))
        properties = dict(device.properties)
    except ImportError as error:
        raise TransientError(f"libudev is not installed: {error}") from error
    except (pyudev.DeviceNotFoundError, OSError, ValueError):
        return None
    return properties if device.is_initialized else None


def fetch_udev(
    places: Places,
    modems: Collection[PluggedModem],
    properties: Callable[[Path], Mapping[str, str] | None] = udev_properties,
) -> UdevFacts:
    """Our rules files, and what udev has noted about the modems."""
    return UdevFacts(
        running=(places.root / "run/udev/control").exists(),
        rules=tuple(tuple(_rule_file(path) for path in paths) for paths in places.named("udev/rules.d", OUR_RULES)),
        modems=tuple(_noted(modem, properties(modem.syspath)) for modem in modems),
    )


def _rule_file(path: Path) -> RuleFile:
    text = read_text(path)
    masked = text == "" or (path.is_symlink() and str(path.readlink()) == os.devnull)
    return RuleFile(path=str(path), masked=masked, text=text)


def _noted(modem: PluggedModem, properties: Mapping[str, str] | None) -> UdevModem:
    return UdevModem(
        slot=modem.usb.slot,
        known=properties is not None,
        kept_from_modemmanager=properties is not None and properties.get("ID_MM_DEVICE_IGNORE") == "1",
    )
