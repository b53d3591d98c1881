"""What a farm tells about itself; the same values on both sides of its control socket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """A packet that left by the host's uplink."""

    protocol: str
    """tcp, udp, icmp, icmp6, or the protocol's number"""
    source: str
    destination: str
    destination_port: int
    """0 for a protocol without ports"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierEvent:
    """Something that came through a modem to its carrier's servers."""

    kind: str
    """dns, http, tcp or udp"""
    source: str
    destination: str
    destination_port: int
    detail: str
    """The name asked for, the request's path, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemStatus:
    """One emulated modem, as it is now. Nodes and numbers are None while it is unplugged."""

    modem: int
    """Its number in the farm, from 1; it keeps it over replugs."""
    imei: str
    iccid: str
    slot: str | None
    at_node: str | None
    qmi_node: str | None
    link_name: str | None
    link_index: int | None
    registered: bool
    addresses: tuple[str, ...]
    """Of its bearers, without prefix."""
    qmi_clients: dict[str, list[int]]
    """Client ids that are given out, by service."""
    faults: tuple[str, ...]
    pin_tries_left: int
    pins_entered: int
    """How many PINs its card was ever given, right or wrong."""
    lost: int = 0
    """Over USB/IP: pieces of what its ports said, and the host did not read in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FarmInfo:
    """Where a running farm is."""

    name: str
    pid: int
    mount_namespace: str
    root: str
    """Paths for nsenter, valid while the farm process lives; `root` is `/` unless the farm runs in a chroot."""
    network_namespace: str
    host_address: str
    """The farm's address on its LAN: its proxies listen here."""
    client_address: str
    """This machine's address on that LAN."""
    lan_link: str
    """This machine's link to that LAN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestStatus:
    """The virtual machine at the other end of USB/IP."""

    connected: bool
    boot_id: str | None
    attached: tuple[int, ...]
    """Numbers of the modems whose device the guest's kernel has configured."""
