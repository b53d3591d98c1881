"""`lastmile host …`"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli.context import load_settings

if TYPE_CHECKING:
    from agent.core.settings.schema import Settings
    from agent.host.clearing import HostClearing
    from agent.host.netlink import NetlinkChannel
    from agent.host.proxy.units import UnitRunner

SYSTEMD_RUNS = Path("/run/systemd/system")
"""sd_booted(3)"""


@click.group("host")
def command() -> None:
    """This machine, as lastmile has set it up."""


@command.command("clear")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even while the agent runs, which would set everything up again.")
@click.pass_obj
def clear(config: Path | None, yes: bool, force: bool) -> None:
    """Take everything of lastmile off this machine: stop every proxy, then remove every rule, route, address, link
    name and device link. The settings and the database stay; the agent sets all of it up again when it starts."""
    from agent.host.netlink import NetlinkChannel

    if os.geteuid() != 0:
        raise click.ClickException("only root can change the network: sudo lastmile host clear")
    settings = load_settings(config)
    users = _agent_processes(settings)
    if users and not force:
        raise click.ClickException(
            f"the agent runs (process {users[0]}) and would set everything up again: first stop it, "
            "with `systemctl stop lastmile-agent`, or say --force"
        )
    if not yes:
        click.confirm("Every proxy on this machine stops, and with it its clients' connections. Go on?", abort=True)
    channel = NetlinkChannel()
    try:
        cleared = _clearing(settings, channel).clear()
    finally:
        channel.close()
    click.echo(
        f"This machine is clear. Proxies stopped: {len(cleared.proxies)}; rules removed, with their tables: "
        f"{len(cleared.rules)}; links released: {len(cleared.links)}."
    )


def _agent_processes(settings: Settings) -> tuple[int, ...]:
    """Agents that work on this host's state, whoever started them."""
    from agent.host.clearing import users_of

    return users_of([settings.agent.state_dir / "outbox.sqlite"])


def _clearing(settings: Settings, channel: NetlinkChannel) -> HostClearing:
    from agent.cli import compose
    from agent.host.clearing import HostClearing
    from agent.host.device_links import DeviceLinkDirectory
    from agent.host.links import NetlinkLinks
    from agent.host.proxy.instances import ProxyInstances
    from agent.host.routes import NetlinkRouting
    from agent.store.wish_cache import WishCache

    wishes = WishCache(settings.agent.state_dir / "wishes.json", compose.host_name(settings))
    numbers = compose.host_range_of(settings)
    return HostClearing(
        proxies=ProxyInstances(
            _units(settings), config_dir=settings.proxy.config_dir, state_dir=settings.agent.run_dir / "proxies"
        ),
        routing=NetlinkRouting(channel),
        links=NetlinkLinks(channel),
        device_links=DeviceLinkDirectory(settings.agent.device_dir),
        uids=numbers.uids,
        tables=numbers.tables,
        allocations=tuple(wish.allocation for wish in wishes.fetch()),
    )


def _units(settings: Settings) -> UnitRunner:
    from agent.cli import compose
    from agent.host.proxy.no_units import NoUnits

    if settings.proxy.runner == "systemd" and not SYSTEMD_RUNS.is_dir():
        return NoUnits()
    return compose.unit_runner(settings)
