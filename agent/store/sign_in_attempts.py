"""How often somebody has tried in vain to sign in: after a few times the door stays closed for a while, ever longer.

All processes that share a database count together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network

from psycopg.rows import scalar_row

from agent.store.database import Database
from agent.store.digests import digest
from agent.store.statements import statements

FREE_OF_ACCOUNT = 5
FREE_OF_ADDRESS = 20
FIRST_SECONDS = 15.0
MOST_SECONDS = 900.0
"""Short enough that an attacker can keep an operator out only while the attack goes on."""
MEMORY_SECONDS = 3600.0


class TooManyAttemptsError(Exception):
    """The door is closed for `seconds` more."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many failed attempts; try again in {seconds:.0f} s")
        self.seconds = seconds


class Attempt:
    """One try; it counts as failed unless it is said to have succeeded."""

    def __init__(self) -> None:
        self.succeeded = False
        self.void = False
        """Neither failed nor succeeded: the next step is asked for."""


class SignInAttempts:
    """The table `sign_in_attempts`. All methods raise TransientError when the database cannot be reached in time."""

    def __init__(self, database: Database, *, first_seconds: float = FIRST_SECONDS) -> None:
        self._database = database
        self._first_seconds = first_seconds
        self._sql = statements("sign_in")

    @contextmanager
    def attempt(self, account: str, address: str | None) -> Iterator[Attempt]:
        """Count a try for an account (which need not exist) from an address. Raises TooManyAttemptsError."""
        account_key = digest(f"account {account.lower()[:200]}")
        keys = {account_key: FREE_OF_ACCOUNT}
        if address is not None:
            keys[digest(f"address {_network_of(address)}")] = FREE_OF_ADDRESS
        self._count(keys)
        attempt = Attempt()
        yield attempt
        if attempt.succeeded:
            self._database.execute(self._sql["forget"], {"key": account_key})
        if attempt.succeeded or attempt.void:
            for key in keys:
                self._database.execute(self._sql["forgive"], {"key": key})

    def forget_old(self) -> int:
        """Delete what does not count any more."""
        return self._database.execute(self._sql["forget_old"], {"memory": MEMORY_SECONDS})

    def _count(self, keys: dict[bytes, int]) -> None:
        parameters = {
            "keys": list(keys),
            "free": list(keys.values()),
            "first": self._first_seconds,
            "most": MOST_SECONDS,
            "memory": MEMORY_SECONDS,
        }
        with self._database.transaction() as connection, connection.cursor(row_factory=scalar_row) as cursor:
            blocked = cursor.execute(self._sql["blocked_for"], parameters).fetchone()
            if blocked is not None:
                raise TooManyAttemptsError(max(1.0, blocked))
            counted = cursor.execute(self._sql["count_attempt"], parameters).fetchall()
            if len(counted) < len(keys):
                # Somebody else's try has closed the door meanwhile.
                raise TooManyAttemptsError(self._first_seconds)


def _network_of(address: str) -> str:
    """An IPv6 host has a whole /64 to come from."""
    parsed = ip_address(address)
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
