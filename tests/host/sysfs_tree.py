"""What the kernel shows of an EC25 in sysfs, as data, and two beds that show it to libudev without hardware.

`UmockdevBed` works under umockdev-wrapper. `DirectoryBed` is an ordinary directory for a bind mount over /sys, and
sends the messages that udevd would send; it needs network and mount namespaces of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

CONTROLLER = "/devices/pci0000:00/0000:00:14.0/usb1"
EC25_INTERFACES = ("ff", "ff", "ff", "ff", "ff")
"""bInterfaceClass by interface number: DIAG, NMEA, AT primary, AT secondary, QMI."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One directory of sysfs."""

    path: str
    subsystem: str
    devtype: str | None = None
    node: str | None = None
    """Below /dev."""
    driver: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[1]


@dataclass(frozen=True, kw_only=True)
class Plug:
    """A modem in a slot, and the numbers that the kernel happened to give it."""

    slot: str
    first_tty: int = 0
    wdm: int = 0
    ifindex: int = 7
    usb_id: str = "2c7c:0125"
    usb_serial: str | None = None
    tty_interfaces: tuple[int, ...] = (0, 1, 2, 3)
    classes: tuple[str, ...] = EC25_INTERFACES
    qmi_interface: int | None = 4

    @property
    def device_path(self) -> str:
        hub, dot, _ = self.slot.rpartition(".")
        return f"{CONTROLLER}/{hub}/{self.slot}" if dot else f"{CONTROLLER}/{self.slot}"

    def entries(self) -> Iterator[Entry]:
        """Parents first."""
        vendor, product = self.usb_id.split(":")
        attributes = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": "9"}
        if self.usb_serial is not None:
            attributes["serial"] = self.usb_serial
        yield Entry(
            path=self.device_path, subsystem="usb", devtype="usb_device", node="bus/usb/001/009", attributes=attributes
        )
        for number, each in enumerate(self.classes):
            yield Entry(
                path=self._interface(number),
                subsystem="usb",
                devtype="usb_interface",
                attributes={"bInterfaceNumber": f"{number:02x}", "bInterfaceClass": each},
            )
        for offset, number in enumerate(self.tty_interfaces):
            name = f"ttyUSB{self.first_tty + offset}"
            yield Entry(path=f"{self._interface(number)}/{name}/tty/{name}", subsystem="tty", node=name)
        if self.qmi_interface is not None:
            path = self._interface(self.qmi_interface)
            name, link = f"cdc-wdm{self.wdm}", f"wwan{self.wdm}"
            yield Entry(path=f"{path}/usbmisc/{name}", subsystem="usbmisc", node=name)
            yield Entry(
                path=f"{path}/net/{link}", subsystem="net", devtype="wwan", attributes={"ifindex": str(self.ifindex)}
            )

    def _interface(self, number: int) -> str:
        return f"{self.device_path}/{self.slot}:1.{number}"


class Bed(Protocol):
    """Shows devices to libudev and tells of them."""

    def add(self, entries: Iterable[Entry]) -> None: ...

    def remove(self, entries: Iterable[Entry]) -> None: ...


class UmockdevBed:
    """libumockdev by ctypes: no introspection libraries are needed."""

    def __init__(self) -> None:
        library = ctypes.CDLL("libumockdev.so.0")
        library.umockdev_testbed_new.restype = ctypes.c_void_p
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        library.umockdev_testbed_add_from_string.argtypes = [pointer, text, pointer]
        library.umockdev_testbed_uevent.argtypes = [pointer, text, text]
        library.umockdev_testbed_remove_device.argtypes = [pointer, text]
        self._library = library
        self._testbed = library.umockdev_testbed_new()

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            lines = [f"P: {entry.path}", f"E: SUBSYSTEM={entry.subsystem}"]
            if entry.devtype is not None:
                lines.append(f"E: DEVTYPE={entry.devtype}")
            if entry.node is not None:
                lines += [f"N: {entry.node}", f"E: DEVNAME=/dev/{entry.node}"]
            lines += [f"A: {name}={value}\\n" for name, value in entry.attributes.items()]
            text = "\n".join(lines) + "\n"
            if not self._library.umockdev_testbed_add_from_string(self._testbed, text.encode(), None):
                raise AssertionError(f"umockdev did not take {entry}")
            self._tell(entry, b"add")

    def remove(self, entries: Iterable[Entry]) -> None:
        for entry in reversed(list(entries)):
            self._tell(entry, b"remove")
            self._library.umockdev_testbed_remove_device(self._testbed, f"/sys{entry.path}".encode())

    def _tell(self, entry: Entry, action: bytes) -> None:
        self._library.umockdev_testbed_uevent(self._testbed, f"/sys{entry.path}".encode(), action)


