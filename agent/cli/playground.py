"""All of lastmile on emulated modems: the farm, PostgreSQL, agent and web; for the demo and the tests."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agent.core.clock import Deadline
from agent.core.errors import ConfigError, DeadlineExceeded
from agent.sim.farm import Farm
from agent.sim.postgres import EmbeddedPostgres
from agent.sim.threeproxy import standin_command

DATABASE = "lastmile"
STOP_SECONDS = 20.0
PROBE_TARGET = "198.51.100.1:443"
PROBE_NAME = "whoami.test"
PROGRAMS = ("ip", "nsenter", "qmicli", "setpriv")

Overrides = dict[str, dict[str, Any]]
"""{section: {key: value}} of the settings file."""


@dataclass(slots=True)
class Playground:
    """Owns a farm, a database and the processes of lastmile; `close` leaves nothing of them but the files."""

    directory: Path
    farm: Farm
    postgres: EmbeddedPostgres
    url: str
    overrides: Overrides = field(default_factory=dict)
    agent: subprocess.Popen[bytes] | None = None
    web: subprocess.Popen[bytes] | None = None
    acs: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    cpes: subprocess.Popen[bytes] | None = None
    web_tcp_port: int = 0
    setup_link: str = ""
    """Makes the first admin; empty until `make_setup_link`."""
    acs_tcp_port: int = 0
    owns_postgres: bool = True

    @classmethod
    def create(
        cls,
        name: str,
        directory: Path,
        *,
        modems: int,
        profile: str = "demo",
        overrides: Overrides | None = None,
        postgres: EmbeddedPostgres | None = None,
        url: str | None = None,
    ) -> Self:
        """Start the farm and the database (unless a running one is given) and write the settings.

        Raises ConfigError when the machine lacks something, saying what."""
        check_machine()
        cls.purge(name, directory)
        server = postgres if postgres is not None else EmbeddedPostgres(directory / "postgres")
        with contextlib.ExitStack() as undo:
            if postgres is None:
                undo.callback(server.stop)
                server.start()
            farm = Farm.create(name, directory / "farm", modems=modems, profile=profile)
            undo.callback(farm.close)
            playground = cls(
                directory=directory,
                farm=farm,
                postgres=server,
                url=url if url is not None else fresh_database(server),
                overrides=overrides or {},
                web_tcp_port=free_tcp_port(8080),
                acs_tcp_port=free_tcp_port(7547),
                owns_postgres=postgres is None,
            )
            playground.write_settings()
            undo.pop_all()
        return playground

    @staticmethod
    def purge(name: str, directory: Path) -> None:
        """Remove what a killed playground left but its logs and its database, whose server may still run."""
        directory.mkdir(parents=True, exist_ok=True)
        Farm.purge(name, directory / "farm")
        for left in ("run", "state", "3proxy"):
            shutil.rmtree(directory / left, ignore_errors=True)

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.directory / "lastmile.toml"

    @property
    def proxy_config_dir(self) -> Path:
        """Where the proxies' configurations are, as the farm sees it: the real 3proxy reads its own under its modem's
        uid, so a folder that is closed to others (below /root) will not do; then it is the farm's own /run."""
        folders = (self.directory, *self.directory.parents)
        open_to_all = all(folder.stat().st_mode & stat.S_IXOTH for folder in folders if folder.exists())
        return self.directory / "3proxy" if open_to_all else Path("/run/lastmile/3proxy")

    def write_settings(self) -> None:
        """Write the settings file anew, with `overrides` on top of what the farm needs."""
        info = self.farm.info
        sections: Overrides = {
            "agent": {
                "host": self.farm.name,
                "state_dir": str(self.directory / "state"),
                "run_dir": str(self.directory / "run"),
            },
            "database": {"url": self.url},
            "modem": {"apn": "internet"},
            "proxy": {
                "listen": info.host_address,
                "allow": [f"{info.client_address}/32"],
                "runner": "process",
                "command": proxy_command(),
                "config_dir": str(self.proxy_config_dir),
            },
            "health": {"probe_target": PROBE_TARGET, "probe_name": PROBE_NAME, "interval_seconds": 10.0},
            "web": {"tcp_port": self.web_tcp_port, "state_dir": str(self.directory / "web")},
            "acs": {
                "listen": f"127.0.0.1:{self.acs_tcp_port}",
                "workers": 2,
                # Emulated CPEs on loopback: no need to say who they are, and connection requests go there.
                "authentication": ["none"],
                "new_devices_per_minute": 100_000,
                "connection_request_allow": ["127.0.0.0/8"],
                "file_dir": str(self.directory / "files"),
            },
        }
        for section, values in self.overrides.items():
            sections.setdefault(section, {}).update(values)
        self.config.write_text(render_toml(sections))
        self.config.chmod(0o600)

    # -- the processes -----------------------------------------------------------------------------------------------

    def run(
        self, *arguments: str, check: bool = True, timeout_seconds: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run the `lastmile` command as an operator would."""
        return subprocess.run(
            [*lastmile(self.config), *arguments], check=check, capture_output=True, text=True, timeout=timeout_seconds
        )

    def start_agent(
        self, *, environment: Mapping[str, str] | None = None, program: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        """Start the agent in the farm, with `environment` added to this process's; `program` stands for `lastmile`."""
        command = [*program, "--config", str(self.config)] if program else lastmile(self.config)
        self.agent = self._spawn("agent.log", self.farm.command([*command, "agent"]), environment)
        return self.agent

    def make_setup_link(self) -> None:
        """Make the link by which somebody can sign in; before `start_web`, which then makes none."""
        from agent.cli.access_store import access_services
        from agent.cli.setup_address import setup_address
        from agent.core.settings.schema import WebSettings
        from agent.store.database import Database

        settings = WebSettings(tcp_port=self.web_tcp_port)
        with Database(self.url, pool_size=1, name="lastmile demo") as database:
            access = access_services(database, settings)
            self.setup_link = setup_address(settings, access.links.create(None, "lastmile demo"))

    def start_web(self) -> subprocess.Popen[bytes]:
        """Start the web process on this host's loopback."""
        # It is in no namespace of the farm, which would end it when this process is killed: the kernel tells it.
        command = ["setpriv", "--pdeathsig", "TERM", "--", *lastmile(self.config), "web"]
        self.web = self._spawn("web.log", command)
        return self.web

    def start_acs(self, cpes: int) -> None:
        """Start the ACS, its worker, and so many emulated CPEs."""
        (self.directory / "files").mkdir(exist_ok=True)
        with_us = ["setpriv", "--pdeathsig", "TERM", "--"]
        self.acs = self._spawn("acs.log", [*with_us, *lastmile(self.config), "acs"])
        self.worker = self._spawn("worker.log", [*with_us, *lastmile(self.config), "worker"])
        options = ["--url", f"http://127.0.0.1:{self.acs_tcp_port}/", "--count", str(cpes), "--interval", "60"]
        command = [sys.executable, "-m", "agent.sim.cpe", *options, "--start-within", "5"]
        self.cpes = self._spawn("cpes.log", [*with_us, *command])

    def _spawn(
        self, log: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.directory / log).open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )

    def stop_agent(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop the agent and return its exit status; its proxies run on."""
        process, self.agent = self.agent, None
        return _stop(process, number)

    def stop_web(self) -> int:
        process, self.web = self.web, None
        return _stop(process, signal.SIGTERM)

    def stop_acs(self) -> None:
        """Stop the CPEs, the ACS and its worker."""
        for process in (self.cpes, self.acs, self.worker):
            _stop(process, signal.SIGTERM)
        self.cpes = self.acs = self.worker = None

    def close(self) -> None:
        """Stop everything, and remove the farm."""
        with contextlib.ExitStack() as stack:
            if self.owns_postgres:
                stack.callback(self.postgres.stop)
            stack.callback(self.farm.close)
            stack.callback(self.stop_agent)
            stack.callback(self.stop_web)
            stack.callback(self.stop_acs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lastmile(config: Path) -> list[str]:
    """The `lastmile` command of this very installation."""
    return [sys.executable, "-m", "agent.cli.main", "--config", str(config)]


def fresh_database(server: EmbeddedPostgres) -> str:
    """An empty database with today's schema, in place of an earlier one."""
    from agent.store.migrate import migrate

    server.drop_database(DATABASE)
    url = server.create_database(DATABASE)
    migrate(url)
    return url


def proxy_command() -> str:
    """The real 3proxy where there is one, else the stand-in."""
    real = shutil.which("3proxy")
    return real if real is not None else shlex.join(standin_command())


def check_machine() -> None:
    """Raise ConfigError with everything that is missing here."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    problems = [f"not installed: {', '.join(missing)} (make demo installs them when run as root)"] if missing else []
    if os.geteuid() != 0:
        problems.append(
            "it must run as root: it makes network and mount namespaces, gives each proxy a uid of its own,"
            " and sets rules and routes in them"
        )
    if problems:
        raise ConfigError("the emulated farm cannot run here: " + "; ".join(problems))


def free_tcp_port(first: int, count: int = 100) -> int:
    """The first free TCP port on loopback from `first` on."""
    for port in range(first, first + count):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ConfigError(f"no free TCP port from {first} to {first + count - 1}")


def render_toml(sections: Overrides) -> str:
    """A settings file; JSON's strings, numbers, booleans and arrays are TOML's too."""
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines.extend(f"{key} = {_toml_value(value)}" for key, value in values.items())
        lines.append("")
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml_value(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look again and again until `condition` holds; DeadlineExceeded when it does not in time."""
    import time

    deadline = Deadline.after(seconds)
    while not condition():
        if deadline.passed:
            raise DeadlineExceeded(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> int:
    if process is None:
        return 0
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(STOP_SECONDS)
