"""What is kept of a password: enough for Digest, and no more (RFC 7616 §5.13)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from agent.acs.access.headers import Basic, Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """H(A1) by both algorithms; whoever has it can pass for its user in this realm, and nowhere else."""

    username: str
    realm: str
    ha1_md5: str
    ha1_sha256: str
    device_id: str | None = None
    """The only device that it may speak for; None: any."""


def make_credential(username: str, realm: str, password: str, device_id: str | None = None) -> Credential:
    """What is kept of a user's password."""
    secret = f"{username}:{realm}:{password}".encode()
    return Credential(
        username=username,
        realm=realm,
        ha1_md5=hashlib.md5(secret, usedforsecurity=False).hexdigest(),
        ha1_sha256=hashlib.sha256(secret).hexdigest(),
        device_id=device_id,
    )


def proves(shown: Basic | Digest, credential: Credential, method: str) -> bool:
    """Whether what was shown proves knowledge of the password; in a time that tells nothing of it."""
    match shown:
        case Basic(username=username, password=password):
            given = hashlib.sha256(f"{username}:{credential.realm}:{password}".encode()).hexdigest()
            return hmac.compare_digest(given, credential.ha1_sha256)
        case Digest():
            expected = _response(shown, credential, method)
            return shown.realm == credential.realm and hmac.compare_digest(
                expected.encode(), shown.response.encode("utf-8", "replace")
            )


def _response(shown: Digest, credential: Credential, method: str) -> str:
    """What the answer to the challenge must be (RFC 7616 §3.4.1; RFC 2069 §2.1.2 without qop)."""
    sha = shown.algorithm == "SHA-256"
    ha1 = credential.ha1_sha256 if sha else credential.ha1_md5
    ha2 = _hash(f"{method}:{shown.uri}", sha)
    if not shown.qop:
        return _hash(f"{ha1}:{shown.nonce}:{ha2}", sha)
    return _hash(f"{ha1}:{shown.nonce}:{shown.count_text}:{shown.cnonce}:{shown.qop}:{ha2}", sha)


def _hash(text: str, sha: bool) -> str:
    if sha:
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
