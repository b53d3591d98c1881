"""Resets of a USB device, and of the power of its port."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from agent.core.errors import TransientError
from agent.modem.model import Hardware

USBDEVFS_RESET = 0x5514
"""_IO('U', 20) of linux/usbdevice_fs.h"""
_log = logging.getLogger(__name__)


class SysfsUsbBus:
    """`ports.UsbBus` on usbfs and sysfs. A call may last as long as the device's firmware takes, some seconds."""

    def __init__(
        self,
        *,
        bus_dir: Path = Path("/dev/bus/usb"),
        power_command: Sequence[str] = (),
        power_timeout_seconds: float = 30.0,
    ) -> None:
        """`power_command` switches the power of a port off and on again; the slot is added as its last word. Empty:
        this machine has no way to do that."""
        self._bus_dir = bus_dir
        self._power_command = tuple(power_command)
        self._power_timeout_seconds = power_timeout_seconds

    def reset(self, hardware: Hardware) -> None:
        """Reset the device; where usbfs refuses, take the device's authorisation away and give it back.

        Raises TransientError when neither works, for instance because the device has just gone."""
        try:
            self._reset_port(hardware)
        except (OSError, ValueError) as exc:
            _log.warning(
                "USB reset refused; the device is deauthorised instead", extra={"SLOT": hardware.slot}, exc_info=exc
            )
            reauthorise(hardware)

    def cycle_power(self, hardware: Hardware) -> bool:
        """True when the configured command did it; False when there is none. Raises TransientError when it failed."""
        if not self._power_command:
            return False
        words = [*self._power_command, hardware.slot]
        try:
            subprocess.run(words, check=True, capture_output=True, timeout=self._power_timeout_seconds)
        except (OSError, subprocess.SubprocessError) as exc:
            raise TransientError(f"the power of port {hardware.slot} was not switched: {exc}") from exc
        return True

    def _reset_port(self, hardware: Hardware) -> None:
        node = self._bus_dir / f"{_number(hardware, 'busnum'):03d}" / f"{_number(hardware, 'devnum'):03d}"
        descriptor = os.open(node, os.O_WRONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(descriptor, USBDEVFS_RESET, 0)
        finally:
            os.close(descriptor)


def _number(hardware: Hardware, attribute: str) -> int:
    return int(Path(hardware.syspath, attribute).read_text(encoding="ascii"))


def reauthorise(hardware: Hardware) -> None:
    """Detach the device from its drivers and attach it again: its ports and its link go and come as if it had been
    unplugged. Raises TransientError."""
    switch = Path(hardware.syspath, "authorized")
    try:
        if not switch.exists():
            raise FileNotFoundError(switch)
        for value in ("0", "1"):
            switch.write_text(value, encoding="ascii")
    except OSError as exc:
        raise TransientError(f"the USB device in {hardware.slot} cannot be reset: {exc}") from exc
