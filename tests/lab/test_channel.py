"""The near side of the command channel, where the machine behind it fails."""

from __future__ import annotations

import socket

import pytest

from tests.lab.channel import GuestChannel
from tests.lab.machine import MachineRestarted


def test_a_line_cut_by_a_reset_does_no_harm() -> None:
    near, far = socket.socketpair()
    channel = GuestChannel(near)
    far.sendall(b'\n{"boot": "one", "uptime": 1}\n')
    channel.wait_up(5)
    waiting = channel.start("sleep 1")
    far.sendall(b'\n{"id": 1, "stream": "out", "da')
    far.sendall(b'\n{"boot": "two", "uptime": 0}\n')
    channel.wait_up(5, after="one")
    with pytest.raises(MachineRestarted, match="started anew"):
        waiting.wait(5)
    far.close()
    channel.close()


def test_asking_a_machine_that_is_gone_fails_at_once() -> None:
    near, far = socket.socketpair()
    channel = GuestChannel(near)
    waiting = channel.start("sleep 1")
    far.close()
    with pytest.raises(MachineRestarted):
        waiting.wait(5)
    with pytest.raises(MachineRestarted):
        channel.run("true")
    channel.close()
