"""What leaves the adapter to systemd when the connection breaks; the rest runs under a real systemd (tests/systemd)."""

from __future__ import annotations

from typing import NoReturn

import pytest

from agent.core.clock import Deadline
from agent.core.errors import TransientError
from agent.host.proxy.systemd_bus import SystemdBus


class DroppedRouter:
    """A router whose connection another thread has dropped while an answer was waited for."""

    closed = False

    def send_and_get_reply(self, *_: object, **__: object) -> NoReturn:
        raise KeyError(7)

    def close(self) -> None:
        self.closed = True


def test_a_connection_that_another_thread_dropped_is_a_broken_one() -> None:
    bus, router = SystemdBus(), DroppedRouter()
    bus._router = router
    with pytest.raises(TransientError, match="connection to systemd broke"):
        bus.call("ListUnits", "", (), Deadline.after(1))
    assert router.closed
