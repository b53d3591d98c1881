"""Where modems appear and go, as udev tells it.

An event says only that something happened in a slot; what is there now is read from sysfs, by the same `scan` that
finds the modems at start. So a lost, doubled or late event does no harm, and neither does a device that goes while it
is looked at.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import select
import socket
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyudev

from agent.core.clock import Deadline, Instant, now
from agent.core.errors import ConfigError, TransientError
from agent.core.identifiers import Slot
from agent.host.sysfs_glance import Glance, glance
from agent.modem.model import Hardware

SUBSYSTEMS = ("usb", "tty", "usbmisc", "net")
RECEIVE_BUFFER_BYTES = 16 << 20
EVENTS_AT_ONCE = 4096
"""A wait ends after so many, whatever is still queued; the next one goes on."""
BELIEVED_SECONDS = 60.0
"""How long a scan is believed when nothing came or went; then everything is read again all the same."""
VENDOR_CLASS = "ff"
AT_PRIMARY_POSITION = 2
"""AT primary is the third vendor-class tty in interface order; the numbers themselves shift with the composition."""
CONSTANT_SERIAL = "0123456789ABCDEF"
"""What Qualcomm's defaults report as iSerial on every unit."""
_SLOT_PART = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)*")
_INTERFACE_PART = re.compile(r"/[0-9]+-[0-9.]+:[0-9]+\.([0-9]+)/")
_BROKEN = select.POLLHUP | select.POLLNVAL
_log = logging.getLogger(__name__)


@dataclass
class _Ports:
    """What hangs below one USB device, by interface number."""

    vendor_ttys: dict[int, str] = field(default_factory=dict)
    qmi_nodes: dict[int, str] = field(default_factory=dict)
    links: dict[int, tuple[int, str]] = field(default_factory=dict)
    """(ifindex, syspath)"""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What a scan found, and what sysfs looked like right before it."""

    modems: tuple[Hardware, ...]
    before: Glance
    at: Instant


class UdevHotplug:
    """`ports.HotplugSource` on libudev. `wake` and `scan` may be called from any thread, the rest from one."""

    def __init__(self, usb_ids: Iterable[str], left: Iterable[Slot] = ()) -> None:
        """Listen from now on for modems with these `vendor:product` ids, except in the slots that are `left` to others.

        Raises ConfigError when this machine has no libudev, TransientError when it gives no monitor."""
        self._usb_ids = frozenset(usb_ids)
        self._left = frozenset(left)
        self._seen_left: frozenset[Slot] = frozenset()
        self._seen: frozenset[Slot] = frozenset()
        self._closed = False
        self._lock = threading.Lock()
        self._scanning = threading.Lock()
        self._last: _Scan | None = None
        try:
            self._context = pyudev.Context()
            self._monitor = pyudev.Monitor.from_netlink(self._context)
            for subsystem in SUBSYSTEMS:
                self._monitor.filter_by(subsystem)
            _enlarge_receive_buffer(self._monitor)
            self._monitor.start()
        except ImportError as exc:
            raise ConfigError(f"libudev is not installed: {exc}") from exc
        except (OSError, ValueError) as exc:
            raise TransientError(f"udev gives no monitor: {exc}") from exc
        self._socket = socket.socket(fileno=os.dup(self._monitor.fileno()))
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller = select.poll()
        self._poller.register(self._monitor.fileno(), select.POLLIN)
        self._poller.register(self._wake, select.POLLIN)

    def scan(self) -> tuple[Hardware, ...]:
        """Every modem that is there now, complete or not, by slot. Raises TransientError when sysfs cannot be read.

        Without an event, and when nothing came or went in sysfs either, that is what the last scan found."""
        with self._scanning:
            last, self._last = self._last, None
            try:
                before, at = glance(), now()
                if last is None or last.before != before or at - last.at >= BELIEVED_SECONDS:
                    last = _Scan(self._read(), before, at)
            except (OSError, ValueError) as exc:
                raise TransientError(f"udev cannot enumerate: {exc}") from exc
            self._last = last
            self._seen = frozenset(modem.slot for modem in last.modems)
            return last.modems

    def wait(self, timeout_seconds: float) -> frozenset[Slot]:
        """Slots that had an event; empty when the time has passed or `wake` was called.

        When events were lost (the kernel says ENOBUFS) every slot counts: those of the last scan, since their modem
        may have gone, and those that are occupied now.
        """
        deadline = Deadline.after(timeout_seconds)
        while True:
            ready = dict(self._poll(deadline))
            slots = self._receive() if ready.get(self._monitor.fileno()) else frozenset()
            woken = self._wake in ready and self._take_wake()
            if slots or woken or deadline.passed:
                return slots

    def wake(self) -> None:
        """End a `wait` that is going on, or else the next one."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Stop listening; `wait` must not be going on."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._poller.unregister(self._monitor.fileno())
            os.close(self._wake)
            self._socket.close()
            del self._monitor

    # -- events

    def _poll(self, deadline: Deadline) -> list[tuple[int, int]]:
        if self._closed:
            raise TransientError("the hot-plug source is closed")
        ready = self._poller.poll(deadline.remaining_seconds * 1000)
        if any(events & _BROKEN for _, events in ready):
            raise TransientError("the udev monitor broke")
        return ready

    def _take_wake(self) -> bool:
        return os.eventfd_read(self._wake) > 0

    def _receive(self) -> frozenset[Slot]:
        """Take what is queued, up to a bound."""
        slots: set[Slot] = set()
        overrun = False
        for _ in range(EVENTS_AT_ONCE):
            try:
                device = self._monitor.poll(0)
            except OSError as exc:
                # pyudev's own poll hides the reason (0.24.5); asking the socket for it also clears it.
                code = exc.errno or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code != errno.ENOBUFS:
                    raise TransientError(f"the udev monitor failed: {exc}") from exc
                overrun = True
                continue
            except (ValueError, OverflowError):
                _log.warning("udev event not understood", exc_info=True)
                continue
            if device is None:
                break
            slot = slot_of(device.device_path)
            if slot is not None:
                slots.add(slot)
        if slots or overrun:
            with self._scanning:
                self._last = None
        if overrun:
            _log.warning("udev events were lost: every slot is looked at anew")
            slots |= self._seen
            slots |= {modem.slot for modem in self.scan()}
        return frozenset(slots)

    # -- enumeration

    def _read(self) -> tuple[Hardware, ...]:
        """All modems, by slot, whatever was known of them."""
        ports = self._scan_ports()
        found = [self._hardware(device, ports) for device in self._usb_devices()]
        modems = {modem.slot: modem for modem in found if modem is not None}
        left = self._left & modems.keys()
        for slot in sorted(left - self._seen_left):
            _log.info("modem is left to ModemManager", extra={"SLOT": slot})
        self._seen_left = left
        return tuple(modems[slot] for slot in sorted(modems.keys() - left))

    def _usb_devices(self) -> Iterator[Any]:
        for vendor in sorted({usb_id.split(":")[0] for usb_id in self._usb_ids}):
            # Only USB devices, not their interfaces, have this attribute.
            yield from self._context.list_devices().match_subsystem("usb").match_attribute("idVendor", vendor)

    def _hardware(self, device: Any, ports: dict[Slot, _Ports]) -> Hardware | None:
        """The modem in this USB device; None when it is none, or has just gone."""
        slot = slot_of(device.sys_path)
        vendor, product = _attribute(device, "idVendor"), _attribute(device, "idProduct")
        if slot is None or f"{vendor}:{product}" not in self._usb_ids:
            return None
        serial = _attribute(device, "serial")
        bare = Hardware(
            slot=slot,
            usb_id=f"{vendor}:{product}",
            syspath=device.sys_path,
            usb_serial=serial if serial != CONSTANT_SERIAL else None,
        )
        return _with_ports(bare, ports[slot]) if slot in ports else bare

    def _scan_ports(self) -> dict[Slot, _Ports]:
        """All ports that hang on USB devices, modems or not."""
        found: dict[Slot, _Ports] = defaultdict(_Ports)
        ttys = self._context.list_devices().match_subsystem("tty").match_sys_name("ttyUSB*")
        for slot, number, device in _on_usb(ttys):
            node = device.device_node
            if node is not None and _interface_class(device) in (VENDOR_CLASS, None):
                found[slot].vendor_ttys[number] = node
        for slot, number, device in _on_usb(self._context.list_devices().match_subsystem("usbmisc")):
            node = device.device_node
            if node is not None and device.sys_name.startswith("cdc-wdm"):
                found[slot].qmi_nodes[number] = node
        for slot, number, device in _on_usb(self._context.list_devices().match_subsystem("net")):
            index = _attribute(device, "ifindex")
            if index is not None and index.isdecimal():
                found[slot].links[number] = (int(index), device.sys_path)
        return found


