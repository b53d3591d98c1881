"""The first words with a modem that may still be booting."""

from __future__ import annotations

import threading

import pytest

from agent.core.clock import Deadline
from agent.core.errors import DeadlineExceeded
from agent.modem import ec25
from agent.modem.at.responses import AtResponse


class BootingPort:
    """Hears nothing of the first `deaf_to` commands, and answers the others at once."""

    def __init__(self, deaf_to: int) -> None:
        self.deaf_to = deaf_to
        self.asked = 0
        self.patience: list[float] = []

    @property
    def echo_seen(self) -> bool:
        return False

    def command(self, text: str, deadline: Deadline) -> AtResponse:
        self.asked += 1
        self.patience.append(deadline.remaining_seconds)
        if self.asked <= self.deaf_to:
            threading.Event().wait(deadline.remaining_seconds)
            raise DeadlineExceeded(text)
        return AtResponse(command=text, lines=(), final="OK")

    def close(self) -> None:
        """Nothing to give back."""


def test_a_modem_that_has_just_booted_is_heard_long_before_the_deadline() -> None:
    port, deadline = BootingPort(deaf_to=2), Deadline.after(60.0)
    ec25.settle(port, deadline)
    assert port.asked == 3
    assert max(port.patience) <= ec25.SETTLE_TRY_SECONDS
    assert deadline.remaining_seconds > 30.0


def test_a_modem_that_never_answers_is_given_up_at_the_deadline() -> None:
    port = BootingPort(deaf_to=1_000_000)
    with pytest.raises(DeadlineExceeded):
        ec25.settle(port, Deadline.after(ec25.SETTLE_TRY_SECONDS * 1.5))
    assert port.asked == 2
