"""What keeps the database small: partitions made ahead and dropped, old rows deleted."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from psycopg.rows import scalar_row

from agent.store.database import Database
from agent.store.statements import statements

log = logging.getLogger(__name__)

BATCH_ROWS = 5000
BATCHES_MOST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintained:
    """What one maintenance did."""

    partitions_dropped: int
    rows_deleted: int


def maintain(database: Database, days: int) -> Maintained:
    """Make the partitions of the next days; drop logs, samples, events, commands and addresses older than `days`.

    To be called daily, by any number of hosts: they take turns. Audit and tokens are kept. Raises TransientError when
    the database cannot be reached in time; what was done by then stays done."""
    sql = statements("maintenance")
    dropped = database.fetch_one(sql["maintain_partitions"], {"days": days}, scalar_row) or 0
    deleted = 0
    for name in ("delete_events", "delete_commands", "delete_addresses", "delete_outbox_marks"):
        for _ in range(BATCHES_MOST):
            batch = database.execute(sql[name], {"days": days, "rows": BATCH_ROWS})
            deleted += batch
            if batch < BATCH_ROWS:
                break
    log.info("database maintained", extra={"PARTITIONS_DROPPED": dropped, "ROWS_DELETED": deleted})
    return Maintained(partitions_dropped=dropped, rows_deleted=deleted)
