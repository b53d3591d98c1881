"""Signing in: name, password, and a code where one is asked for. A stranger learns nothing of which names exist."""

from __future__ import annotations

import logging
from enum import StrEnum

from agent.store.audit import AuditLog, Outcome
from agent.store.operators import OperatorSecrets
from agent.store.rows import Principal, PrincipalKind, Role
from agent.store.sign_in_attempts import TooManyAttemptsError
from agent.web.second_factor import take_code
from agent.web.services import Access

logger = logging.getLogger(__name__)

NAME_MOST = 64
PASSWORD_MOST = 256


class Refusal(StrEnum):
    """Why somebody is not let in."""

    WRONG = "sign_in_refused"
    CODE_NEEDED = "code_needed"
    TOO_MANY = "too_many_attempts"


MESSAGES = {
    Refusal.WRONG: "name, password or code are wrong",
    Refusal.CODE_NEEDED: "the code of your authenticator, or a recovery code, is needed",
    Refusal.TOO_MANY: "too many failed attempts; wait a while",
}


class SignInRefusedError(Exception):
    """Somebody is not let in; `retry_seconds` when waiting helps."""

    def __init__(self, refusal: Refusal, retry_seconds: float = 0.0) -> None:
        super().__init__(MESSAGES[refusal])
        self.refusal = refusal
        self.retry_seconds = retry_seconds


def sign_in(
    access: Access, audit: AuditLog, *, name: str, password: str, code: str, address: str | None
) -> OperatorSecrets:
    """The operator who this is. Raises SignInRefusedError; TransientError when that cannot be found out now."""
    found: OperatorSecrets | None = None
    try:
        with access.attempts.attempt(name, address) as attempt:
            found = access.operators.fetch_secrets(name[:NAME_MOST]) if len(password) <= PASSWORD_MOST else None
            known = found if found is not None and not found.disabled else None
            # As slow for a name that nobody has.
            right = access.passwords.matches(known.password_hash if known is not None else None, password)
            if known is None or not right:
                raise SignInRefusedError(Refusal.WRONG)
            if known.totp_confirmed:
                if not code:
                    attempt.void = True
                else:
                    attempt.succeeded = take_code(access.operators, known, code)
            else:
                attempt.succeeded = True
    except TooManyAttemptsError as error:
        _account_for(audit, address, Refusal.TOO_MANY, known=None)
        raise SignInRefusedError(Refusal.TOO_MANY, error.seconds) from error
    except SignInRefusedError as error:
        _account_for(audit, address, error.refusal, known=found)
        raise
    if attempt.void:
        raise SignInRefusedError(Refusal.CODE_NEEDED)
    if not attempt.succeeded:
        _account_for(audit, address, Refusal.WRONG, known=known)
        raise SignInRefusedError(Refusal.WRONG)
    _renew_hash(access, known, password)
    return known


def _renew_hash(access: Access, known: OperatorSecrets, password: str) -> None:
    kept = known.password_hash
    if kept is not None and access.passwords.outdated(kept):
        access.operators.renew_hash(known.id, kept, access.passwords.hash(password))


def _account_for(audit: AuditLog, address: str | None, refusal: Refusal, known: OperatorSecrets | None) -> None:
    """Keep a failed sign-in. What was typed is kept only when it is an account's name: it may be a password."""
    if refusal is Refusal.TOO_MANY:
        # The door was closed by attempts that are in the log; this one would only make it longer.
        logger.warning("sign-in refused: too many attempts", extra={"CLIENT": address})
        return
    nobody = Principal(name="", role=Role.VIEWER, kind=PrincipalKind.NOBODY)
    target = known.name if known is not None else ""
    logger.warning("sign-in refused", extra={"CLIENT": address, "OPERATOR": target})
    audit.write(nobody, "session.open", target, address=address, outcome=Outcome.REFUSED)
