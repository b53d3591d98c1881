"""History and alerts, put together for the web process, the worker and for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.core.settings.schema import Settings
    from agent.store.database import Database
    from agent.store.history import History
    from agent.web.services import Monitoring


def monitoring_services(database: Database, settings: Settings) -> Monitoring:
    """The store of history and alerts; nothing connects before it is used."""
    from agent.store.alert_rules import AlertRules
    from agent.store.alert_targets import AlertTargets
    from agent.store.alerts import Alerts
    from agent.web.services import Monitoring

    return Monitoring(
        history=history_of(database, settings),
        alerts=Alerts(database),
        rules=AlertRules(database),
        targets=AlertTargets(database),
    )


def history_of(database: Database, settings: Settings) -> History:
    """What was measured, kept as long as the settings say."""
    from agent.store.history import History
    from agent.store.history_steps import Retention

    kept = settings.history
    return History(
        database,
        Retention(
            sample_days=settings.log.modem_log_days,
            fine_days=kept.fine_days,
            hour_days=kept.hour_days,
            day_days=kept.day_days,
        ),
    )
