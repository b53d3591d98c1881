"""Changes that are made on the command line, in the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agent.cli.context import local_admin

if TYPE_CHECKING:
    from agent.store.audit import AuditTrail
    from agent.store.database import Database


@contextmanager
def accounting(database: Database) -> Iterator[AuditTrail]:
    """The audit log, for what is changed inside: how it went is written at the end."""
    from agent.store.audit import AuditLog, Outcome

    trail = AuditLog(database).trail(None)
    try:
        yield trail
    except BaseException as error:
        if not trail.is_empty:
            trail.end(Outcome.FAILED, type(error).__name__)
        raise
    trail.end(Outcome.DONE)


@contextmanager
def accounted(database: Database, action: str, target: str, details: dict[str, Any] | None = None) -> Iterator[None]:
    """Write down what is done inside, before it is done, and how it went."""
    with accounting(database) as trail:
        trail.write(local_admin(), action, target, details)
        yield
