"""The agent process: everything is put together here, and kept together until systemd says stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from agent.cli import compose
from agent.cli.context import load_settings
from agent.cli.logs import start_logging
from agent.cli.supervision import Supervision
from agent.core.clock import Deadline, Instant, now
from agent.core.errors import AgentError, ConfigError, TransientError
from agent.core.heartbeat import Heartbeats
from agent.core.settings.schema import Settings
from agent.host.allocator import share_one_heap
from agent.host.doctor.notices import ProxyProgram
from agent.host.handover import hand_over
from agent.host.hotplug import UdevHotplug
from agent.host.netlink import NetlinkChannel
from agent.modem.machine import Conduct
from agent.modem.model import ProxyPolicy
from agent.modem.supervisor import Supervisor
from agent.store.database import Database
from agent.store.inbox import CommandInbox
from agent.store.listen import MODEM_CHANGE, MODEM_COMMAND, Listener
from agent.store.maintenance import maintain
from agent.store.migrate import check_schema
from agent.store.presence import HostPresence
from agent.store.recorder import OutboxRecorder
from agent.store.wishes import HostWishes
from agent.version import __version__

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 90.0
"""A loop that has not turned for so long is stuck; every wait in them is shorter."""
ANNOUNCE_SECONDS = 10.0
MAINTENANCE_SECONDS = 24 * 3600.0
MAINTENANCE_RETRY_SECONDS = 600.0
FLUSH_SECONDS = 5.0
FOLLOW_SECONDS = 60.0
"""How often this host's own addresses are looked at."""


