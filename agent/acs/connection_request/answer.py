"""The answer to a CPE's challenge (RFC 7616 §3.4, RFC 2069). Pure.

Headers have a byte of the wire in each character, as http.client gives and takes them (Latin-1): a realm comes back as
it was, in whatever encoding. User name and password become UTF-8.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_SEPARATORS = re.compile(r"[\s,]*")
_SCHEME = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?=[\s,]|$)(?!\s*=)")
_PARAMETER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))')
_UNSENDABLE = re.compile(r"[^\x20-\x7e\x80-\xff]")
HEADER_MOST = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What we tell a CPE that asks who we are."""

    username: str
    password: str = field(repr=False)


def answer_challenge(
    headers: Iterable[str], login: Login, *, method: str, uri: str, cnonce: str, basic_allowed: bool = False
) -> str | None:
    """The Authorization header for the best challenge of all WWW-Authenticate headers; None when none of them is Digest
    by MD5 or SHA-256, or the user name is none that can be sent.

    Basic is answered only when that is allowed: it gives our password to whoever asks for it."""
    if _UNSENDABLE.search(_carried(login.username)):
        return None
    challenges = [challenge for header in headers for challenge in _challenges(header[:HEADER_MOST])]
    offers = [fields for scheme, given in challenges if scheme == "digest" and (fields := _offer(given)) is not None]
    for algorithm in ("SHA-256", "MD5", "MD5-SESS"):
        for fields in offers:
            if fields.get("algorithm", "MD5").upper() == algorithm:
                return _answer(fields, algorithm, login, method, uri, cnonce)
    if basic_allowed and any(scheme == "basic" for scheme, _ in challenges):
        return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    return None


def _challenges(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Scheme and parameters of each challenge of a header (RFC 9110 §11.6.1); what cannot be read is passed over."""
    text = re.sub(r"\r?\n[ \t]+", " ", header)
    scheme, fields = "", dict[str, str]()
    position = 0
    while position < len(text):
        # Passed over once: tried again at each of thousands of commas they would take seconds.
        if (found := _SEPARATORS.match(text, position)) is not None and found.end() > position:
            position = found.end()
            continue
        if (found := _PARAMETER.match(text, position)) is not None:
            name, quoted, token = found.groups()
            fields[name.lower()] = token if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        elif (found := _SCHEME.match(text, position)) is not None:
            yield scheme, fields
            scheme, fields = found[1].lower(), {}
        position = found.end() if found is not None else (text.find(",", position + 1) + 1 or len(text))
    yield scheme, fields


def _offer(given: dict[str, str]) -> dict[str, str] | None:
    """The parameters with qop as we take it, auth or empty; None when the challenge cannot be answered."""
    if "nonce" not in given or any(_UNSENDABLE.search(value) for value in given.values()):
        return None
    qops = [word.strip().lower() for word in given.get("qop", "").split(",") if word.strip()]
    if qops and "auth" not in qops:
        return None
    return {**given, "qop": "auth" if qops else ""}


def _answer(fields: dict[str, str], algorithm: str, login: Login, method: str, uri: str, cnonce: str) -> str:
    realm, nonce, qop = fields.get("realm", ""), fields["nonce"], fields["qop"]
    username, password = _carried(login.username), _carried(login.password)
    ha1 = _hash(f"{username}:{realm}:{password}", algorithm)
    if algorithm == "MD5-SESS":
        ha1 = _hash(f"{ha1}:{nonce}:{cnonce}", algorithm)
    ha2 = _hash(f"{method}:{uri}", algorithm)
    count = "00000001"
    middle = f"{nonce}:{count}:{cnonce}:{qop}" if qop else nonce
    parts = [
        f'username="{_quote(username)}"',
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


def _carried(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("latin-1")


def _hash(text: str, algorithm: str) -> str:
    data = text.encode("latin-1")
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
