"""`lastmile worker`"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import load_settings, refuse_foreign_schema

if TYPE_CHECKING:
    from agent.acs.connection_request.answer import Login
    from agent.acs.connection_request.policy import Policy
    from agent.core.settings.schema import Settings
    from agent.host.netlink import NetlinkChannel

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 90.0
LOOPS = ("caller", "keeper", "searcher", "historian", "watcher", "courier")


@click.command("worker")
@click.pass_obj
def command(config: Path | None) -> None:
    """Wake CPEs by connection requests, tell people of alerts, keep the history, end what is over, until told to stop.
    systemd runs this as lastmile-worker.service."""
    from agent.cli.access_store import access_services
    from agent.cli.alert_loops import courier_of, senders_of, watcher_of
    from agent.cli.logs import start_logging
    from agent.cli.monitoring_store import history_of
    from agent.cli.supervision import Supervision
    from agent.core.heartbeat import Heartbeats
    from agent.host.netlink import NetlinkChannel
    from agent.store.access_retention import AccessRetention
    from agent.store.audit import AuditLog
    from agent.store.calls import Calls
    from agent.store.database import Database
    from agent.store.housekeeping import Housekeeping
    from agent.store.listen import ALERT_DELIVERY, CONNECTION_REQUEST, Listener
    from agent.store.search_parameters import CHANNEL, SearchParameters
    from agent.worker.caller import Caller
    from agent.worker.historian import Historian
    from agent.worker.http_call import HttpCall
    from agent.worker.keeper import Keeper
    from agent.worker.searcher import Searcher

    settings = load_settings(config)
    start_logging(settings.log.level)
    section = settings.database
    url = section.url.get_secret_value()
    refuse_foreign_schema(settings)
    heartbeats = Heartbeats(silence_seconds=SILENCE_SECONDS)
    with Database(
        url, pool_size=section.pool_size, timeout_seconds=section.timeout_seconds, name="lastmile worker"
    ) as database:
        channel = NetlinkChannel()
        http = HttpCall(lambda: policy_of(settings, channel), lambda device_id: login_for(settings, device_id))
        caller = Caller(
            Calls(database),
            http.ask,
            session_wait_seconds=settings.acs.session_wait_seconds,
            beat=lambda: heartbeats.beat("caller"),
        )
        access = access_services(database, settings.web)
        retention = AccessRetention(
            audit=AuditLog(database),
            sessions=access.sessions,
            attempts=access.attempts,
            audit_days=settings.log.audit_days,
        )
        keeper = Keeper(
            Housekeeping(database), settings.acs, lambda: heartbeats.beat("keeper"), retire_more=retention.retire
        )
        searcher = Searcher(SearchParameters(database), lambda: heartbeats.beat("searcher"))
        historian = Historian(history_of(database, settings), lambda: heartbeats.beat("historian"))
        senders = senders_of(settings, channel)
        watcher = watcher_of(settings, database, senders, lambda: heartbeats.beat("watcher"))
        courier = courier_of(database, senders, lambda: heartbeats.beat("courier"))
        wakes = {CONNECTION_REQUEST: caller.wake, CHANNEL: searcher.wake, ALERT_DELIVERY: courier.wake}

        def wake_all() -> None:
            for wake in wakes.values():
                wake()

        listener = Listener(
            url,
            list(wakes),
            lambda channel, _payload: wakes[channel](),
            wake_all,
            timeout_seconds=section.timeout_seconds,
            name="lastmile worker listen",
        )
        supervision = Supervision(
            heartbeats=heartbeats,
            loops=LOOPS,
            status=lambda: "waking CPEs, watching and keeping house",
            reload=lambda: None,
        )
        supervision.install()
        for name in LOOPS:
            heartbeats.beat(name)
        listener.start()
        caller.start()
        keeper.start()
        searcher.start()
        historian.start()
        watcher.start()
        courier.start()
        logger.info("worker started")
        supervision.run()
        listener.stop()
        watcher.stop()
        courier.stop()
        searcher.stop()
        historian.stop()
        keeper.stop()
        caller.stop()
        channel.close()
    logger.info("worker stopped")


def policy_of(settings: Settings, channel: NetlinkChannel) -> Policy:
    """Where connection requests may go, by this host's addresses of now."""
    from agent.acs.connection_request.policy import Policy
    from agent.host.addresses import host_addresses

    return Policy(
        allow=settings.acs.connection_request_allow,
        deny=settings.acs.connection_request_deny,
        own=host_addresses(channel),
    )


def login_for(settings: Settings, device_id: str) -> Login | None:
    """What a device is told that asks who we are."""
    from agent.acs.connection_request.answer import Login

    password = settings.acs.connection_request_password
    username = settings.acs.connection_request_username or device_id
    return None if password is None else Login(username=username, password=password.get_secret_value())
