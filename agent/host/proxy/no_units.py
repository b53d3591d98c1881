"""A machine that systemd does not run (a chroot, an image that is being built): no unit can be running there."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.identifiers import Serial
from agent.modem.model import UnitState


class NoUnits:
    """`UnitRunner` with nothing to stop; it cannot start anything."""

    def start(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        del uid, deadline
        raise TransientError(f"proxy {serial} cannot be started: systemd does not run this machine")

    def stop(self, serial: Serial, deadline: Deadline) -> None:
        del serial, deadline

    def restart(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        self.start(serial, uid, deadline)

    def reload(self, serial: Serial, deadline: Deadline) -> None:
        self.start(serial, 0, deadline)

    def state(self, serial: Serial) -> UnitState:
        del serial
        return UnitState.INACTIVE

    def known(self) -> Sequence[Serial]:
        return ()

    def forget(self, serial: Serial, deadline: Deadline) -> None:
        del serial, deadline
