"""A stand-in for 3proxy where the real one is not installed: `python -m agent.sim.threeproxy CONFIG`.

It reads the very file that this product renders; whatever else is in it is an error (exit status 1). As 3proxy, it
reads the file again at SIGUSR1, loses its listener when the new text is bad, and ends at SIGTERM.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from agent.core.errors import ConfigError
from agent.host.proxy.parser import parse
from agent.sim.threeproxy_policy import Configuration
from agent.sim.threeproxy_server import Server

MOST_CONFIG_BYTES = 1_048_576


def standin_command() -> tuple[str, ...]:
    """The command for `ProcessUnits`: started as root, it takes on the instance's uid once it has everything open
    that the uid may not reach (a checkout in a home folder)."""
    return (sys.executable, "-m", "agent.sim.threeproxy", "--user", "{uid}", "{config}")


def main(arguments: Sequence[str]) -> int:
    """Run until SIGTERM; exit status 0 then, 1 for a configuration that is not understood, 2 for bad arguments."""
    match list(arguments):
        case ["--user", uid, path] if uid.isdecimal():
            config = _ConfigFile(Path(path))
            _become(int(uid))
        case [path] if not path.startswith("-"):
            config = _ConfigFile(Path(path))
        case _:
            print("usage: python -m agent.sim.threeproxy [--user UID] CONFIG", file=sys.stderr)
            return 2
    try:
        server = Server(Configuration(parse(config.read())))
    except (ConfigError, OSError) as error:
        print(f"{config.path}: {error}", file=sys.stderr)
        return 1
    _turn(server, config)
    return 0


class _ConfigFile:
    """The configuration file, found again through its folder, also when the path to it is out of reach by then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def read(self) -> str:
        descriptor = os.open(self.path.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MOST_CONFIG_BYTES).decode("utf-8", "replace")


def _become(uid: int) -> None:
    # What is needed later has to be here before its files are out of reach; dnspython loads each type at its first use.
    import encodings.idna  # noqa: F401

    import dns.message
    import dns.rdtypes.ANY.CNAME
    import dns.rdtypes.ANY.OPT
    import dns.rdtypes.ANY.SOA
    import dns.rdtypes.IN.A
    import dns.rdtypes.IN.AAAA  # noqa: F401
    import h11  # noqa: F401
    import siosocks.protocol  # noqa: F401

    import agent.sim.threeproxy_http
    import agent.sim.threeproxy_socks
    import agent.sim.threeproxy_udp  # noqa: F401

    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _turn(server: Server, config: _ConfigFile) -> None:
    """Accept clients and obey signals until SIGTERM or SIGINT."""
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _noted)
    while True:
        watched = [waking, *server.listeners]
        for ready in select.select(watched, [], [])[0]:
            if ready is not waking:
                server.accept(ready)
                continue
            numbers = waking.recv(64)
            if signal.SIGTERM in numbers or signal.SIGINT in numbers:
                return
            if signal.SIGUSR1 in numbers:
                _reload(server, config)
                break


def _reload(server: Server, config: _ConfigFile) -> None:
    try:
        server.replace(Configuration(parse(config.read())))
    except (ConfigError, OSError) as error:
        print(f"{config.path}: {error}", file=sys.stderr, flush=True)
        server.close_listener()


def _noted(number: int, frame: FrameType | None) -> None:
    """The signal is read from the wake-up socket."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
