"""Puts the agent's parts together: the adapters for this machine, as the settings say."""

from __future__ import annotations

import shlex
import socket
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from agent.core.identifiers import Slot
from agent.core.settings.schema import Network, Settings
from agent.host import addresses
from agent.host.device_links import DeviceLinkDirectory
from agent.host.links import NetlinkLinks
from agent.host.netlink import NetlinkChannel
from agent.host.probe import SocketProber
from agent.host.proxy.instances import ProxyInstances
from agent.host.proxy.process_runner import ProcessUnits
from agent.host.proxy.render import ThreeProxyRenderer
from agent.host.proxy.systemd_units import SystemdUnits
from agent.host.proxy.units import UnitRunner
from agent.host.qmicli import QmicliClient
from agent.host.qmicli_process import ProcessRunner
from agent.host.routes import NetlinkRouting
from agent.host.serial_port import SerialPortOpener
from agent.host.state_files import FilePinMemory, FileSessionMemory
from agent.host.usb import SysfsUsbBus
from agent.modem.admission import AdmissionPolicy
from agent.modem.caretaker import HostRange
from agent.modem.health import HealthPolicy
from agent.modem.machine import Conduct, Machine, Timing
from agent.modem.model import ProxyPolicy
from agent.modem.ports import HotplugSource, Recorder, Wishes
from agent.store.wishes import AllocationRanges, DesiredDefaults

_AT_START: dict[str, tuple[str, ...]] = {
    "agent": (),
    "database": (),
    "hotplug": (),
    "modem": ("usb_ids", "leave_to_modemmanager"),
    "proxy": ("tcp_port_first", "tcp_port_last", "uid_first", "table_first", "config_dir", "runner", "command"),
    "health": ("probe_target", "probe_name", "port_power_command"),
}
"""What is read when the adapters are made and not afterwards; an empty tuple: the whole section."""
QMICLI_PROCESSES = 6
"""qmicli processes at once, of all modems together."""


def host_name(settings: Settings) -> str:
    """This host's name in the fleet."""
    return settings.agent.host or socket.gethostname()


def slots_left(settings: Settings) -> frozenset[Slot]:
    """Slots whose modems are ModemManager's."""
    return frozenset(Slot.parse(slot) for slot in settings.modem.leave_to_modemmanager)


def conduct_of(settings: Settings) -> Conduct:
    """Deadlines and the health policy."""
    modem, health = settings.modem, settings.health
    return Conduct(
        timing=Timing(
            at_seconds=modem.at_timeout_seconds,
            qmi_seconds=modem.qmi_timeout_seconds,
            open_seconds=modem.at_timeout_seconds,
            look_seconds=health.interval_seconds,
            unwell_look_seconds=min(health.interval_seconds, 10.0),
            probe_seconds=health.probe_timeout_seconds,
        ),
        health=HealthPolicy(
            failures_before_recovery=health.failures_before_recovery,
            grace_seconds=max(health.grace_seconds, modem.boot_seconds),
            minimum_uptime_seconds=health.minimum_uptime_seconds,
            recovery_wait_seconds=health.recovery_wait_seconds,
            recovery_wait_most_seconds=health.recovery_wait_most_seconds,
            quarantine_score=health.quarantine_score,
            score_half_life_seconds=health.score_half_life_seconds,
            port_power=bool(health.port_power_command),
            failure_spacing_seconds=min(5.0, health.interval_seconds / 2),
        ),
    )


def admission_of(settings: Settings) -> AdmissionPolicy:
    """How modems are let in."""
    hotplug = settings.hotplug
    return AdmissionPolicy(
        collect_seconds=hotplug.collect_seconds,
        batch_size=hotplug.batch_size,
        batch_interval_seconds=hotplug.batch_interval_seconds,
    )


def ranges_of(settings: Settings) -> AllocationRanges:
    """From where modems get TCP port, uid and table."""
    proxy = settings.proxy
    return AllocationRanges(
        tcp_port_first=proxy.tcp_port_first,
        tcp_port_last=proxy.tcp_port_last,
        uid_first=proxy.uid_first,
        table_first=proxy.table_first,
    )


