"""`lastmile web`"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import load_settings

if TYPE_CHECKING:
    from agent.core.settings.schema import Settings
    from agent.web.services import Services


@click.command("web")
@click.pass_obj
def command(config: Path | None) -> None:
    """Serve the REST API, live events and metrics until told to stop. systemd runs this as lastmile-web.service."""
    import sdnotify

    from agent.cli.logs import start_logging
    from agent.web.server import serve

    settings = load_settings(config)
    start_logging(settings.log.level)
    notifier = sdnotify.SystemdNotifier()
    status = f"serving on {settings.web.listen} port {settings.web.tcp_port}"
    serve(settings.web, lambda: build_services(settings), on_ready=lambda: notifier.notify(f"READY=1\nSTATUS={status}"))


def build_services(settings: Settings) -> Services:
    """What the web process works with; nothing connects before it is used."""
    from agent.store.audit import AuditLog
    from agent.store.database import Database
    from agent.store.fleet import Fleet
    from agent.store.listen import MODEM_CHANGE, Listener
    from agent.store.tokens import Tokens
    from agent.web.events import EventHub
    from agent.web.services import Services

    url = settings.database.url.get_secret_value()
    timeout_seconds = settings.database.timeout_seconds
    database = Database(
        url, pool_size=settings.database.pool_size, timeout_seconds=timeout_seconds, name="lastmile web"
    )
    fleet = Fleet(database)
    events = EventHub(fleet, streams_most=settings.web.event_streams)
    listener = Listener(
        url,
        [MODEM_CHANGE],
        lambda _channel, _payload: events.wake(),
        events.resync,
        timeout_seconds=timeout_seconds,
        name="lastmile web listen",
    )
    return Services(
        settings=settings.web,
        database=database,
        fleet=fleet,
        tokens=Tokens(database),
        audit=AuditLog(database),
        events=events,
        listener=listener,
        machine_name=socket.gethostname(),
    )
