"""PostgreSQL: within reach, with our schema, with connections left, and of one mind about the time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, failure, ok, unknown, warning

CLOCK_SECONDS = 2.0
CONNECTIONS_SPARE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a reached server said."""

    version: str
    standby: bool
    missing_migrations: tuple[str, ...]
    unknown_migrations: tuple[str, ...]
    connections_most: int
    """Those that ordinary roles may have."""
    connections_used: int
    clock_ahead_seconds: float
    """The server's clock less ours."""
    clock_doubt_seconds: float
    """How long asking took: the difference is not known better."""
    known_uids: frozenset[int]
    """uids and tables of this host's modems; empty when there are none, or the schema is not there."""
    known_tables: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """`server` None: it was not reached, and `error` says why."""

    server: ServerFacts | None
    error: str
    settings_usable: bool
    connections_needed: int
    """Of this host's agent and web process."""
    agent_runs: bool


def judge_database(facts: DatabaseFacts) -> Findings:
    """database.reach, database.schema, database.connections, database.clock"""
    if not facts.settings_usable:
        return (unknown("database.reach", "not asked, since the settings cannot be used", "lastmile config check"),)
    if facts.server is None:
        return (_unreached(facts.error),)
    server = facts.server
    reach = ok("database.reach", f"PostgreSQL {server.version} answers")
    return (reach, *_standby(server), _schema(server), _connections(facts, server), _clock(server))


def _unreached(error: str) -> Finding:
    mend = "systemctl status postgresql; lastmile config show --origin tells database.url and where it is set"
    lower = error.lower()
    if "password" in lower or "authentication failed" in lower:
        mend = (
            "correct user and password in database.url; over peer authentication run it as root: sudo lastmile doctor"
        )
    elif "does not exist" in lower:
        mend = 'dpkg-reconfigure lastmile makes role and database; by hand: docs/operations.md, "Installing"'
    elif "too many" in lower or "remaining connection slots" in lower:
        mend = "raise max_connections of PostgreSQL, or lower database.pool_size"
    return failure("database.reach", f"the database cannot be reached: {error}", mend)


def _standby(server: ServerFacts) -> Iterator[Finding]:
    if server.standby:
        yield failure(
            "database.standby",
            "this PostgreSQL is a standby: nothing can be written",
            "name the primary in database.url, or all of them with target_session_attrs=read-write",
        )


def _schema(server: ServerFacts) -> Finding:
    if server.unknown_migrations:
        return failure(
            "database.schema",
            f"the database's schema is newer than this program ({server.unknown_migrations[-1]})",
            "apt install lastmile (the version that the other hosts have)",
        )
    if server.missing_migrations:
        return failure(
            "database.schema",
            f"the database's schema is older than this program ({server.missing_migrations[0]} is missing)",
            "lastmile migrate",
        )
    return ok("database.schema", "the database's schema is this program's")


def _connections(facts: DatabaseFacts, server: ServerFacts) -> Finding:
    left = server.connections_most - server.connections_used
    # A running agent and web process have some of theirs already; which is of no matter for a spare.
    needed = CONNECTIONS_SPARE if facts.agent_runs else facts.connections_needed
    text = f"{left} of {server.connections_most} connections are left"
    if left < needed:
        return warning(
            "database.connections",
            f"{text}; {needed} should be",
            "raise max_connections of PostgreSQL (ALTER SYSTEM SET max_connections = 200; then restart it)",
        )
    return ok("database.connections", text)


def _clock(server: ServerFacts) -> Finding:
    off = abs(server.clock_ahead_seconds)
    if off - server.clock_doubt_seconds > CLOCK_SECONDS:
        direction = "ahead of" if server.clock_ahead_seconds > 0 else "behind"
        return warning(
            "database.clock",
            f"the database's clock is {off:.1f} s {direction} this host's: states and deadlines go wrong",
            "timedatectl set-ntp true, on both machines",
        )
    return ok("database.clock", "the database's clock agrees with this host's")