def changes_for_restart(old: Settings, new: Settings) -> tuple[str, ...]:
    """Settings (`section.key`) that differ and that the running agent does not take over."""
    return tuple(
        f"{section}.{key}"
        for section, keys in _AT_START.items()
        for key in keys or type(getattr(old, section)).model_fields
        if getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
    )


def host_range_of(settings: Settings) -> HostRange:
    """The uids and tables that are the modems' on this host."""
    proxy = settings.proxy
    count = proxy.tcp_port_last - proxy.tcp_port_first + 1
    return HostRange(
        uids=range(proxy.uid_first, proxy.uid_first + count), tables=range(proxy.table_first, proxy.table_first + count)
    )


@dataclass(frozen=True, slots=True)
class HostAddresses:
    """This host's own addresses; those of the modems' links come and go and are not among them."""

    channel: NetlinkChannel
    source: HotplugSource

    def policy(self, settings: Settings) -> ProxyPolicy:
        """Who may use the proxies and for what; `auto` addresses are looked up now.

        Raises ConfigError when only the operator can say, TransientError while the network is not up."""
        proxy, modem_links = settings.proxy, self._modem_links()
        resolved = addresses.resolve_proxy_addresses(proxy, self.channel, modem_links)
        own = {str(network) for network in self.networks()}
        return ProxyPolicy(
            listen=resolved.listen,
            allow=resolved.allow,
            deny_to=tuple(sorted({*(str(network) for network in proxy.deny_to), *own})),
            users=tuple(sorted((name, secret.get_secret_value()) for name, secret in proxy.users.items())),
            nameservers=None
            if proxy.nameservers == "carrier"
            else tuple(ip_address(address) for address in proxy.nameservers),
            maximum_connections=proxy.maximum_connections,
        )

    def networks(self) -> tuple[Network, ...]:
        """Every address of this host as a network of its own: what no client may reach through a proxy."""
        own = addresses.host_addresses(self.channel, self._modem_links())
        # Loopback and link-local networks are denied as a whole anyway.
        return tuple(ip_network(address) for address in own if not (address.is_loopback or address.is_link_local))

    def _modem_links(self) -> frozenset[int]:
        return frozenset(each.link_index for each in self.source.scan() if each.link_index is not None)


def defaults_of(settings: Settings, policy: ProxyPolicy | None) -> DesiredDefaults:
    """What is wanted of every modem."""
    modem = settings.modem
    return DesiredDefaults(
        apn=modem.apn,
        pin=modem.pin.get_secret_value() if modem.pin is not None else None,
        proxy=policy,
        rule_priority=settings.proxy.rule_priority,
    )


def unit_runner(settings: Settings) -> UnitRunner:
    """systemd's units, or plain processes."""
    proxy = settings.proxy
    if proxy.runner == "systemd":
        return SystemdUnits()
    return ProcessUnits(
        shlex.split(proxy.command),
        config_dir=proxy.config_dir,
        state_dir=settings.agent.run_dir / "proxies",
        log_dir=settings.agent.run_dir / "proxies",
    )


def machine_of(settings: Settings, own: HostAddresses, recorder: Recorder, wishes: Wishes) -> Machine:
    """Every adapter of the modem's household."""
    agent, proxy, channel = settings.agent, settings.proxy, own.channel
    target, _, port = settings.health.probe_target.rpartition(":")
    runner = ProcessRunner(concurrency=QMICLI_PROCESSES)
    return Machine(
        at_ports=SerialPortOpener(),
        qmi_for=lambda record: QmicliClient(runner, on_exchange=record),
        links=NetlinkLinks(channel),
        routing=NetlinkRouting(channel),
        proxies=ProxyInstances(
            unit_runner(settings),
            config_dir=proxy.config_dir,
            state_dir=agent.run_dir / "proxies",
            must_deny=own.networks,
        ),
        renderer=ThreeProxyRenderer(),
        prober=SocketProber(settings.health.probe_name, ip_address(target.strip("[]")), int(port)),
        usb=SysfsUsbBus(power_command=settings.health.port_power_command),
        device_links=DeviceLinkDirectory(agent.device_dir),
        sessions=FileSessionMemory(agent.run_dir),
        pins=FilePinMemory(agent.state_dir),
        recorder=recorder,
        wishes=wishes,
    )
