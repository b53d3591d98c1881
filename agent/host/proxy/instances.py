"""The modems' proxies: configuration on disk, the instance that runs it, and whether it listens."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.core.atomic import atomic_write, sync_directory
from agent.core.clock import Deadline
from agent.core.errors import ConfigError, ProtocolError, TransientError
from agent.core.identifiers import Serial
from agent.host.proxy.directives import Network, Service
from agent.host.proxy.hazards import refuse_hazards
from agent.host.proxy.listeners import Answer, Listener, find_listeners, knock
from agent.host.proxy.parser import parse
from agent.host.proxy.units import UnitRunner
from agent.modem.model import Address, ProxyState, UnitState
from agent.modem.proxying import configuration_digest

ANSWER_SECONDS = 3.0
SILENT_MOST = 2
"""Looks in a row without an answer after which an instance counts as hung: one may be due to a busy machine."""
LISTEN_SECONDS = 5.0
"""How long a start is waited for; 3proxy takes some 20 ms."""
START_SECONDS = 120.0
"""How long an instance may take to listen before that counts as a failure: a host that boots thirty at once after a
power cut is slow, and a restart of what is about to listen would only make it slower."""
UNIT_SECONDS = 25.0
_LOOK_SECONDS = 0.01
_MOST_LOOK_SECONDS = 0.1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Start:
    """An instance that was started and has not been seen to listen."""

    until: Deadline
    """So long that is to be expected."""
    text: str | None = None
    """What it reads, once it is certain that it is the new process and not the one before."""


class ProxyInstances:
    """`agent.modem.ports.ProxyHost` over a `UnitRunner`.

    `<config_dir>/<serial>.cfg` has the instance's uid as its group, which is how the uid is known afterwards.
    `<state_dir>/<serial>.loaded` names the text that the running instance has read: it goes before a new text is
    written, and comes back when the instance is known to have taken it, so it never promises too much.
    """

    def __init__(
        self,
        units: UnitRunner,
        *,
        config_dir: Path,
        state_dir: Path,
        must_deny: Callable[[], Iterable[Network]] = tuple,
    ) -> None:
        """`must_deny`: destinations that every configuration has to deny (this host's own addresses)."""
        self._units = units
        self._config_dir = config_dir
        self._state_dir = state_dir
        self._must_deny = must_deny
        self._closing = threading.Event()
        self._silent: dict[Serial, int] = {}
        self._starting: dict[Serial, _Start] = {}

    def observe(self, serial: Serial, listen: Address, tcp_port: int) -> ProxyState:
        """What is on disk, what was loaded, and whether the instance's own socket takes and serves a connection."""
        unit = self._units.state(serial)
        active = unit is UnitState.ACTIVE
        has_socket = active and bool(self._listeners(serial, listen, tcp_port))
        if has_socket:
            self._note_listening(serial)
        start = self._starting.get(serial)
        return ProxyState(
            configuration=_read(self._config(serial)),
            loaded=_read(self._loaded(serial)) if active else None,
            unit=unit,
            listening=has_socket and self._serves(serial, listen, tcp_port),
            starting=active and start is not None and not start.until.passed,
        )

    def write(self, serial: Serial, uid: int, text: str) -> None:
        """Refuse a text with hazards (ConfigError); else replace the instance's file by it."""
        refuse_hazards(text, self._must_deny())
        try:
            self._config_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._loaded(serial).unlink(missing_ok=True)
            atomic_write(self._config(serial), text, mode=0o640, gid=uid)
        except OSError as error:
            raise TransientError(f"configuration of proxy {serial}: {error}") from error

    def start(self, serial: Serial, uid: int) -> None:
        """Start the instance and wait until it listens. One that runs already is restarted: what it has read is not
        known."""
        if self._units.state(serial) is UnitState.ACTIVE:
            self.restart(serial, uid)
            return
        self._begin(self._units.start, serial, uid)

    def restart(self, serial: Serial, uid: int) -> None:
        """Stop the instance when it runs, start it, and wait until it listens."""
        self._begin(self._units.restart, serial, uid)

    def reload(self, serial: Serial) -> None:
        """Have the instance read its file again; one that does not listen anew within the time is restarted.

        3proxy opens its socket anew at every reload, so a socket that was not there before proves the reload.
        """
        text, service = self._written(serial)
        deadline = Deadline.after(UNIT_SECONDS)
        before = self._listeners(serial, *service)
        self._units.reload(serial, deadline)
        try:
            self._await_listener(serial, service, before, deadline)
        except TransientError:
            logger.warning("proxy did not take its new configuration, restarting it", extra={"MODEM": serial})
            self.restart(serial, self._uid(serial))
            return
        self._mark_loaded(serial, text)

    def stop(self, serial: Serial) -> None:
        """Stop the instance; its configuration stays."""
        self._units.stop(serial, Deadline.after(UNIT_SECONDS))
        self._starting.pop(serial, None)
        self._unlink(self._loaded(serial))

    def known(self) -> Sequence[Serial]:
        """Every instance that has a configuration file or runs, sorted."""
        found = set(self._units.known())
        for path in self._config_dir.glob("*.cfg"):
            with contextlib.suppress(ProtocolError):  # a file that is not ours
                found.add(Serial.parse(path.stem))
        return sorted(found)

    def forget(self, serial: Serial) -> None:
        """Stop the instance and remove its files."""
        self._units.forget(serial, Deadline.after(UNIT_SECONDS))
        self._starting.pop(serial, None)
        self._unlink(self._loaded(serial))
        self._unlink(self._config(serial))

    def close(self) -> None:
        """End every wait; the instances run on."""
        self._closing.set()

    def _begin(self, run: Callable[[Serial, int, Deadline], None], serial: Serial, uid: int) -> None:
        text, service = self._written(serial)
        deadline, until = Deadline.after(UNIT_SECONDS), Deadline.after(START_SECONDS)
        self._starting[serial] = _Start(until)
        run(serial, uid, deadline)
        self._starting[serial] = _Start(until, text)
        self._await_listener(serial, service, frozenset(), deadline)
        self._note_listening(serial)

    def _note_listening(self, serial: Serial) -> None:
        """The instance listens: it has read its file, also when that took longer than its start was waited for."""
        start = self._starting.pop(serial, None)
        if start is not None and start.text is not None and start.text == _read(self._config(serial)):
            self._mark_loaded(serial, start.text)

    def _serves(self, serial: Serial, listen: Address, tcp_port: int) -> bool:
        """Whether clients are taken; an instance that was silent in several looks in a row hangs."""
        answer = knock(listen, tcp_port, ANSWER_SECONDS)
        if answer is not Answer.SILENT:
            self._silent.pop(serial, None)
            return answer is Answer.SERVED
        looks = self._silent.get(serial, 0) + 1
        logger.warning("proxy does not answer", extra={"MODEM": serial, "LOOKS": looks})
        if looks < SILENT_MOST:
            self._silent[serial] = looks
            return True
        # Whatever runs after the restart starts with a clean slate.
        self._silent.pop(serial, None)
        return False

    def _written(self, serial: Serial) -> tuple[str, tuple[Address, int]]:
        """The text on disk and where it makes the instance listen."""
        text = _read(self._config(serial))
        if text is None:
            raise TransientError(f"proxy {serial} has no configuration yet")
        for directive in parse(text):
            if isinstance(directive, Service) and directive.listen is not None and directive.tcp_port is not None:
                return text, (directive.listen, directive.tcp_port)
        raise ConfigError(f"{self._config(serial)} names no service")

    def _listeners(self, serial: Serial, listen: Address, tcp_port: int) -> frozenset[Listener]:
        """The instance's own sockets: those of its uid."""
        try:
            uid = self._uid(serial)
        except TransientError:
            return frozenset()
        return frozenset(each for each in find_listeners(listen, tcp_port) if each.uid == uid)

    def _uid(self, serial: Serial) -> int:
        try:
            return self._config(serial).stat().st_gid
        except OSError as error:
            raise TransientError(f"configuration of proxy {serial}: {error}") from error

    def _await_listener(
        self, serial: Serial, service: tuple[Address, int], before: frozenset[Listener], deadline: Deadline
    ) -> None:
        """Wait for a socket of the instance that is not among `before`."""
        until = deadline.earlier(LISTEN_SECONDS)
        wait_seconds = _LOOK_SECONDS
        while not self._listeners(serial, *service) - before:
            if until.passed or self._closing.wait(min(wait_seconds, until.remaining_seconds)):
                raise TransientError(f"proxy {serial} does not listen on {service[0]} TCP port {service[1]}")
            wait_seconds = min(_MOST_LOOK_SECONDS, wait_seconds * 1.5)

    def _mark_loaded(self, serial: Serial, text: str) -> None:
        try:
            self._state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            atomic_write(self._loaded(serial), configuration_digest(text), mode=0o644)
        except OSError as error:
            raise TransientError(f"state of proxy {serial}: {error}") from error

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_directory(path.parent)
        except OSError as error:
            raise TransientError(f"{path}: {error}") from error

    def _config(self, serial: Serial) -> Path:
        return self._config_dir / f"{serial}.cfg"

    def _loaded(self, serial: Serial) -> Path:
        return self._state_dir / f"{serial}.loaded"


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TransientError(f"{path}: {error}") from error
