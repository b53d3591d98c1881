"""granian (2.8) with what it has no options for: a socket that listens already, and workers that are replaced."""

from __future__ import annotations

import socket
import time
from typing import Any

from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mp import MPServer

CRASHES_MOST = 20
CRASH_SECONDS = 60.0
"""More workers than that lost in this time: a bug that a new worker does not mend, and systemd is told."""
# granian sets up logging of its own; its lines go where ours go, and only when something is wrong.
LOGGING: dict[str, Any] = {
    "handlers": {},
    "formatters": {},
    "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
}


class Server(MPServer):
    """granian's supervisor of worker processes; `listener` is served when it is set."""

    listener: socket.socket | None = None
    backlog_most = 1024

    def _init_shared_socket(self) -> None:
        # granian has no option for this. On Linux its workers listen themselves where `_ssp` says (SO_REUSEPORT); with
        # `_ssp` None they serve the descriptor in `_shd`, as they do for Unix sockets. With one socket for all, what
        # waits in its queue is not lost with a worker.
        if self.listener is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]
            return
        self.listener.setblocking(False)
        self._ssp = self._sso = None
        holder = SocketHolder(self.listener.fileno(), False, self.backlog_most)  # type: ignore[call-arg]
        self._shd = holder  # type: ignore[assignment]


class PersistentServer(Server):
    """Replaces every worker that dies, at once; granian itself gives up when one dies twice within 5.5 s."""

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        crashes: list[float] = []
        while True:
            self.main_loop_interrupt.wait()
            if self.interrupt_signal:
                return
            self.main_loop_interrupt.clear()
            fallen, self.interrupt_children[:] = list(self.interrupt_children), []
            now = time.monotonic()
            crashes = [at for at in crashes if now - at < CRASH_SECONDS] + [now] * len(fallen)
            if len(crashes) > CRASHES_MOST:
                self.interrupt_children.extend(fallen)
                return
            if fallen:
                self._respawn_workers(fallen, spawn_target, target_loader)
