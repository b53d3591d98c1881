"""One modem's AT port as its thread holds it: opened when needed, dropped when it fails, every exchange recorded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.core.identifiers import Slot
from agent.modem.model import Hardware
from agent.modem.ports import AtPort, AtPortOpener, RecordExchange
from agent.modem.recorded_port import RecordedPort

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class AtSession:
    """For one thread."""

    slot: Slot
    opener: AtPortOpener
    record: RecordExchange
    on_urc: Callable[[str], None]
    """Called in the port's own thread."""
    port: AtPort | None = None
    failures: int = 0
    """Opens in a row that failed."""

    def open(self, hardware: Hardware, deadline: Deadline) -> AtPort | None:
        """The open port; None when there is none now."""
        if self.port is None and hardware.at_node is not None:
            try:
                self.port = RecordedPort(self.opener.open(hardware.at_node, deadline, self.on_urc), self.record)
            except TransientError as error:
                self.failures += 1
                logger.warning("AT port did not open", extra={"SLOT": self.slot, "ERROR": str(error)})
        return self.port

    def drop(self) -> None:
        """Give the port up."""
        if self.port is not None:
            self.port.close()
            self.port = None

    def trust(self, hardware: Hardware | None) -> None:
        """The device is another one now, or was reset: what is known of its port's opens counts no more."""
        self.failures = 0
        if hardware is not None and hardware.at_node is not None:
            self.opener.forget(hardware.at_node)
