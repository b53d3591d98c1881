"""HTTP authentication, both sides: Basic (RFC 7617) and Digest with MD5 and SHA-256 (RFC 2617, 7616). Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

_PAIR = re.compile(r'([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')
_SCHEME = re.compile(r"(?:^|,)\s*(Basic|Digest)\s+", re.IGNORECASE)
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Auth(Enum):
    """How a CPE shows who it is to its ACS."""

    NONE = "none"
    BASIC = "basic"
    """When it is asked to."""
    BASIC_UNASKED = "basic-unasked"
    DIGEST = "digest"
    ANY = "any"
    """The first scheme that the server offers."""


_SCHEMES = {
    Auth.NONE: frozenset[str](),
    Auth.BASIC: frozenset({"basic"}),
    Auth.BASIC_UNASKED: frozenset({"basic"}),
    Auth.DIGEST: frozenset({"digest"}),
    Auth.ANY: frozenset({"basic", "digest"}),
}


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header; parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> list[Challenge]:
    """All Basic and Digest challenges, in order; others are passed over."""
    found = []
    for header in headers:
        starts = list(_SCHEME.finditer(header))
        for index, start in enumerate(starts):
            end = starts[index + 1].start() if index + 1 < len(starts) else len(header)
            found.append(Challenge(start[1].lower(), parse_parameters(header[start.end() : end])))
    return found


def parse_parameters(text: str) -> dict[str, str]:
    """`name="value", name=value` to a mapping; backslashes in quoted values are taken away."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else token
        for name, quoted, token in _PAIR.findall(text)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestInput:
    """All that goes into a digest response; `qop` empty: as in RFC 2069."""

    algorithm: str
    username: str
    password: str
    realm: str
    nonce: str
    method: str
    uri: str
    qop: str = ""
    nonce_count: str = ""
    client_nonce: str = ""


def digest_response(given: DigestInput) -> str:
    """The `response` parameter (RFC 7616 §3.4.1); ValueError for an unknown algorithm."""
    name, _, rest = given.algorithm.upper().partition("-SESS")
    if name not in _HASHES or rest:
        raise ValueError(f"no digest algorithm {given.algorithm}")

    def digest(text: str) -> str:
        return _HASHES[name](text.encode()).hexdigest()

    first = digest(f"{given.username}:{given.realm}:{given.password}")
    if given.algorithm.upper().endswith("-SESS"):
        first = digest(f"{first}:{given.nonce}:{given.client_nonce}")
    second = digest(f"{given.method}:{given.uri}")
    if not given.qop:
        return digest(f"{first}:{given.nonce}:{second}")
    return digest(f"{first}:{given.nonce}:{given.nonce_count}:{given.client_nonce}:{given.qop}:{second}")


def basic_header(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class Authenticator:
    """The CPE's side: remembers the challenge, and counts the uses of its nonce."""

    def __init__(self, auth: Auth, username: str, password: str) -> None:
        self._auth = auth
        self._username = username
        self._password = password
        self._challenge: Challenge | None = None
        self._count = 0

    def challenged(self, headers: Iterable[str]) -> bool:
        """Take up the first challenge that this CPE can answer; whether there is one."""
        wanted = _SCHEMES[self._auth]
        for each in parse_challenges(headers):
            if each.scheme in wanted and (each.scheme == "basic" or self._can_answer(each)):
                self._challenge, self._count = each, 0
                return True
        return False

    @staticmethod
    def _can_answer(challenge: Challenge) -> bool:
        told = challenge.parameters
        offered = {each.strip() for each in told.get("qop", "auth").split(",")}
        return told.get("algorithm", "MD5").upper() in _HASHES and "auth" in offered and "nonce" in told

    def header(self, method: str, uri: str) -> str | None:
        """The Authorization header of the next request; None when it goes without."""
        if self._auth is Auth.BASIC_UNASKED or (self._challenge is not None and self._challenge.scheme == "basic"):
            return basic_header(self._username, self._password)
        if self._challenge is None:
            return None
        self._count += 1
        return self._digest(self._challenge.parameters, method, uri)

    def _digest(self, told: Mapping[str, str], method: str, uri: str) -> str:
        given = DigestInput(
            algorithm=told.get("algorithm", "MD5"),
            username=self._username,
            password=self._password,
            realm=told.get("realm", ""),
            nonce=told["nonce"],
            method=method,
            uri=uri,
            qop="auth" if "qop" in told else "",
            nonce_count=f"{self._count:08x}",
            client_nonce=secrets.token_hex(8),
        )
        parts = [
            f'Digest username="{_quoted(self._username)}"',
            f'realm="{_quoted(given.realm)}"',
            f'nonce="{_quoted(given.nonce)}"',
            f'uri="{_quoted(uri)}"',
            f'response="{digest_response(given)}"',
        ]
        if "algorithm" in told:
            parts.append(f"algorithm={given.algorithm}")
        if given.qop:
            parts.append(f'qop={given.qop}, nc={given.nonce_count}, cnonce="{given.client_nonce}"')
        if "opaque" in told:
            parts.append(f'opaque="{_quoted(told["opaque"])}"')
        return ", ".join(parts)


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def is_authorized(header: str, username: str, password: str, *, method: str, nonces: Iterable[str]) -> bool:
    """The server's side: whether a Digest Authorization header proves the password for one of the nonces."""
    scheme, _, rest = header.partition(" ")
    told = parse_parameters(rest)
    if scheme.lower() != "digest" or told.get("username") != username or told.get("nonce", "") not in nonces:
        return False
    try:
        expected = digest_response(
            DigestInput(
                algorithm=told.get("algorithm", "MD5"),
                username=username,
                password=password,
                realm=told.get("realm", ""),
                nonce=told["nonce"],
                method=method,
                uri=told.get("uri", ""),
                qop=told.get("qop", ""),
                nonce_count=told.get("nc", ""),
                client_nonce=told.get("cnonce", ""),
            )
        )
    except ValueError:
        return False
    return hmac.compare_digest(expected, told.get("response", "").lower())
