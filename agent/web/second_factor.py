"""The second factor: codes by time (TOTP, RFC 6238), each taken once, and recovery codes for a lost telephone."""

from __future__ import annotations

import base64
import hmac
import io
import re
import secrets

import pyotp
import segno

from agent.core.clock import wall
from agent.store.digests import digest
from agent.store.operators import Operators, OperatorSecrets

PERIOD_SECONDS = 30
WINDOW = 1
"""Codes before and after the present one that are taken, for clocks that are not right."""
RECOVERY_CODES = 10
_TOTP_CODE = re.compile(r"[0-9]{6}", re.ASCII)
_ISSUER = "lastmile"


def make_secret() -> str:
    """A new secret, in base32 as authenticators want it."""
    return pyotp.random_base32()


def provisioning_uri(name: str, secret: str, machine: str) -> str:
    """What an authenticator reads from the QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=f"{name}@{machine}", issuer_name=_ISSUER)


def qr_code(uri: str) -> str:
    """The QR code as a data URL of an SVG picture, dark on light in every theme."""
    picture = io.BytesIO()
    segno.make(uri, error="m").save(picture, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False)
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.getvalue()).decode()}"


def take_code(operators: Operators, known: OperatorSecrets, code: str) -> bool:
    """Whether this is a good code of the operator, by the clock or a recovery code; no code is good twice."""
    text = re.sub(r"[\s-]", "", code)
    if _TOTP_CODE.fullmatch(text):
        counter = find_counter(known.totp_secret or "", text) if known.totp_secret else None
        return counter is not None and operators.use_totp(known.id, known.totp_secret or "", counter)
    return len(text) < 64 and operators.use_recovery_code(known.id, _recovery_digest(text))


def find_counter(secret: str, code: str) -> int | None:
    """The counter of the period that a code is of, if that is near; None when it is of none."""
    now = int(wall().timestamp()) // PERIOD_SECONDS
    totp = pyotp.HOTP(secret)
    found = None
    for counter in range(now - WINDOW, now + WINDOW + 1):
        if hmac.compare_digest(totp.at(counter), code):
            found = counter
    return found


def make_recovery_codes() -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Codes to be shown once, and what is kept of them: 80 random bits each."""
    texts = tuple(base64.b32encode(secrets.token_bytes(10)).decode().lower() for _ in range(RECOVERY_CODES))
    shown = tuple("-".join(text[i : i + 4] for i in range(0, 16, 4)) for text in texts)
    return shown, tuple(_recovery_digest(text) for text in texts)


def _recovery_digest(text: str) -> bytes:
    return digest(f"recovery {text.lower()}")
