"""What the settings' addresses mean on this host now."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from agent.core.errors import ConfigError, TransientError
from agent.core.settings.schema import Settings
from agent.doctor.configuration import ConfigurationFacts
from agent.host.addresses import host_addresses, resolve_proxy_addresses
from agent.host.netlink import NetlinkChannel


def fetch_configuration(
    settings: Settings,
    problems: Iterable[str],
    warnings: Iterable[str],
    files: Iterable[Path],
    channel: NetlinkChannel,
    modem_links: Collection[int],
) -> ConfigurationFacts:
    """`problems`: why the settings in `files` cannot be used; `settings` are the defaults then.

    Raises TransientError."""
    listen: str | None = None
    allow: tuple[str, ...] = ()
    error = ""
    try:
        resolved = resolve_proxy_addresses(settings.proxy, channel, modem_links)
        listen, allow = str(resolved.listen), resolved.allow
    except (ConfigError, TransientError) as reason:
        error = str(reason)
    return ConfigurationFacts(
        problems=tuple(problems),
        warnings=tuple(warnings),
        readable=all(os.access(path, os.R_OK) for path in files),
        listen=listen,
        allow=allow,
        address_error=error,
        has_users=bool(settings.proxy.users),
        own_addresses=tuple(str(address) for address in host_addresses(channel, modem_links)),
        web_listen=settings.web.listen,
    )
