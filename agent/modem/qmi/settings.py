"""The answer to `--wds-get-current-settings`."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

from agent.core.errors import ProtocolError
from agent.modem.model import Address, IpSettings
from agent.modem.qmi.output import entries

_MTU_MOST = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentSettings:
    """What the carrier gave a session, by address family; None for a family it gave nothing of."""

    ipv4: IpSettings | None = None
    ipv6: IpSettings | None = None


def parse_current_settings(text: str) -> CurrentSettings:
    """Parse the settings, quoted or not; raise ProtocolError when an address is malformed.

    An unspecified address counts as none; masks become prefixes, a session without a mask is a /32.
    """
    values = {entry.key: entry.value for entry in entries(text)}
    try:
        mtu = _parse_mtu(values.get("MTU"))
        return CurrentSettings(ipv4=_parse_ipv4(values, mtu), ipv6=_parse_ipv6(values, mtu))
    except ValueError as exc:
        raise ProtocolError("qmicli printed a malformed address", text) from exc


def _parse_mtu(text: str | None) -> int | None:
    if text is None or not text.isdecimal():
        return None
    return int(text) if 0 < int(text) <= _MTU_MOST else None


def _parse_ipv4(values: dict[str, str], mtu: int | None) -> IpSettings | None:
    address = _address(values.get("IPv4 address"))
    if not isinstance(address, IPv4Address):
        return None
    mask = values.get("IPv4 subnet mask", "32")
    return IpSettings(
        interface=IPv4Interface(f"{address}/{mask}"),
        gateway=_address(values.get("IPv4 gateway address")),
        nameservers=_nameservers(values, "IPv4"),
        mtu=mtu,
    )


def _parse_ipv6(values: dict[str, str], mtu: int | None) -> IpSettings | None:
    text = values.get("IPv6 address")
    if _address(text) is None or text is None:
        return None
    interface = ip_interface(text)
    if not isinstance(interface, IPv6Interface):
        raise ProtocolError("qmicli printed an IPv6 address that is none", text)
    return IpSettings(
        interface=interface,
        gateway=_address(values.get("IPv6 gateway address")),
        nameservers=_nameservers(values, "IPv6"),
        mtu=mtu,
    )


def _nameservers(values: dict[str, str], family: str) -> tuple[Address, ...]:
    found = (_address(values.get(f"{family} {place} DNS")) for place in ("primary", "secondary"))
    return tuple(dict.fromkeys(address for address in found if address is not None))


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """The address in `text` without its prefix; None for nothing and for an unspecified one."""
    if not text or text in ("n/a", "none", "unknown"):
        return None
    address = ip_address(text.partition("/")[0])
    return None if address.is_unspecified else address
