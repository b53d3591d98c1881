"""What a proxy instance is run by: systemd, or plain processes. Both are built by `agent.cli`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent.core.clock import Deadline
from agent.core.identifiers import Serial
from agent.modem.model import UnitState


class UnitRunner(Protocol):
    """Runs one program per modem under the modem's uid. Every method may be called from any thread, and raises
    DeadlineExceeded or TransientError."""

    def start(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        """Have the instance run under `uid`; nothing happens when it already does."""

    def stop(self, serial: Serial, deadline: Deadline) -> None:
        """On return the instance does not run."""

    def restart(self, serial: Serial, uid: int, deadline: Deadline) -> None:
        """Stop it when it runs, start it anew."""

    def reload(self, serial: Serial, deadline: Deadline) -> None:
        """Send SIGUSR1. Whether the instance took the new configuration is not known here."""

    def state(self, serial: Serial) -> UnitState: ...

    def known(self) -> Sequence[Serial]:
        """Instances that run, have failed, or have something that `forget` removes."""

    def forget(self, serial: Serial, deadline: Deadline) -> None:
        """Stop the instance and remove what was made for it."""
