"""`Authorization` taken apart, and `WWW-Authenticate` made (RFC 9110 §11, RFC 7616 §3.3, §3.4, RFC 7617 §2)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from agent.core.errors import ProtocolError

HEADER_MOST = 4096
# Empty elements of a list are passed over (RFC 9110 §5.6.1.2).
_PARAMETER = re.compile(r'[\s,]*([A-Za-z0-9_-]{1,32})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]*))\s*(?:,[\s,]*|$)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """A name and a password, as they are."""

    username: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A proof that a password is known (RFC 7616 §3.4)."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    """MD5 or SHA-256."""
    qop: str
    """auth, or empty: the way of RFC 2069."""
    cnonce: str
    count: int
    """nc; 0 without qop."""
    count_text: str


def parse_authorization(header: str) -> Basic | Digest:
    """What a CPE shows. Raises ProtocolError for what is neither Basic nor Digest, whole and of a sane size."""
    if len(header) > HEADER_MOST:
        raise ProtocolError("the Authorization header is too long")
    scheme, _, rest = header.strip().partition(" ")
    match scheme.lower():
        case "basic":
            return _parse_basic(rest.strip())
        case "digest":
            return _parse_digest(rest)
    raise ProtocolError("the Authorization header is neither Basic nor Digest", scheme)


def render_digest_challenge(realm: str, nonce: str, *, algorithm: str, stale: bool) -> str:
    """A request for Digest."""
    text = f'Digest realm="{_quote(realm)}", qop="auth", nonce="{nonce}", algorithm={algorithm}'
    return f"{text}, stale=true" if stale else text


def render_basic_challenge(realm: str) -> str:
    """A request for Basic."""
    return f'Basic realm="{_quote(realm)}"'


def _parse_basic(text: str) -> Basic:
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ProtocolError("the Basic credentials are not base64") from exc
    try:
        given = decoded.decode()
    except UnicodeDecodeError:
        given = decoded.decode("latin-1")
    username, separator, password = given.partition(":")
    if not separator:
        raise ProtocolError("the Basic credentials have no password")
    return Basic(username=username, password=password)


def _parse_digest(text: str) -> Digest:
    fields: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            raise ProtocolError("the Digest credentials cannot be read")
        name, quoted, token = found.groups()
        if name.lower() in fields:
            raise ProtocolError("the Digest credentials say something twice")
        fields[name.lower()] = token if quoted is None else _unquote(quoted)
        position = found.end()
    missing = [name for name in ("username", "realm", "nonce", "uri", "response") if name not in fields]
    if missing:
        raise ProtocolError(f"the Digest credentials have no {missing[0]}")
    return _digest(fields)


def _digest(fields: dict[str, str]) -> Digest:
    algorithm = fields.get("algorithm", "MD5").upper()
    if algorithm not in ("MD5", "SHA-256"):
        raise ProtocolError("Digest by an algorithm that was not offered", algorithm)
    qop, count = fields.get("qop", "").lower(), fields.get("nc", "")
    if qop not in ("", "auth"):
        raise ProtocolError("Digest with a qop that was not offered", qop)
    if qop and not re.fullmatch(r"[0-9A-Fa-f]{1,8}", count):
        raise ProtocolError("Digest without a nonce count")
    return Digest(
        username=fields["username"],
        realm=fields["realm"],
        nonce=fields["nonce"],
        uri=fields["uri"],
        response=fields["response"].lower(),
        algorithm=algorithm,
        qop=qop,
        cnonce=fields.get("cnonce", ""),
        count=int(count, 16) if qop else 0,
        count_text=count,
    )


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
