"""A modem's 3proxy configuration as text: the same wishes give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_network
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from agent.core.errors import ConfigError, InvariantError
from agent.core.templates import templates_directory
from agent.host.proxy.directives import Network, Operation
from agent.host.proxy.hazards import DENIED_NETWORKS, LOG_FORMAT_FILTER, MOST_NAMESERVERS
from agent.modem.model import Address, Desired, ProxyPolicy

_TEMPLATE = "3proxy/3proxy.cfg.j2"
_LOG_FIELDS = (
    '"time":"%Y-%m-%dT%H:%M:%S.%.Z"',
    '"service":"%N"',
    '"tcp_port":%p',
    '"error":"%E"',
    '"user":"%U"',
    '"client":"%C"',
    '"client_tcp_port":%c',
    '"host":"%n"',
    '"target":"%R"',
    '"target_tcp_port":%r',
    '"rx_bytes":%I',
    '"tx_bytes":%O',
    '"duration_ms":%D',
)
LOG_FORMAT = LOG_FORMAT_FILTER + "{" + ",".join(_LOG_FIELDS) + "}"
"""One JSON object to a line; bytes from 0x80 up pass through, so readers decode with replacement."""


class ThreeProxyRenderer:
    """`agent.modem.ports.ProxyRenderer` with the template in `templates/3proxy`."""

    def __init__(self, templates: Path | None = None) -> None:
        """`templates`: the folder that holds `3proxy/`; None: the one that came with this package."""
        environment = Environment(
            loader=FileSystemLoader(templates or templates_directory()),
            undefined=StrictUndefined,
            autoescape=False,  # noqa: S701 - not HTML; what is quoted, is quoted by `quoted`
            trim_blocks=True,
            lstrip_blocks=False,
            keep_trailing_newline=True,
        )
        environment.filters["quoted"] = _quoted
        environment.filters["resolver"] = _resolver
        self._template = environment.get_template(_TEMPLATE)

    def render(self, desired: Desired, nameservers: tuple[Address, ...]) -> str:
        """The configuration of the modem's proxy; `nameservers` unless its policy names its own.

        Raises ConfigError when the policy has an unusable network or no resolver at all; whether the text is safe
        is judged by `hazards`, when it is written.
        """
        policy, allocation = desired.proxy, desired.allocation
        if policy is None or allocation is None:
            raise InvariantError(f"modem {desired.serial} has no proxy policy or no allocation to render")
        resolvers = policy.nameservers or nameservers
        if not resolvers:
            raise ConfigError(f"modem {desired.serial}: no resolver is known for its proxy")
        values: dict[str, Any] = {
            "serial": desired.serial,
            "log_format": LOG_FORMAT,
            "nameservers": _once(resolvers)[:MOST_NAMESERVERS],
            "maximum_connections": policy.maximum_connections,
            "users": policy.users,
            "denied": tuple(network_text(network) for network in denied_networks(policy)),
            "clients": _once(_networks(policy.allow)),
            "operations": list(Operation),
            "tcp_port": allocation.tcp_port,
            "listen": policy.listen,
        }
        try:
            return self._template.render(values)
        except TemplateError as error:
            raise InvariantError(f"template {_TEMPLATE}: {error}") from error


def network_text(network: Network) -> str:
    """CIDR, the same under every Python: 3.13 began to write IPv4-mapped addresses with dots, and a text that changes
    reloads every proxy."""
    address = network.network_address
    if not isinstance(address, IPv6Address) or address.ipv4_mapped is None:
        return str(network)
    high, low = divmod(int(address.ipv4_mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}/{network.prefixlen}"


def denied_networks(policy: ProxyPolicy) -> tuple[Network, ...]:
    """The built-in list, then the address listened on and what the policy adds, as far as not covered already."""
    denied = list(DENIED_NETWORKS)
    more = {ip_network(policy.listen), *_networks(policy.deny_to)}
    for network in sorted(more, key=lambda each: (each.version, each.prefixlen, each.network_address)):
        if not any(_is_within(network, each) for each in denied):
            denied.append(network)
    return tuple(denied)


def _is_within(network: Network, wider: Network) -> bool:
    return (
        network.version == wider.version and network.prefixlen >= wider.prefixlen and network.network_address in wider
    )


def _networks(texts: Iterable[str]) -> list[Network]:
    try:
        return [ip_network(text, strict=False) for text in texts]
    except ValueError as error:
        raise ConfigError(f"proxy policy: {error}") from error


def _once(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _resolver(address: Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)
