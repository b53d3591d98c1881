"""Lasting names for a modem's ports: `<device_dir>/<serial>/{at,qmi}`, symbolic links to the nodes of the moment."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

from agent.core.errors import TransientError
from agent.core.identifiers import Serial
from agent.modem.model import Hardware

PORTS = ("at", "qmi")
BY_PATH = "by-path"
"""udev's links (61-lastmile-modem.rules), beside ours."""
_NEW = ".new"


class DeviceLinkDirectory:
    """`ports.DeviceLinks` in a directory of our own; every method raises TransientError.

    Only links are ever removed, and directories that are empty then.
    """

    def __init__(self, device_dir: Path) -> None:
        self._device_dir = device_dir

    def make(self, serial: Serial, hardware: Hardware) -> None:
        """Point both links at the modem's nodes, each in one step; a port that is not there has no link."""
        home = self._device_dir / serial
        try:
            home.mkdir(parents=True, exist_ok=True)
            for port, node in zip(PORTS, (hardware.at_node, hardware.qmi_node), strict=True):
                _point(home / port, node)
        except OSError as exc:
            raise TransientError(f"cannot make {home}: {exc}") from exc

    def remove(self, serial: Serial) -> None:
        """Remove the modem's links; no error when there are none."""
        self._remove(self._device_dir / serial)

    def keep_only(self, serials: Iterable[Serial]) -> None:
        """Remove the links of all modems but these."""
        kept = set(serials)
        try:
            present = list(self._device_dir.iterdir())
        except FileNotFoundError:
            return
        except OSError as exc:
            raise TransientError(f"cannot read {self._device_dir}: {exc}") from exc
        for home in present:
            if home.name not in (*kept, BY_PATH) and home.is_dir() and not home.is_symlink():
                self._remove(home)

    def remove_all(self) -> None:
        """Remove the links of all modems, and the directory itself when nobody else has anything in it."""
        self.keep_only(())
        try:
            self._device_dir.rmdir()
        except OSError as exc:
            if exc.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY):
                raise TransientError(f"cannot remove {self._device_dir}: {exc}") from exc

    def _remove(self, home: Path) -> None:
        try:
            for port in PORTS:
                for name in (port, f".{port}{_NEW}"):
                    if (home / name).is_symlink():
                        (home / name).unlink(missing_ok=True)
            home.rmdir()
        except FileNotFoundError:
            return
        except OSError as exc:
            if exc.errno != errno.ENOTEMPTY:  # somebody else's file in it is not ours to remove
                raise TransientError(f"cannot remove {home}: {exc}") from exc


def _point(link: Path, node: str | None) -> None:
    if node is None:
        link.unlink(missing_ok=True)
        return
    if link.is_symlink() and str(link.readlink()) == node:
        return
    new = link.with_name(f".{link.name}{_NEW}")
    new.unlink(missing_ok=True)
    new.symlink_to(node)
    new.replace(link)
