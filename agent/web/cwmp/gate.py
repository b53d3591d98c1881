"""Lets CPEs in: who sends a request, and may it be the device that it says it is."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from threading import Lock
from typing import Any

from agent.acs.access.binding import certificate_covers, credential_covers
from agent.acs.access.credentials import Credential, proves
from agent.acs.access.forwarded import Network, parse_address, peer_of
from agent.acs.access.headers import (
    Basic,
    Digest,
    parse_authorization,
    render_basic_challenge,
    render_digest_challenge,
)
from agent.acs.access.nonces import RANDOM_BYTES, age_of, make_nonce
from agent.acs.soap.messages import Inform
from agent.core.clock import Deadline
from agent.core.errors import ProtocolError
from agent.core.settings.schema import AcsSettings
from agent.store.cwmp import CwmpStore
from agent.store.cwmp_rows import CredentialRow
from agent.web.cwmp.answers import Answer, refuse
from agent.web.cwmp.exchange import Passed

logger = logging.getLogger(__name__)

CREDENTIALS_MOST = 20_000
UNKNOWN_SECONDS = 30.0
"""How long a user name that does not exist is remembered not to: guessing must not ask the database each time."""
KEY_SECONDS = 60.0
"""How often the key of the nonces is looked at again; PostgreSQL makes another one when it had to recover."""
_FUTURE_SECONDS = 5.0
"""How far another worker's clock may be ahead."""


class CredentialMemory:
    """The credentials that this worker has met; emptied whenever one of them changes."""

    def __init__(self, fetch: Callable[[str], CredentialRow | None]) -> None:
        self._fetch = fetch
        self._known: OrderedDict[str, tuple[Credential | None, Deadline]] = OrderedDict()
        self._lock = Lock()
        self._generation = 0

    def find(self, username: str) -> Credential | None:
        """What is kept of that user's password; None when there is no such user."""
        with self._lock:
            known = self._known.get(username)
            generation = self._generation
        if known is not None and (known[0] is not None or not known[1].passed):
            return known[0]
        row = self._fetch(username)
        found = (
            None
            if row is None
            else Credential(
                username=row.username,
                realm=row.realm,
                ha1_md5=row.ha1_md5,
                ha1_sha256=row.ha1_sha256,
                device_id=row.device_id,
            )
        )
        with self._lock:
            if generation == self._generation:
                self._known[username] = (found, Deadline.after(UNKNOWN_SECONDS))
                while len(self._known) > CREDENTIALS_MOST:
                    self._known.popitem(last=False)
        return found

    def forget(self) -> None:
        """One of them has changed, or may have while nobody listened."""
        with self._lock:
            self._known.clear()
            self._generation += 1


class NonceMaker:
    """Nonces by the key that all workers share."""

    def __init__(self, store: CwmpStore, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._key = b""
        self._look_again = Deadline.after(0)
        self._lock = Lock()

    def make(self) -> str:
        return make_nonce(self._current_key(), time.time(), secrets.token_bytes(RANDOM_BYTES))

    def is_good(self, nonce: str) -> bool:
        """Whether it is ours and not too old."""
        age = age_of(self._current_key(), nonce, time.time())
        return age is not None and -_FUTURE_SECONDS <= age.seconds <= self._seconds

    def _current_key(self) -> bytes:
        with self._lock:
            if self._look_again.passed:
                self._key = self._store.nonce_key()
                self._look_again = Deadline.after(KEY_SECONDS)
            return self._key


class CwmpGate:
    """`exchange.Gate` by the settings."""

    def __init__(self, settings: AcsSettings, store: CwmpStore, credentials: CredentialMemory) -> None:
        self._settings = settings
        self._credentials = credentials
        self.nonces = NonceMaker(store, settings.nonce_seconds)
        self._open = settings.authentication == ("none",)
        self._peers = PeerResolver(settings.trusted_proxies)

    def check(self, environ: Mapping[str, Any], *, in_session: bool) -> Passed | Answer:
        subject = self._certificate(environ)
        if subject is not None:
            return Passed(principal=f"certificate {subject}", nonce=None, shown=True)
        header = environ.get("HTTP_AUTHORIZATION")
        if self._open:
            return Passed(principal=None, nonce=None, shown=False)
        if header is None:
            return Passed(principal=None, nonce=None, shown=False) if in_session else self.challenge(stale=False)
        try:
            shown = parse_authorization(_text(header))
        except ProtocolError as exc:
            extra = {"REASON": str(exc), "PEER": self._peers.peer_of(environ)}
            logger.info("a CPE's credentials are refused", extra=extra)
            return self.challenge(stale=False)
        return self._judge(shown, environ)

    def _judge(self, shown: Basic | Digest, environ: Mapping[str, Any]) -> Passed | Answer:
        allowed = "basic" if isinstance(shown, Basic) else "digest"
        if allowed not in self._settings.authentication:
            return self.challenge(stale=False)
        if isinstance(shown, Digest) and not self.nonces.is_good(shown.nonce):
            return self.challenge(stale=True)
        credential = self._credentials.find(shown.username)
        if credential is None or not proves(shown, credential, environ["REQUEST_METHOD"]):
            extra = {"USERNAME": shown.username[:64], "PEER": self._peers.peer_of(environ)}
            logger.warning("a CPE's credentials are wrong", extra=extra)
            return self.challenge(stale=False)
        nonce = (shown.nonce, shown.count) if isinstance(shown, Digest) else None
        return Passed(principal=f"user {credential.username}", nonce=nonce, shown=True)

    def may_speak_for(self, principal: str | None, inform: Inform) -> bool:
        if principal is None:
            return self._open
        kind, _, name = principal.partition(" ")
        if kind == "certificate":
            return certificate_covers(name, inform.identity)
        credential = self._credentials.find(name)
        return credential is not None and credential_covers(credential, inform.identity)

    def challenge(self, *, stale: bool) -> Answer:
        realm, ways = self._settings.realm, self._settings.authentication
        headers = []
        if "digest" in ways:
            # MD5 first: many CPEs look at the first challenge only, and know no other algorithm.
            nonce = self.nonces.make()
            headers += [
                ("WWW-Authenticate", render_digest_challenge(realm, nonce, algorithm=algorithm, stale=stale))
                for algorithm in ("MD5", "SHA-256")
            ]
        if "basic" in ways:
            headers.append(("WWW-Authenticate", render_basic_challenge(realm)))
        return refuse(HTTPStatus.UNAUTHORIZED, "say who you are", *headers)

    def _certificate(self, environ: Mapping[str, Any]) -> str | None:
        """The subject of the CPE's certificate, as a trusted proxy tells it."""
        name = self._settings.client_certificate_header
        if not name:
            return None
        subject = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        remote = parse_address(environ.get("REMOTE_ADDR", ""))
        if not subject or remote is None:
            return None
        trusted = any(
            remote in network for network in self._settings.trusted_proxies if network.version == remote.version
        )
        return str(subject)[:1024] if trusted else None


class PeerResolver:
    """The address of a CPE, behind trusted proxies too."""

    def __init__(self, trusted: tuple[Network, ...]) -> None:
        self._trusted = trusted

    def peer_of(self, environ: Mapping[str, Any]) -> str | None:
        remote = environ.get("REMOTE_ADDR", "")
        if not self._trusted:
            address = parse_address(remote)
            return None if address is None else str(address)
        return peer_of(
            remote, environ.get("HTTP_FORWARDED", ""), environ.get("HTTP_X_FORWARDED_FOR", ""), self._trusted
        )


def _text(header: str) -> str:
    """A header as its sender meant it: WSGI gives bytes as Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header
