"""Other hands: who holds the modems' ports, and which network managers run here."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

from agent.doctor.holders import Holder, HolderFacts, lastmile_command
from agent.doctor.links import ManagerFacts, ModemLink
from agent.host.doctor.modems import PluggedModem
from agent.host.doctor.places import Places, read_text
from agent.host.doctor.processes import Processes


def fetch_holders(modems: Collection[PluggedModem], processes: Processes) -> HolderFacts:
    """Every process that has a node of these modems open."""
    ports = {
        number: (node, modem.usb.slot)
        for modem in modems
        for node in modem.nodes
        if (number := _device_number(node)) is not None
    }
    holders = [
        Holder(
            pid=process.pid,
            name=process.name,
            node=ports[number][0],
            slot=ports[number][1],
            is_agent=lastmile_command(process.command) == "agent",
        )
        for process in processes.all
        for number in sorted(process.devices & ports.keys())
    ]
    agents = (each for each in processes.all if each.shares_network and lastmile_command(each.command) == "agent")
    return HolderFacts(
        holders=tuple(holders),
        agents=tuple(sorted(process.pid for process in agents)),
        complete=processes.complete or not ports,
        modemmanager_runs=processes.runs("ModemManager"),
    )


def _device_number(node: str) -> int | None:
    try:
        return os.stat(node).st_rdev  # noqa: PTH116 - a number, no path
    except OSError:
        return None


def fetch_managers(places: Places, modems: Collection[PluggedModem], processes: Processes) -> ManagerFacts:
    """What NetworkManager and systemd-networkd say of the modems' links (their files below /run), and how the
    managers that run are configured."""
    networkd = _networkd_settings(places)
    dhcpcd = read_text(places.root / "etc/dhcpcd.conf") or ""
    return ManagerFacts(
        links=tuple(
            _link(places.root / "run", modem.usb.link, modem.link_index)
            for modem in modems
            if modem.usb.link is not None and modem.link_index is not None
        ),
        networkd_runs=processes.runs("systemd-networkd"),
        networkd_keeps_foreign_rules=networkd.get("ManageForeignRoutingPolicyRules") in _NO,
        networkd_keeps_foreign_routes=networkd.get("ManageForeignRoutes") in _NO,
        dhcpcd_runs=processes.runs("dhcpcd"),
        dhcpcd_spares_links=re.search(r"^\s*(denyinterfaces\s.*wwan|allowinterfaces\s)", dhcpcd, re.MULTILINE)
        is not None,
    )


_NO = ("no", "false", "0", "off", "n", "f")


def _link(run: Path, name: str, index: int) -> ModemLink:
    manager = _values(read_text(run / "NetworkManager/devices" / str(index)) or "")
    networkd = _values(read_text(run / "systemd/netif/links" / str(index)) or "")
    return ModemLink(
        name=name,
        networkmanager_manages=manager["managed"] == "true" if "managed" in manager else None,
        networkd_state=networkd.get("ADMIN_STATE"),
    )


def _networkd_settings(places: Places) -> dict[str, str]:
    """[Network] of networkd.conf(5): the main file, then the drop-ins in the order of their names."""
    main = next((path for path in (places.root / each for each in _NETWORKD_MAIN) if path.exists()), None)
    drop_ins = [paths[0] for paths in places.named("systemd/networkd.conf.d", "*.conf")]
    values: dict[str, str] = {}
    for path in ([main] if main is not None else []) + drop_ins:
        values.update(_values(read_text(path) or ""))
    return values


_NETWORKD_MAIN = ("etc/systemd/networkd.conf", "run/systemd/networkd.conf", "usr/lib/systemd/networkd.conf")


def _values(text: str) -> dict[str, str]:
    """`Name=value` lines; comments and sections are left out."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith(("#", ";")))
    return {name.strip(): value.strip() for name, _, value in pairs}
