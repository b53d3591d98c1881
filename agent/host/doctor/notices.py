"""What the agent itself tells people about its host, looked at again and again while it runs."""

from __future__ import annotations

from pathlib import Path

from agent.core.settings.schema import ProxySettings
from agent.doctor.tools import Program, proxy_notice
from agent.host.doctor.tools import ask_threeproxy, find_threeproxy

_Identity = tuple[str | None, str | None, int, int]


class ProxyProgram:
    """3proxy as the proxies would be started with it. It is asked for its version only when its file is another."""

    def __init__(self, proxy: ProxySettings) -> None:
        self._proxy = proxy
        self._asked: tuple[_Identity, str | None] | None = None

    def notice(self) -> str | None:
        """Why no proxy can start, for people; None when nothing is known against it. May take a second."""
        program = find_threeproxy(self._proxy)
        identity = _identity(program)
        if self._asked is None or self._asked[0] != identity:
            self._asked = (identity, proxy_notice(ask_threeproxy(program)))
        return self._asked[1]


def _identity(program: Program) -> _Identity:
    try:
        status = Path(program.path).stat() if program.path is not None else None
    except OSError:
        status = None
    inode, changed_ns = (status.st_ino, status.st_mtime_ns) if status is not None else (0, 0)
    return program.path, program.elsewhere, inode, changed_ns
