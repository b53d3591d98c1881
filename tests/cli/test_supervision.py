"""The watchdog is fed while the loops turn, and no longer."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.supervision import Supervision
from agent.core.heartbeat import Heartbeats


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket in systemd's place, which wants a sign of life every 0.3 s (so one comes every 0.1 s)."""
    folder = Path(tempfile.mkdtemp(prefix="lm"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(folder / "notify"))
        listener.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener
    shutil.rmtree(folder)


class Case:
    """A supervision that runs in a thread of its own, over one loop called `loop`."""

    def __init__(self) -> None:
        self.hearts = Heartbeats(silence_seconds=3600)
        self.hearts.beat("loop")
        self.reloads = 0
        self.ended = threading.Event()
        self.supervision = Supervision(
            heartbeats=self.hearts,
            loops=("loop",),
            status=lambda: "fine",
            reload=self._reload,
            must_stop=self.ended.is_set,
        )
        self.thread = threading.Thread(target=self.supervision.run)

    def _reload(self) -> None:
        self.reloads += 1

    def end(self) -> None:
        self.ended.set()
        self.supervision.wake()
        if self.thread.ident is not None:
            self.thread.join(20)
        assert not self.thread.is_alive()
        self.supervision._notifier.socket.close()


@pytest.fixture
def case(systemd: socket.socket) -> Iterator[Case]:
    case = Case()
    case.thread.start()
    yield case
    case.end()


def receive(listener: socket.socket) -> list[str]:
    return listener.recv(4096).decode().splitlines()


def receive_until(listener: socket.socket, line: str) -> list[str]:
    """The first line of every message up to the one that is `line`."""
    seen = [receive(listener)[0]]
    while seen[-1] != line:
        seen.append(receive(listener)[0])
    return seen


def test_the_watchdog_is_fed_only_while_every_loop_turns(case: Case, systemd: socket.socket) -> None:
    assert receive(systemd) == ["READY=1", "STATUS=fine"]
    assert receive(systemd) == ["WATCHDOG=1", "STATUS=fine"]
    case.hearts.forget("loop")
    receive_until(systemd, "STATUS=stuck: loop")
    # From here on nothing else is said, until the loop turns again.
    assert [receive(systemd) for _ in range(3)] == [["STATUS=stuck: loop"]] * 3
    case.hearts.beat("loop")
    assert set(receive_until(systemd, "WATCHDOG=1")) <= {"STATUS=stuck: loop", "WATCHDOG=1"}


def test_the_end_is_announced(case: Case, systemd: socket.socket) -> None:
    assert receive(systemd)[0] == "READY=1"
    case.ended.set()
    assert set(receive_until(systemd, "STOPPING=1")) <= {"WATCHDOG=1", "STOPPING=1"}


def test_signals_reload_and_stop(systemd: socket.socket) -> None:
    case = Case()
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    case.supervision.install()
    try:
        # Taken before the first turn: they must not be forgotten.
        os.kill(os.getpid(), signal.SIGHUP)
        stopper = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM))
        stopper.start()
        case.supervision.run()
        stopper.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert case.reloads == 1
    assert receive(systemd)[0] == "READY=1"
    reloading = receive(systemd)
    assert reloading[0] == "RELOADING=1"
    assert int(reloading[1].removeprefix("MONOTONIC_USEC=")) > 0
    assert receive(systemd)[0] == "READY=1"
    assert receive_until(systemd, "STOPPING=1")[-1] == "STOPPING=1"
    case.end()


def test_a_watchdog_of_another_process_is_not_ours(systemd: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_PID", "1")
    case = Case()
    case.thread.start()
    assert receive(systemd)[0] == "READY=1"
    systemd.settimeout(0.5)
    with pytest.raises(TimeoutError):
        receive(systemd)
    case.end()
