"""The checks of `lastmile doctor`, put together from facts and verdicts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from agent.cli import compose
from agent.core.errors import TransientError
from agent.core.settings.load import DEFAULT_CONFIG, SettingsError, load
from agent.core.settings.schema import Settings
from agent.doctor.clock import judge_clock
from agent.doctor.configuration import ConfigurationFacts, judge_configuration
from agent.doctor.database import DatabaseFacts, ServerFacts, judge_database
from agent.doctor.files import judge_files
from agent.doctor.findings import Findings
from agent.doctor.holders import judge_holders
from agent.doctor.kernel import judge_kernel
from agent.doctor.links import judge_managers
from agent.doctor.network import judge_network
from agent.doctor.proxies import judge_config_dir, judge_ports, judge_uids
from agent.doctor.routing import RoutingFacts, judge_routing
from agent.doctor.tools import judge_tools
from agent.doctor.udev import judge_udev
from agent.doctor.units import UnitFacts, judge_units
from agent.doctor.usb import UsbFacts, judge_usb
from agent.host.doctor import configuration, kernel, machine, managers, modems, network, proxies, tools
from agent.host.doctor.examination import Check, Shared
from agent.host.doctor.places import Places
from agent.host.doctor.processes import Processes, fetch_processes
from agent.host.netlink import NetlinkChannel
from agent.store.condition import fetch_server
from agent.store.wish_cache import WishCache

DATABASE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsRead:
    """The settings, or the defaults in their place and what is wrong with them."""

    settings: Settings
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_settings(config: Path | None, environ: Mapping[str, str]) -> SettingsRead:
    """The settings in force; their mistakes are kept, not raised."""
    try:
        loaded = load(config, environ)
    except SettingsError as error:
        return SettingsRead(settings=Settings(), problems=tuple(str(problem) for problem in error.problems))
    return SettingsRead(settings=loaded.settings, warnings=loaded.warnings)


class Examination:
    """Everything that `lastmile doctor` looks at on this host. What several checks need is read once."""

    def __init__(self, config: Path | None, environ: Mapping[str, str], places: Places | None = None) -> None:
        self._places = places or Places()
        self._files = machine.settings_files(config or DEFAULT_CONFIG)
        self._read = read_settings(config, environ)
        self._settings = self._read.settings
        self._range = compose.host_range_of(self._settings)
        self._channel = Shared(NetlinkChannel)
        self._processes: Shared[Processes] = Shared(lambda: fetch_processes(self._places.proc))
        left = compose.slots_left(self._settings)
        self._modems = Shared(lambda: modems.fetch_modems(self._places, self._settings.modem.usb_ids, left=left))
        self._units = Shared(self._fetch_units)
        self._server = Shared(self._fetch_server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        channel = self._channel.peek()
        if channel is not None:
            channel.close()

    def checks(self) -> tuple[Check, ...]:
        """All checks, in the order in which a person reads them."""
        return (
            Check(name="settings", group="Settings and files", run=self._check_settings),
            Check(name="files", group="Settings and files", run=self._check_files),
            Check(name="kernel", group="Kernel and USB", run=lambda: judge_kernel(kernel.fetch_kernel(self._places))),
            Check(name="usb", group="Kernel and USB", run=self._check_usb),
            Check(name="udev", group="Ports and links", run=self._check_udev),
            Check(name="ports", group="Ports and links", run=self._check_holders),
            Check(name="links", group="Ports and links", run=self._check_managers),
            Check(name="net", group="Network", run=self._check_network),
            Check(name="net.rules", group="Network", run=self._check_routing, seconds=DATABASE_SECONDS + 2),
            Check(name="tools", group="Programs and proxies", run=self._check_tools),
            Check(name="tcp", group="Programs and proxies", run=self._check_ports),
            Check(name="proxy.uids", group="Programs and proxies", run=self._check_uids),
            Check(name="proxy.config_dir", group="Programs and proxies", run=self._check_config_dir),
            Check(name="units", group="Services", run=lambda: judge_units(self._units.get())),
            Check(name="database", group="Services", run=self._check_database, seconds=DATABASE_SECONDS + 2),
            Check(name="clock", group="Services", run=lambda: judge_clock(machine.clock_is_synchronised())),
        )

    # -- what several checks need ------------------------------------------------------------------------------------

    def _fetch_units(self) -> UnitFacts:
        return machine.fetch_units(self._places, needs_systemd=self._settings.proxy.runner == "systemd")

    def _fetch_server(self) -> ServerFacts:
        url = self._settings.database.url.get_secret_value()
        seconds = min(self._settings.database.timeout_seconds, DATABASE_SECONDS)
        return fetch_server(url, compose.host_name(self._settings), timeout_seconds=seconds)

    def _agent_runs(self) -> bool:
        return bool(managers.fetch_holders((), self._processes.get()).agents)

    def _known_numbers(self) -> tuple[frozenset[int], frozenset[int]] | None:
        """uids and tables of this host's modems by the database and by what the agent has saved; None when neither
        can be read."""
        wishes = self._settings.agent.state_dir / "wishes.json"
        saved = os.access(wishes, os.R_OK)
        uids: set[int] = set()
        tables: set[int] = set()
        if saved:
            for wish in WishCache(wishes, compose.host_name(self._settings)).fetch():
                uids.add(wish.allocation.uid)
                tables.add(wish.allocation.table)
        try:
            if self._read.problems:
                raise TransientError("the settings cannot be used")
            server = self._server.get()
        except TransientError:
            return (frozenset(uids), frozenset(tables)) if saved else None
        return server.known_uids | uids, server.known_tables | tables

    # -- the checks --------------------------------------------------------------------------------------------------

    def _check_settings(self) -> Findings:
        indexes = frozenset(each.link_index for each in self._modems.get() if each.link_index is not None)
        facts: ConfigurationFacts = configuration.fetch_configuration(
            self._settings, self._read.problems, self._read.warnings, self._files, self._channel.get(), indexes
        )
        return judge_configuration(facts)

    def _check_files(self) -> Findings:
        return judge_files(machine.fetch_files(self._settings.agent, self._files))

    def _check_usb(self) -> Findings:
        plugged = tuple(modem.usb for modem in self._modems.get())
        return judge_usb(UsbFacts(modems=plugged, log=kernel.fetch_kernel_log(self._places)))

    def _check_udev(self) -> Findings:
        return judge_udev(modems.fetch_udev(self._places, self._modems.get()))

    def _check_holders(self) -> Findings:
        return judge_holders(managers.fetch_holders(self._modems.get(), self._processes.get()))

    def _check_managers(self) -> Findings:
        return judge_managers(managers.fetch_managers(self._places, self._modems.get(), self._processes.get()))

    def _check_network(self) -> Findings:
        links = [modem.usb.link for modem in self._modems.get() if modem.usb.link is not None]
        runs = self._agent_runs()
        return judge_network(network.fetch_network(self._places, self._settings.proxy, links, agent_runs=runs))

    def _check_routing(self) -> Findings:
        channel, known = self._channel.get(), self._known_numbers()
        return judge_routing(
            RoutingFacts(
                rules=network.fetch_rules(channel),
                tables=network.fetch_tables(channel, self._range.tables),
                modem_links=frozenset(modem.usb.link for modem in self._modems.get() if modem.usb.link is not None),
                uids=self._range.uids,
                table_range=self._range.tables,
                priority=self._settings.proxy.rule_priority,
                known_uids=known[0] if known is not None else None,
                known_tables=known[1] if known is not None else None,
            )
        )

    def _check_tools(self) -> Findings:
        service = machine.distribution_service(self._units.get())
        return judge_tools(tools.fetch_tools(self._settings.proxy, service))

    def _check_ports(self) -> Findings:
        return judge_ports(
            proxies.fetch_ports(
                self._places,
                self._settings.proxy,
                self._settings.web.tcp_port,
                self._range.uids,
                self._processes.get(),
                socket_activated=machine.web_is_socket_activated(self._units.get()),
            )
        )

    def _check_uids(self) -> Findings:
        return judge_uids(proxies.fetch_uids(self._places, self._range.uids))

    def _check_config_dir(self) -> Findings:
        proxy = self._settings.proxy
        return judge_config_dir(proxies.fetch_config_dir(proxy.config_dir, has_users=bool(proxy.users)))

    def _check_database(self) -> Findings:
        server, error = None, ""
        if not self._read.problems:
            try:
                server = self._server.get()
            except TransientError as reason:
                error = str(reason)
        return judge_database(
            DatabaseFacts(
                server=server,
                error=error,
                settings_usable=not self._read.problems,
                connections_needed=2 * self._settings.database.pool_size + 4,
                agent_runs=self._agent_runs(),
            )
        )
