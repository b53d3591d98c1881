"""The worker's loops about alerts, put together."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.acs.connection_request.policy import Policy
    from agent.core.settings.schema import Settings
    from agent.host.netlink import NetlinkChannel
    from agent.store.database import Database
    from agent.worker.courier import Courier
    from agent.worker.telling import Senders
    from agent.worker.watcher import Watcher


def senders_of(settings: Settings, channel: NetlinkChannel) -> Senders:
    """How targets of each kind are told."""
    from agent.worker.mail import Mail, MailServer
    from agent.worker.syslog import Syslog
    from agent.worker.telling import Senders
    from agent.worker.webhook import Webhook

    alerts, host = settings.alerts, host_of(settings)

    def policy() -> Policy:
        return target_policy(settings, channel)

    server = MailServer(
        host=alerts.smtp_host,
        tcp_port=alerts.smtp_tcp_port,
        security=alerts.smtp_security,
        username=alerts.smtp_username,
        password=alerts.smtp_password.get_secret_value() if alerts.smtp_password is not None else "",
        sender=alerts.mail_from,
    )
    return Senders(
        webhook=Webhook(policy, alerts.page_url), email=Mail(server, alerts.page_url), syslog=Syslog(policy, host)
    )


def watcher_of(settings: Settings, database: Database, senders: Senders, beat: Callable[[], None]) -> Watcher:
    """What looks for trouble."""
    from agent.store.alert_turns import AlertTurns
    from agent.store.alerts import Alerts
    from agent.worker.outage import Outage
    from agent.worker.watcher import Watcher

    outage = Outage(senders.send, host_of(settings), beat)
    return Watcher(AlertTurns(database), Alerts(database), outage, beat, keep_days=settings.alerts.days)


def courier_of(database: Database, senders: Senders, beat: Callable[[], None]) -> Courier:
    """What tells people."""
    from agent.store.alert_deliveries import AlertDeliveries
    from agent.worker.courier import Courier

    return Courier(AlertDeliveries(database), senders, beat)


def target_policy(settings: Settings, channel: NetlinkChannel) -> Policy:
    """Where webhooks and syslog may go, by this host's addresses of now."""
    from agent.acs.connection_request.policy import Policy
    from agent.host.addresses import host_addresses

    return Policy(
        allow=settings.alerts.target_allow,
        deny=settings.alerts.target_deny,
        own=host_addresses(channel),
        verify_tls=True,
        settings="alerts.target",
    )


def host_of(settings: Settings) -> str:
    """What this machine is called in messages."""
    return settings.agent.host or socket.gethostname()
