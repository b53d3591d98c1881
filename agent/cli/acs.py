"""`lastmile acs`"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.cli.context import load_settings, refuse_foreign_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.core.settings.schema import AcsSettings, Settings

logger = logging.getLogger(__name__)

SOCKET_UNIT = "lastmile-acs.socket"


@click.command("acs")
@click.pass_obj
def command(config: Path | None) -> None:
    """Serve TR-069 to CPEs until told to stop. systemd runs this as lastmile-acs.service.

    A socket that systemd hands over (lastmile-acs.socket) is served instead of acs.listen."""
    import sdnotify

    from agent.cli.logs import start_logging
    from agent.cli.supervision import watchdog_seconds
    from agent.web.activation import address_of, render_address, take_socket
    from agent.web.cwmp.server import listen, serve, worker_count
    from agent.web.watchdog import Watch

    settings = load_settings(config)
    start_logging(settings.log.level)
    given = take_socket(os.environ, SOCKET_UNIT)
    listener = given or listen(settings.acs)
    address = render_address(*address_of(listener))
    _warn(settings.acs, address_of(listener)[0], given is not None)
    refuse_foreign_schema(settings)
    notifier = sdnotify.SystemdNotifier()
    count = worker_count(settings.acs)
    logger.info("acs started", extra={"LISTEN": address, "WORKERS": count})
    limit_seconds = watchdog_seconds()
    serve(
        settings.acs,
        lambda: build(settings),
        listener,
        on_ready=lambda: notifier.notify(f"READY=1\nSTATUS=serving on {address} by {count} workers"),
        watch=Watch(period_seconds=limit_seconds / 3, beat=lambda: notifier.notify("WATCHDOG=1"))
        if limit_seconds
        else None,
    )
    logger.info("acs stopped")


def _warn(settings: AcsSettings, address: str, activated: bool) -> None:
    from ipaddress import ip_address

    if activated and address != settings.address[0]:
        logger.warning(
            "the socket unit listens elsewhere than acs.listen says, and counts: systemctl edit lastmile-acs.socket",
            extra={"LISTEN": address, "SETTING": settings.listen},
        )
    if settings.authentication == ("none",) and not ip_address(address).is_loopback:
        logger.warning(
            "whoever reaches this TCP port can pass for any device: set acs.authentication", extra={"LISTEN": address}
        )


def build(settings: Settings) -> tuple[Callable[..., Any], Callable[[], None]]:
    """The application of one worker process, and what closes it; nothing connects before it is used."""
    from agent.store.acs_counters import AcsCounters
    from agent.store.cwmp import CwmpStore
    from agent.store.database import Database
    from agent.store.listen import Listener
    from agent.store.recordings import CHANNEL as RECORDINGS
    from agent.store.recordings import Recordings
    from agent.store.transfers import TransferStore
    from agent.web.cwmp.app import AcsApp
    from agent.web.cwmp.bodies import BodyWatch
    from agent.web.cwmp.counters import Counters
    from agent.web.cwmp.exchange import Exchange
    from agent.web.cwmp.files import create_file_app
    from agent.web.cwmp.gate import CredentialMemory, CwmpGate, PeerResolver
    from agent.web.cwmp.recording import SessionRecorder
    from agent.web.cwmp.transfers import FileTransfers

    acs, database_settings = settings.acs, settings.database
    url = database_settings.url.get_secret_value()
    database = Database(
        url, pool_size=acs.threads, timeout_seconds=database_settings.timeout_seconds, name="lastmile acs"
    )
    store = CwmpStore(database)
    credentials = CredentialMemory(store.fetch_credential)
    recorder = SessionRecorder(Recordings(database), body_bytes_most=acs.body_bytes_most)
    hearers = {"cpe_credentials": credentials.forget, RECORDINGS: recorder.reload}

    def hear_all() -> None:
        for hear in hearers.values():
            hear()

    listener = Listener(
        url,
        list(hearers),
        lambda channel, _payload: hearers[channel](),
        hear_all,
        timeout_seconds=database_settings.timeout_seconds,
        name="lastmile acs listen",
    )
    gate = CwmpGate(acs, store, credentials)
    counters = Counters(AcsCounters(database).add)
    transfers = FileTransfers(acs, store, TransferStore(database))
    bodies = BodyWatch()
    worker = f"{socket.gethostname()}/{os.getpid()}"
    app = AcsApp(
        Exchange(store, acs, gate, transfers, counters, worker=worker, bodies=bodies, recorder=recorder),
        PeerResolver(acs.trusted_proxies).peer_of,
        create_file_app(acs, transfers, gate.nonces, bodies),
        retry_after_seconds=acs.retry_after_seconds,
    )
    listener.start()
    counters.start()

    def close() -> None:
        listener.stop()
        counters.stop()
        database.close()

    return app, close
