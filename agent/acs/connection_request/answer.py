"""The answer to a CPE's challenge (RFC 7616 §3.4, RFC 2069). Pure."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
HEADER_MOST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What we tell a CPE that asks who we are."""

    username: str
    password: str


def answer_challenge(challenges: list[str], login: Login, *, method: str, uri: str, cnonce: str) -> str | None:
    """The Authorization header for the best of the challenges; None when none of them is Digest by MD5 or SHA-256.

    Basic is not answered: it would give our password to whoever asks for it."""
    offers = [fields for text in challenges if (fields := _parse(text)) is not None]
    for algorithm in ("SHA-256", "MD5", "MD5-SESS"):
        for fields in offers:
            if fields.get("algorithm", "MD5").upper() == algorithm:
                return _answer(fields, algorithm, login, method, uri, cnonce)
    return None


def _parse(text: str) -> dict[str, str] | None:
    scheme, _, rest = text[:HEADER_MOST].strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found = {
        name.lower(): token if not quoted else re.sub(r"\\(.)", r"\1", quoted)
        for name, quoted, token in _PARAMETER.findall(rest)
    }
    if "nonce" not in found:
        return None
    qops = [word.strip() for word in found.get("qop", "").split(",") if word.strip()]
    if qops and "auth" not in qops:
        return None
    found["qop"] = "auth" if qops else ""
    return found


def _answer(fields: dict[str, str], algorithm: str, login: Login, method: str, uri: str, cnonce: str) -> str:
    realm, nonce, qop = fields.get("realm", ""), fields["nonce"], fields["qop"]
    ha1 = _hash(f"{login.username}:{realm}:{login.password}", algorithm)
    if algorithm == "MD5-SESS":
        ha1 = _hash(f"{ha1}:{nonce}:{cnonce}", algorithm)
    ha2 = _hash(f"{method}:{uri}", algorithm)
    count = "00000001"
    middle = f"{nonce}:{count}:{cnonce}:{qop}" if qop else nonce
    parts = [
        f'username="{_quote(login.username)}"',
        f'realm="{_quote(realm)}"',
        f'nonce="{_quote(nonce)}"',
        f'uri="{_quote(uri)}"',
        f'response="{_hash(f"{ha1}:{middle}:{ha2}", algorithm)}"',
    ]
    if "algorithm" in fields:
        parts.append(f"algorithm={algorithm if algorithm != 'MD5-SESS' else 'MD5-sess'}")
    if "opaque" in fields:
        parts.append(f'opaque="{_quote(fields["opaque"])}"')
    if qop:
        parts += [f"qop={qop}", f"nc={count}", f'cnonce="{cnonce}"']
    elif algorithm == "MD5-SESS":
        parts.append(f'cnonce="{cnonce}"')
    return "Digest " + ", ".join(parts)


def _hash(text: str, algorithm: str) -> str:
    if algorithm == "SHA-256":
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
