"""Wishes and their configuration, as the tests of this folder use them."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from agent.core.identifiers import Serial
from agent.host.proxy.render import ThreeProxyRenderer
from agent.modem.model import Address, Allocation, Desired, ProxyPolicy

SERIAL = Serial("867698040000011")
RESOLVERS: tuple[Address, ...] = (ip_address("203.0.113.53"), ip_address("2001:db8::53"))
POLICY = ProxyPolicy(
    listen=ip_address("192.0.2.1"), allow=("192.0.2.0/25", "fd00:2::/64"), deny_to=("198.51.100.7/32", "10.1.0.0/16")
)
USERS = (("alice", "correct/horse=1"), ("bob", "battery-staple"))


def desired(**changes: Any) -> Desired:
    """A modem's wishes; `changes` go to its proxy policy."""
    return Desired(
        serial=SERIAL,
        allocation=Allocation(tcp_port=3128, uid=70_000, table=20_000),
        proxy=replace(POLICY, **changes),
    )


def configuration(**changes: Any) -> str:
    return ThreeProxyRenderer().render(desired(**changes), RESOLVERS)
