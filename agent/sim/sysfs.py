"""An ordinary directory tree that libudev and pyudev take for sysfs, and the udev database beside it.

One record describes a device once: its directory, its `uevent` file, its links under class or bus, its entry in udev's
database and the properties of its events all come from it (the kernel's Documentation/admin-guide/sysfs-rules.rst).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

_BUSES = frozenset({"usb", "usb-serial", "pci"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SysfsDevice:
    """One device as sysfs and udev show it."""

    devpath: str
    """Below /sys, beginning with /devices."""
    subsystem: str
    devtype: str | None = None
    driver: str | None = None
    node: str | None = None
    """Name of its file below /dev."""
    number: tuple[int, int] | None = None
    """Major and minor of that file."""
    link_index: int | None = None
    """ifindex of a network link."""
    uevent: dict[str, str] = field(default_factory=dict)
    """What the kernel says of it beyond the common keys."""
    attributes: dict[str, str] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    """What udev's rules would add."""

    @property
    def name(self) -> str:
        return self.devpath.rpartition("/")[2]

    @property
    def kernel_properties(self) -> dict[str, str]:
        """What the kernel's own `uevent` file says."""
        said: dict[str, str] = {}
        if self.number is not None and self.node is not None:
            said |= {"MAJOR": str(self.number[0]), "MINOR": str(self.number[1]), "DEVNAME": self.node}
        if self.devtype is not None:
            said["DEVTYPE"] = self.devtype
        if self.driver is not None:
            said["DRIVER"] = self.driver
        if self.link_index is not None:
            said |= {"INTERFACE": self.name, "IFINDEX": str(self.link_index)}
        return said | self.uevent

    @property
    def database_name(self) -> str:
        """Name of its file in /run/udev/data (sd-device(3), device ids)."""
        if self.number is not None:
            return f"c{self.number[0]}:{self.number[1]}"
        if self.link_index is not None:
            return f"n{self.link_index}"
        return f"+{self.subsystem}:{self.name}"


class SysfsTree:
    """The tree and the database, written under two directories."""

    def __init__(self, sys: Path, udev: Path) -> None:
        self.sys = sys
        self.udev = udev
        for directory in (sys / "devices", sys / "class", sys / "bus", udev / "data"):
            directory.mkdir(parents=True, exist_ok=True)
        # libudev believes that udev runs when this exists, and only then waits for its events.
        (udev / "control").touch()

    def directory(self, device: SysfsDevice) -> Path:
        """Where the device's attributes are."""
        return self.sys / device.devpath.lstrip("/")

    def add(self, device: SysfsDevice) -> None:
        """Write the device, its links and its database entry; its parents must be there."""
        directory = self.directory(device)
        directory.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key}={value}\n" for key, value in device.kernel_properties.items())
        (directory / "uevent").write_text(text)
        attributes = dict(device.attributes)
        if device.number is not None:
            attributes["dev"] = f"{device.number[0]}:{device.number[1]}"
        if device.link_index is not None:
            attributes["ifindex"] = str(device.link_index)
        for name, value in attributes.items():
            path = directory / name
            if "/" in name:
                path.parent.mkdir(exist_ok=True)
            path.write_text(f"{value}\n")
        self._link(device, directory)
        entry = "".join(f"E:{key}={value}\n" for key, value in device.properties.items())
        (self.udev / "data" / device.database_name).write_text(f"I:1\n{entry}")

    def remove(self, device: SysfsDevice) -> None:
        """Take away the device, what is below it, its links and its database entry."""
        self._index(device).unlink(missing_ok=True)
        (self.udev / "data" / device.database_name).unlink(missing_ok=True)
        shutil.rmtree(self.directory(device), ignore_errors=True)

    def _home(self, device: SysfsDevice) -> Path:
        return self.sys / ("bus" if device.subsystem in _BUSES else "class") / device.subsystem

    def _index(self, device: SysfsDevice) -> Path:
        home = self._home(device)
        return (home / "devices" if device.subsystem in _BUSES else home) / device.name

    def _link(self, device: SysfsDevice, directory: Path) -> None:
        index = self._index(device)
        index.parent.mkdir(parents=True, exist_ok=True)
        _point(index, directory)
        _point(directory / "subsystem", self._home(device))
        if device.driver is not None:
            driver = self._home(device) / "drivers" / device.driver
            driver.mkdir(parents=True, exist_ok=True)
            _point(directory / "driver", driver)
        if device.subsystem not in _BUSES:
            # Class devices sit in a directory named for their class, below the device they belong to.
            _point(directory / "device", directory.parent.parent)


def _point(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(os.path.relpath(target, link.parent))
