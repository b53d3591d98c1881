"""`lastmile web`"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import load_with_origins

if TYPE_CHECKING:
    from agent.core.settings.load import EffectiveRow
    from agent.core.settings.schema import Settings, WebSettings
    from agent.web.services import Services

logger = logging.getLogger(__name__)


@click.command("web")
@click.pass_obj
def command(config: Path | None) -> None:
    """Serve pages, REST API, live events and metrics until told to stop. systemd runs this as lastmile-web.service.

    A socket that systemd hands over (lastmile-web.socket) is served instead of web.listen and web.tcp_port."""
    import sdnotify

    from agent.cli.logs import start_logging
    from agent.cli.supervision import watchdog_seconds
    from agent.core.settings.load import render_effective
    from agent.web.activation import take_socket
    from agent.web.server import serve
    from agent.web.watchdog import Watch

    loaded = load_with_origins(config)
    settings, in_force = loaded.settings, render_effective(loaded, origin=True)
    start_logging(settings.log.level)
    listener = take_socket(os.environ)
    address = _served_address(settings.web, listener)
    notifier = sdnotify.SystemdNotifier()
    limit_seconds = watchdog_seconds()
    serve(
        settings.web,
        lambda: _build(settings, in_force),
        listener=listener,
        on_ready=lambda: notifier.notify(f"READY=1\nSTATUS=serving on {address}"),
        watch=Watch(period_seconds=limit_seconds / 3, beat=lambda: notifier.notify("WATCHDOG=1"))
        if limit_seconds
        else None,
    )


def _build(settings: Settings, in_force: tuple[EffectiveRow, ...]) -> Services:
    """In the process that serves: what it works with; a link for the first admin is told when there is none."""
    from agent.cli.first_admin import announce_first_admin

    services = build_services(settings, in_force)
    announce_first_admin(services.access, settings.web)
    return services


def _served_address(settings: WebSettings, listener: socket.socket | None) -> str:
    """ADDRESS:PORT that is served; a socket that listens elsewhere than the settings say is named in the log."""
    from agent.web.activation import address_of, render_address

    wanted = render_address(settings.listen, settings.tcp_port)
    if listener is None:
        return wanted
    given = render_address(*address_of(listener))
    if given != wanted:
        logger.warning(
            "the socket unit listens elsewhere than the settings say, and counts: systemctl edit lastmile-web.socket",
            extra={"LISTEN": given, "SETTING": wanted},
        )
    return given


def build_services(settings: Settings, in_force: tuple[EffectiveRow, ...] = ()) -> Services:
    """What the web process works with; nothing connects before it is used."""
    from agent.cli.access_store import access_services
    from agent.cli.device_store import device_services
    from agent.cli.monitoring_store import monitoring_services
    from agent.store.audit import AuditLog
    from agent.store.database import Database
    from agent.store.fleet import Fleet
    from agent.store.listen import Listener
    from agent.store.tokens import Tokens
    from agent.web.events import CHANNELS, EventHub
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
        CHANNELS,
        events.hear,
        events.resync,
        timeout_seconds=timeout_seconds,
        name="lastmile web listen",
    )
    return Services(
        settings=settings.web,
        database=database,
        fleet=fleet,
        acs=device_services(database, settings.acs),
        monitoring=monitoring_services(database, settings),
        tokens=Tokens(database),
        access=access_services(database, settings.web),
        audit=AuditLog(database),
        events=events,
        listener=listener,
        machine_name=socket.gethostname(),
        in_force=in_force,
    )
