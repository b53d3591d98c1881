"""What of signing in and of the audit log goes when its time is over."""

from __future__ import annotations

from dataclasses import dataclass

from agent.store.audit import AuditLog
from agent.store.operator_sessions import OperatorSessions
from agent.store.sign_in_attempts import SignInAttempts


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRetention:
    """For any number of workers. Raises TransientError when the database cannot be reached in time."""

    audit: AuditLog
    sessions: OperatorSessions
    attempts: SignInAttempts
    audit_days: int

    def retire(self) -> int:
        """Forget sessions that are over, attempts that do not count any more, and old months of the audit log; how
        many rows and partitions went."""
        return self.sessions.forget_ended() + self.attempts.forget_old() + self.audit.retire(self.audit_days)
