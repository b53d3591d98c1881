"""User names and passwords of CPEs; only what checks a password is kept (RFC 7616 §3.4.2)."""

from __future__ import annotations

import hashlib
import re

import psycopg
from psycopg.rows import class_row

from agent.acs.identity import parts_of
from agent.core.errors import ProtocolError
from agent.store.database import Database, first_line
from agent.store.device_errors import CredentialTakenError, RefusedError
from agent.store.device_rows import CpeCredential
from agent.store.documents import clean_text
from agent.store.statements import statements

TEXT_MOST = 256
"""Characters of a user name or password (TR-069 has 256 for ManagementServer.Username and .Password)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Credentials:
    """The table `cpe_credentials`. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database, realm: str) -> None:
        self._database = database
        self._realm = realm
        self._sql = statements("credentials")

    def list(self) -> tuple[CpeCredential, ...]:
        """Every credential, by user name."""
        return tuple(self._database.fetch(self._sql["fetch_credentials"], {}, class_row(CpeCredential)))

    def fetch(self, username: str) -> CpeCredential | None:
        """One credential; None when there is none of that user name."""
        parameters = {"username": clean_text(username)}
        return self._database.fetch_one(self._sql["fetch_credential"], parameters, class_row(CpeCredential))

    def add(self, username: str, password: str, device_id: str | None = None) -> CpeCredential:
        """Let a CPE in by this user name and password: any, or only the device of that id, which need not exist yet.

        Raises CredentialTakenError, and RefusedError for what cannot be a user name, a password or a device id."""
        check(username, password, device_id)
        secret = f"{username}:{self._realm}:{password}".encode()
        parameters = {
            "username": username,
            "realm": self._realm,
            # Digest authentication knows no other; a plain hash is what the standard compares with.
            "ha1_md5": hashlib.md5(secret, usedforsecurity=False).hexdigest(),
            "ha1_sha256": hashlib.sha256(secret).hexdigest(),
            "device_id": device_id,
        }
        try:
            self._database.execute(self._sql["add_credential"], parameters)
        except psycopg.errors.UniqueViolation as exc:
            raise CredentialTakenError(f"there is a credential {username!r} already") from exc
        except (psycopg.DataError, psycopg.IntegrityError) as exc:
            raise RefusedError(f"the credential is refused: {first_line(exc)}") from exc
        row = self.fetch(username)
        if row is None:
            raise RefusedError(f"the credential {username!r} has been removed again")
        return row

    def remove(self, username: str) -> bool:
        """Let nobody in by this user name any more; False when there is none of that name."""
        return self._database.execute(self._sql["remove_credential"], {"username": clean_text(username)}) > 0


def check(username: str, password: str, device_id: str | None) -> None:
    """Raises RefusedError, which never has the password, for what CPEs could not use."""
    for what, text in (("user name", username), ("password", password)):
        if not 1 <= len(text) <= TEXT_MOST or _CONTROL.search(text) or clean_text(text) != text:
            raise RefusedError(f"a {what} has 1 to {TEXT_MOST} characters, and no control characters")
    if ":" in username:
        raise RefusedError("a user name cannot have a colon (RFC 7617 §2)")
    if device_id is not None:
        try:
            parts = parts_of(device_id)
        except ProtocolError as exc:
            raise RefusedError(str(exc)) from exc
        if not (parts[0] and parts[2]) or clean_text(device_id) != device_id or len(device_id) > 1000:
            raise RefusedError("not a device id (OUI-ProductClass-SerialNumber)")