class DirectoryBed:
    """An ordinary directory that looks like /sys, and udevd's messages."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sequence = 0

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.show(entry)
            self.tell(entry, "add")

    def remove(self, entries: Iterable[Entry]) -> None:
        for entry in reversed(list(entries)):
            self.hide(entry)
            self.tell(entry, "remove")

    def show(self, entry: Entry) -> None:
        """The entry in sysfs, its `uevent` file last: it makes a directory a device."""
        directory = self._root / entry.path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        for name, value in entry.attributes.items():
            (directory / name).write_text(f"{value}\n", encoding="utf-8")
        where = "bus" if entry.subsystem == "usb" else "class"
        family = self._root / where / entry.subsystem
        listing = family / "devices" if where == "bus" else family
        listing.mkdir(parents=True, exist_ok=True)
        (directory / "subsystem").symlink_to(os.path.relpath(family, directory))
        lines = [f"{name}={value}" for name, value in self._properties(entry).items()]
        (directory / "uevent").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (listing / entry.name).symlink_to(os.path.relpath(directory, listing))

    def hide(self, entry: Entry) -> None:
        where = Path("bus", "usb", "devices") if entry.subsystem == "usb" else Path("class", entry.subsystem)
        (self._root / where / entry.name).unlink()
        shutil.rmtree(self._root / entry.path.lstrip("/"))

    def tell(self, entry: Entry, action: str) -> None:
        """What udevd multicasts after its rules have run (libudev's own format, group 2)."""
        self._sequence += 1
        properties = {
            "ACTION": action,
            "DEVPATH": entry.path,
            "SUBSYSTEM": entry.subsystem,
            "SEQNUM": str(self._sequence),
            **self._properties(entry),
        }
        if entry.node is not None:
            properties["DEVNAME"] = f"/dev/{entry.node}"
        body = b"".join(f"{name}={value}\0".encode() for name, value in properties.items())
        subsystem, devtype = _murmur2(entry.subsystem.encode()), _murmur2((entry.devtype or "").encode())
        header = struct.pack("=8s", b"libudev\0") + struct.pack(">I", 0xFEEDCAFE)
        header += struct.pack("=III", 40, 40, len(body)) + struct.pack(">IIII", subsystem, devtype, 0, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15) as sock:
            sock.sendto(header + body, (0, 2))

    def _properties(self, entry: Entry) -> dict[str, str]:
        properties = {"DEVNAME": entry.node, "DEVTYPE": entry.devtype, "DRIVER": entry.driver}
        if entry.subsystem == "net":
            properties |= {"INTERFACE": entry.name, "IFINDEX": entry.attributes["ifindex"]}
        return {name: value for name, value in properties.items() if value is not None}


def _murmur2(text: bytes) -> int:
    """MurmurHash2 with seed 0, by which libudev's kernel filter knows a subsystem."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    result = len(text)
    whole = len(text) - len(text) % 4
    for offset in range(0, whole, 4):
        part = int.from_bytes(text[offset : offset + 4], "little") * multiplier & mask
        part = (part ^ part >> 24) * multiplier & mask
        result = (result * multiplier & mask) ^ part
    if text[whole:]:
        result = (result ^ int.from_bytes(text[whole:], "little")) * multiplier & mask
    result = (result ^ result >> 13) * multiplier & mask
    return result ^ result >> 15