class Daemon:
    """All parts of the agent, in the order in which they start."""

    def __init__(self, settings: Settings, reload_settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._reload_settings = reload_settings
        self._host = compose.host_name(settings)
        self._conduct = compose.conduct_of(settings)
        self._channel = NetlinkChannel()
        self._heartbeats = Heartbeats(silence_seconds=SILENCE_SECONDS)
        self._stopping = threading.Event()
        self._announce_now = threading.Event()
        self._must_stop: ConfigError | None = None
        self._source = UdevHotplug(settings.modem.usb_ids, compose.slots_left(settings))
        self._own = compose.HostAddresses(self._channel, self._source)
        self._policy = self._resolve(settings)
        self._proxy_program = ProxyProgram(settings.proxy)
        self._notices: tuple[str, ...] = ()
        section = settings.database
        url = section.url.get_secret_value()
        self._database = Database(
            url, pool_size=section.pool_size, timeout_seconds=section.timeout_seconds, name="lastmile agent"
        )
        self._wishes = HostWishes(
            self._database,
            self._host,
            compose.defaults_of(settings, self._policy),
            compose.ranges_of(settings),
            settings.agent.state_dir / "wishes.json",
        )
        self._recorder = OutboxRecorder(
            self._database, self._host, settings.agent.state_dir / "outbox.sqlite", limit=settings.agent.outbox_rows
        )
        self._presence = HostPresence(url, self._host, __version__, timeout_seconds=section.timeout_seconds)
        self._supervisor = Supervisor(
            machine=compose.machine_of(settings, self._own, self._recorder, self._wishes),
            source=self._source,
            inbox=CommandInbox(self._database, self._host),
            conduct=self._current_conduct,
            admission=compose.admission_of(settings),
            rescan_seconds=settings.hotplug.rescan_seconds,
            host_range=compose.host_range_of(settings),
            beat=self._heartbeats.beat,
        )
        self._listener = Listener(
            url,
            [MODEM_CHANGE, MODEM_COMMAND],
            self._on_notification,
            self._on_connect,
            timeout_seconds=section.timeout_seconds,
            name="lastmile agent listen",
        )
        self._housekeeping = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)
        self._supervision = Supervision(
            heartbeats=self._heartbeats,
            loops=(*self._supervisor.loops, self._housekeeping.name),
            status=self._status,
            reload=self.reload,
            must_stop=lambda: self._must_stop is not None,
        )

    def _resolve(self, settings: Settings) -> ProxyPolicy | None:
        """The proxies' policy; None while this host has no address yet. Raises ConfigError."""
        try:
            return self._own.policy(settings)
        except TransientError as error:
            logger.warning("this host's address is not known yet", extra={"ERROR": str(error)})
            return None

    def _current_conduct(self) -> Conduct:
        return self._conduct

    # -- life ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Start everything, and return when told to stop. Raises ConfigError when only an operator can help."""
        supervision = self._supervision
        supervision.install()
        self._look_at_programs()
        if self._check_schema():
            self._claim_host()
        self._hand_over()
        for name in supervision.loops:
            self._heartbeats.beat(name)
        self._recorder.start()
        self._listener.start()
        self._supervisor.start()
        self._housekeeping.start()
        logger.info("agent started", extra={"HOST": self._host, "VERSION": __version__})
        try:
            supervision.run()
        finally:
            self._stop()
        if self._must_stop is not None:
            raise self._must_stop

    def _check_schema(self) -> bool:
        """Refuse a schema that is not ours; False when the database is away, which is no reason not to look after
        the modems."""
        try:
            check_schema(self._settings.database.url.get_secret_value())
        except TransientError as error:
            logger.warning("starting without the database", extra={"ERROR": str(error)})
            return False
        return True

    def _claim_host(self) -> None:
        """Refuse to start beside another agent of this host before anything of it is touched."""
        try:
            self._announce()
        except TransientError as error:
            logger.warning("the host is claimed later", extra={"ERROR": str(error)})
        except ConfigError:
            self._presence.close()
            self._database.close()
            self._channel.close()
            raise

    def _hand_over(self) -> None:
        """Let ModemManager have what is left to it, and nothing else, before any port is opened."""
        try:
            hand_over(self._settings.modem.usb_ids, compose.slots_left(self._settings), self._settings.agent.state_dir)
        except TransientError as error:
            logger.warning("modems were not handed over between lastmile and ModemManager", extra={"ERROR": str(error)})

    def _stop(self) -> None:
        self._stopping.set()
        self._announce_now.set()
        self._supervisor.stop()
        self._listener.stop()
        self._recorder.stop(Deadline.after(FLUSH_SECONDS))
        self._housekeeping.join(FLUSH_SECONDS)
        self._presence.close()
        self._database.close()
        self._channel.close()
        logger.info("agent stopped; proxies keep running", extra={"HOST": self._host})

    def _status(self) -> str:
        present, identified = self._supervisor.summary()
        away = "; database away" if self._database.away else ""
        waiting = self._recorder.waiting if away else 0
        notes = ("; no proxy can start" if self._notices else "") + (f"; {waiting} rows wait" if waiting else "")
        return f"{identified} of {present} modems identified{away}{notes}"

    # -- what others tell ------------------------------------------------------------------------------------------

    def _on_connect(self) -> None:
        # The lock that says that this agent lives went with the connection: who asks now must not be told it is away.
        self._announce_now.set()
        self._supervisor.commands_waiting()
        self._refresh()

    def _on_notification(self, channel: str, payload: str) -> None:
        if channel == MODEM_COMMAND:
            if payload == self._host:
                self._supervisor.commands_waiting()
        elif self._wishes.concerned_by(payload):
            self._refresh()

    def _refresh(self) -> None:
        if self._wishes.refresh():
            self._supervisor.wishes_changed()

    def reload(self) -> None:
        """Read the settings again; a mistake in them is logged, and the old ones stay in force."""
        try:
            settings = self._reload_settings()
            policy = self._resolve(settings)
        except AgentError as error:
            logger.error("settings were not reloaded", extra={"ERROR": str(error)})  # noqa: TRY400 - no traceback: the operator's mistake
            return
        for key in compose.changes_for_restart(self._settings, settings):
            logger.warning("a changed setting needs a restart of the agent", extra={"SETTING": key})
        self._settings = settings
        self._conduct = compose.conduct_of(settings)
        logging.getLogger().setLevel(settings.log.level.upper())
        self._policy = policy
        self._wishes.set_defaults(compose.defaults_of(settings, policy), compose.ranges_of(settings))
        self._supervisor.wishes_changed()
        logger.info("settings were reloaded")

    # -- housekeeping ----------------------------------------------------------------------------------------------

    def _keep_house(self) -> None:
        maintained_at: Instant = float("-inf")
        followed_at: Instant = now()
        while not self._stopping.is_set():
            self._heartbeats.beat("housekeeping")
            try:
                if self._policy is None or now() - followed_at >= FOLLOW_SECONDS:
                    followed_at = now()
                    self._follow_addresses()
                self._look_at_programs()
                held = self._announce()
                if held and now() - maintained_at >= MAINTENANCE_SECONDS:
                    maintained_at = now() - MAINTENANCE_SECONDS + MAINTENANCE_RETRY_SECONDS
                    maintain(self._database, self._settings.log.modem_log_days)
                    maintained_at = now()
            except TransientError as error:
                logger.debug("housekeeping waits for the database", extra={"ERROR": str(error)})
            except ConfigError as error:
                # Another agent looks after this host: two would fight over every port.
                self._must_stop = error
                self._supervision.wake()
                return
            self._announce_now.wait(ANNOUNCE_SECONDS)
            self._announce_now.clear()

    def _follow_addresses(self) -> None:
        """Take over addresses that have changed under way (DHCP), or were not there at the start."""
        try:
            policy = self._resolve(self._settings)
        except ConfigError as error:
            # What was good at the start stays in force: no reason to leave the modems alone.
            logger.warning("this host's addresses cannot be followed", extra={"ERROR": str(error)})
            return
        if policy is None or policy == self._policy:
            return
        logger.warning("this host's addresses have changed", extra={"LISTEN": str(policy.listen)})
        self._policy = policy
        self._wishes.set_defaults(compose.defaults_of(self._settings, policy))
        self._supervisor.wishes_changed()

    def _look_at_programs(self) -> None:
        """Tell people, once, when no proxy can start, and when that is over."""
        notice = self._proxy_program.notice()
        notices = (notice,) if notice is not None else ()
        if notices == self._notices:
            return
        self._notices = notices
        if notice is not None:
            logger.warning("no proxy can start: 3proxy is missing or too old", extra={"REASON": notice})
        else:
            logger.info("proxies can start now")

    def _announce(self) -> bool:
        listen = str(self._policy.listen) if self._policy is not None else None
        return self._presence.announce(listen, self._notices)


def run(config: Path | None) -> None:
    """Run the agent until it is told to stop."""
    share_one_heap()
    settings = load_settings(config)
    start_logging(settings.log.level)
    Daemon(settings, lambda: load_settings(config)).run()
