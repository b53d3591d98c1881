"""What a CPE would send: Digest as RFC 7616 §3.4.1 has it, written apart from the code under test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agent.acs.authentication.nonces import make_nonce
from agent.acs.authentication.policy import AuthenticationPolicy

KEY = b"a key that all workers share...."
NOW = 1_795_000_000_000_000
POLICY = AuthenticationPolicy(realm="lastmile")
NONCE = make_nonce(KEY, NOW, b"1234567")
USERNAME, PASSWORD = "00D09E-123456", "open sesame"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """All that goes into one Authorization header."""

    username: str = USERNAME
    password: str = PASSWORD
    realm: str = "lastmile"
    nonce: str = NONCE
    uri: str = "/acs"
    method: str = "POST"
    algorithm: str = "MD5"
    qop: str = "auth"
    count: str = "00000001"
    cnonce: str = "0a4f113b"

    @property
    def response(self) -> str:
        ha1 = self._hash(f"{self.username}:{self.realm}:{self.password}")
        ha2 = self._hash(f"{self.method}:{self.uri}")
        if not self.qop:
            return self._hash(f"{ha1}:{self.nonce}:{ha2}")
        return self._hash(f"{ha1}:{self.nonce}:{self.count}:{self.cnonce}:{self.qop}:{ha2}")

    @property
    def header(self) -> str:
        text = (
            f'Digest username="{self.username}", realm="{self.realm}", nonce="{self.nonce}", uri="{self.uri}", '
            f'response="{self.response}", algorithm={self.algorithm}'
        )
        return f'{text}, qop={self.qop}, nc={self.count}, cnonce="{self.cnonce}"' if self.qop else text

    def _hash(self, text: str) -> str:
        hasher = hashlib.sha256 if self.algorithm.upper() == "SHA-256" else hashlib.md5
        return hasher(text.encode()).hexdigest()