def slot_of(path: str) -> Slot | None:
    """The USB device that a sysfs path lies in or is, by the path alone: it may be gone. None when it is on no USB."""
    for part in reversed(path.split("/")):
        if _SLOT_PART.fullmatch(part):
            return Slot(part)
    return None


def _with_ports(modem: Hardware, ports: _Ports) -> Hardware:
    ttys = [ports.vendor_ttys[number] for number in sorted(ports.vendor_ttys)]
    if len(ttys) > AT_PRIMARY_POSITION:
        modem = replace(modem, at_node=ttys[AT_PRIMARY_POSITION])
    if ports.qmi_nodes:
        number = min(ports.qmi_nodes)
        modem = replace(modem, qmi_node=ports.qmi_nodes[number])
        if number in ports.links:
            index, syspath = ports.links[number]
            modem = replace(modem, link_index=index, raw_ip_path=f"{syspath}/qmi/raw_ip")
    return modem


def _on_usb(devices: Iterable[Any]) -> Iterator[tuple[Slot, int, Any]]:
    """(slot, interface number, device) of those devices that hang on a USB interface."""
    for device in devices:
        slot = slot_of(device.sys_path)
        interface = _INTERFACE_PART.search(device.sys_path)
        if slot is not None and interface is not None:
            yield slot, int(interface[1]), device


def _interface_class(device: Any) -> str | None:
    """bInterfaceClass of the USB interface that carries the device; None when it has just gone."""
    interface = device.find_parent("usb", "usb_interface")
    return _attribute(interface, "bInterfaceClass") if interface is not None else None


def _attribute(device: Any, name: str) -> str | None:
    """A sysfs attribute, stripped; None when it is missing, empty or not text."""
    try:
        text: str = device.attributes.asstring(name)
    except (KeyError, UnicodeDecodeError):
        return None
    return text.strip() or None


def _enlarge_receive_buffer(monitor: Any) -> None:
    """Thirty modems at once are some thousand events."""
    try:
        monitor.set_receive_buffer_size(RECEIVE_BUFFER_BYTES)
    except OSError:
        _log.warning("udev receive buffer stays small: CAP_NET_ADMIN is missing", exc_info=True)
