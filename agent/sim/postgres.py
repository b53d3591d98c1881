"""An embedded PostgreSQL from Debian's binaries: for the demo and the tests, reachable by a Unix socket only."""

from __future__ import annotations

import hashlib
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from agent.core.errors import ConfigError, TransientError

BINARIES = Path("/usr/lib/postgresql")
PACKAGE = "postgresql"
USER = "postgres"
OWNER = "lastmile"
TCP_PORT = 5432
"""Only the socket's name has it: nothing listens on TCP."""
SOCKET_PATH_LIMIT = 107
"""Most bytes of a Unix socket's path (unix(7), `sun_path`)."""


class EmbeddedPostgres:
    """A PostgreSQL server whose files are under `directory`; outlives this process until `stop`.

    As root it runs as the system user `postgres`, which PostgreSQL demands, else as oneself. `durable=False` gives
    up safety against power loss for speed: for tests only. All methods raise ConfigError when something must be
    installed or made accessible, and TransientError when a deadline passes.
    """

    def __init__(self, directory: Path, *, durable: bool = True, timeout_seconds: float = 60.0) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "log" / "postgres.log"
        self._durable = durable
        self._timeout_seconds = timeout_seconds
        self.socket_directory = _socket_directory(self.directory)

    def start(self) -> None:
        """Make the cluster when there is none, and run it; does nothing when it runs already."""
        self._prepare_directories()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if self.running:
            return
        options = ["-c", "listen_addresses=", "-c", f"port={TCP_PORT}", "-k", str(self.socket_directory)]
        for name in () if self._durable else ("fsync", "synchronous_commit", "full_page_writes"):
            options += ["-c", f"{name}=off"]
        self._control("start", "-w", "-l", str(self.log), "-o", shlex.join(options))

    def stop(self) -> None:
        """Stop the server, also one that an earlier, killed run has left; does nothing when there is none."""
        if (self.data / "PG_VERSION").exists() and self.running:
            self._control("stop", "-w", "-m", "fast")
        if self.socket_directory.parent != self.directory:
            shutil.rmtree(self.socket_directory, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether a server runs on these files."""
        return self._run("pg_ctl", "status", "-D", str(self.data)).returncode == 0

    def url(self, database: str) -> str:
        """libpq connection URI of `database`, as the cluster's owner."""
        directory = quote(str(self.socket_directory), safe="")
        return f"postgresql://{OWNER}@/{quote(database, safe='')}?host={directory}&port={TCP_PORT}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make an empty database, or a copy of `template`, and return its `url`; keeps one that is there."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
                connection.execute(statement)
        except psycopg.errors.DuplicateDatabase:
            return self.url(name)
        except psycopg.Error as exc:
            raise TransientError(f"database {name} could not be made: {exc}") from exc
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and end the sessions that use it; one that is not there is no error."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        try:
            with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=10) as connection:
                connection.execute(statement)
        except psycopg.Error as exc:
            raise TransientError(f"database {name} could not be dropped: {exc}") from exc

    def _prepare_directories(self) -> None:
        account = _account()
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in (self.data, self.log.parent, self.socket_directory):
            path.mkdir(mode=0o700, exist_ok=True)
            if path.is_symlink() or path.stat().st_uid not in (os.geteuid(), account.pw_uid):
                raise ConfigError(f"{path} belongs to someone else; remove it")
            os.chown(path, account.pw_uid, account.pw_gid)
            path.chmod(0o700)

    def _initialise(self) -> None:
        # `trust` is safe here: the socket lies in a folder that only its owner (and root) can enter.
        arguments = ("-D", str(self.data), "-U", OWNER, "--auth=trust", "--no-locale", "--encoding=UTF8")
        done = self._run("initdb", *arguments, *(() if self._durable else ("--no-sync",)))
        if done.returncode != 0:
            raise ConfigError(f"initdb failed in {self.data}: {done.stderr.strip() or done.stdout.strip()}")

    def _control(self, action: str, *arguments: str) -> None:
        seconds = str(int(self._timeout_seconds))
        done = self._run("pg_ctl", action, "-D", str(self.data), "-t", seconds, *arguments)
        if done.returncode != 0:
            detail = done.stderr.strip() or done.stdout.strip()
            raise TransientError(f"PostgreSQL did not {action}: {detail}; its log is {self.log}")

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*_as_server_user(), str(newest_binaries() / program), *arguments]
        # Output goes to a file, not to a pipe: the server inherits it and would keep the pipe open for ever.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            try:
                done = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=self._timeout_seconds + 10,
                    check=False,
                    cwd="/",
                    # Ctrl-C is for whoever waits here: it must not leave half a cluster, or a server unknown to us.
                    start_new_session=True,
                )
            except subprocess.TimeoutExpired as exc:
                raise TransientError(f"{program} took longer than {self._timeout_seconds:.0f} s") from exc
            output.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, output.read(), "")


def newest_binaries() -> Path:
    """The folder of the newest installed server's programs; ConfigError names the package when there is none."""
    found = [path.parent for path in BINARIES.glob("*/bin/initdb") if path.parent.parent.name.isdigit()]
    if not found:
        raise ConfigError(f"PostgreSQL's server is not installed; install it with: apt install {PACKAGE}")
    return max(found, key=lambda path: int(path.parent.name))


def _account() -> pwd.struct_passwd:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(USER)
    except KeyError as exc:
        raise ConfigError(f"there is no user {USER}; install it with: apt install {PACKAGE}") from exc


def _as_server_user() -> list[str]:
    if os.geteuid() != 0:
        return []
    account = _account()
    drop = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups"]
    # The folder may lie below one that is closed to others, such as /root: being allowed to pass through is enough.
    return [*drop, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"]


def _socket_directory(directory: Path) -> Path:
    """A folder for the socket: below `directory` when the path is short enough, else one that a later run finds too."""
    path = directory / "socket"
    if len(os.fsencode(path / f".s.PGSQL.{TCP_PORT}")) <= SOCKET_PATH_LIMIT:
        return path
    digest = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lastmile-postgres-{digest}"
