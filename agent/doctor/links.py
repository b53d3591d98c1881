"""Whether another network manager has its hands on the modems' links, or on rules and routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.doctor.findings import Finding, Findings, failure, listed, ok, warning

TRIGGER = "udevadm control --reload && udevadm trigger --action=change --subsystem-match=net"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemLink:
    """A modem's link as the managers see it; None: they do not know it."""

    name: str
    networkmanager_manages: bool | None
    networkd_state: str | None
    """ADMIN_STATE of systemd-networkd: `unmanaged`, `configured`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerFacts:
    """The managers that run on this host."""

    links: tuple[ModemLink, ...]
    networkd_runs: bool
    networkd_keeps_foreign_rules: bool
    """ManageForeignRoutingPolicyRules=no"""
    networkd_keeps_foreign_routes: bool
    """ManageForeignRoutes=no"""
    dhcpcd_runs: bool
    dhcpcd_spares_links: bool
    """Whether its configuration denies wwan links, or allows others only."""


def judge_managers(facts: ManagerFacts) -> Findings:
    """links.networkmanager, links.networkd, links.dhcpcd, links.networkd_rules"""
    found = (*_hands(facts), *_foreign(facts))
    return found or (ok("links.managers", "no other network manager touches the modems' links, rules and routes"),)


def _hands(facts: ManagerFacts) -> Iterator[Finding]:
    managed = [link.name for link in facts.links if link.networkmanager_manages]
    if managed:
        yield failure(
            "links.networkmanager",
            f"NetworkManager manages {listed(managed)}",
            f"{TRIGGER} (once: nmcli device set {managed[0]} managed no)",
        )
    networkd = [link.name for link in facts.links if link.networkd_state not in (None, "unmanaged", "pending")]
    if networkd:
        yield failure(
            "links.networkd",
            f"systemd-networkd configures {listed(networkd)}",
            "make its .network files match other links only ([Match] Name=, Type=), then: networkctl reload",
        )
    if facts.dhcpcd_runs and not facts.dhcpcd_spares_links:
        yield warning(
            "links.dhcpcd",
            "dhcpcd runs, and takes every link",
            "echo 'denyinterfaces wwan*' >> /etc/dhcpcd.conf && systemctl restart dhcpcd",
        )


def _foreign(facts: ManagerFacts) -> Iterator[Finding]:
    lines = []
    if not facts.networkd_keeps_foreign_rules:
        lines.append("ManageForeignRoutingPolicyRules=no")
    if not facts.networkd_keeps_foreign_routes:
        lines.append("ManageForeignRoutes=no")
    if facts.networkd_runs and lines:
        text = "\\n".join(("[Network]", *lines, ""))
        yield warning(
            "links.networkd_rules",
            "systemd-networkd removes rules and routes that are not its own when it starts or reconfigures",
            "mkdir -p /etc/systemd/networkd.conf.d && "
            f"printf '{text}' > /etc/systemd/networkd.conf.d/lastmile.conf && systemctl restart systemd-networkd",
        )
