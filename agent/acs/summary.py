"""What a device is and does, in the same words whether its data model is TR-098 (`InternetGatewayDevice.`) or TR-181
(`Device.`). Pure: stored values in, facts out; what a device does not tell is None or missing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.acs.paths import root_of

HOSTS_MOST = 256
_TRUE = frozenset({"1", "true"})
_RECEIVED = re.compile(r"(?:^|[._])RX_?Power$", re.IGNORECASE)
_SENT = re.compile(r"(?:^|[._])TX_?Power$", re.IGNORECASE)
_INSTANCE = re.compile(r"(?<=\.)[0-9]{1,9}(?=\.)")
_LAYERS_MOST = 8
TOPS = (
    "DeviceInfo.",
    "WANDevice.",
    "LANDevice.",
    "IP.",
    "PPP.",
    "DHCPv4.",
    "Ethernet.",
    "WiFi.",
    "Hosts.",
    "Optical.",
    "DSL.",
)
"""Second words of the paths that are looked at, with their dots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wan:
    """A connection to the provider's side."""

    path: str
    """The object it was read from."""
    name: str
    kind: str
    """PPP or IP"""
    status: str
    up: bool
    address: str | None
    ipv6_address: str | None
    gateway: str | None
    dns_servers: tuple[str, ...]
    username: str | None
    uptime_seconds: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lan:
    """A network of the subscriber's."""

    path: str
    address: str | None
    subnet_mask: str | None
    dhcp_enabled: bool | None
    dhcp_first: str | None
    dhcp_last: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wifi:
    """A radio network."""

    path: str
    ssid: str
    ssid_path: str
    """The parameter that the name is set by."""
    enabled: bool | None
    status: str
    up: bool
    band: str | None
    """2.4 GHz, 5 GHz or 6 GHz"""
    channel: int | None
    channel_is_automatic: bool | None
    standards: str | None
    security: str | None
    bssid: str | None
    clients: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine in the subscriber's network."""

    name: str
    address: str | None
    mac: str | None
    active: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Optical:
    """The optical side of a PON device."""

    path: str
    rx_power_dbm: float | None
    tx_power_dbm: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dsl:
    """The DSL side."""

    path: str
    status: str
    down_kbps: int | None
    up_kbps: int | None
    down_margin_db: float | None
    up_margin_db: float | None
    modulation: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a device tells of itself."""

    root: str | None
    """`Device.`, `InternetGatewayDevice.`; None when no value says."""
    manufacturer: str | None
    model: str | None
    description: str | None
    serial_number: str | None
    hardware_version: str | None
    software_version: str | None
    uptime_seconds: int | None
    memory_total_bytes: int | None
    memory_free_bytes: int | None
    cpu_percent: int | None
    wan: tuple[Wan, ...]
    lan: tuple[Lan, ...]
    wifi: tuple[Wifi, ...]
    hosts: tuple[Host, ...]
    optical: Optical | None
    dsl: Dsl | None


def summarise(values: Mapping[str, str]) -> Summary:
    """The facts in a device's stored values, {path: value}."""
    root = root_of(values)
    tree = _Tree(values, root or "")
    info = f"{tree.root}DeviceInfo."
    old = root == "InternetGatewayDevice."
    return Summary(
        root=root,
        manufacturer=tree.text(f"{info}Manufacturer"),
        model=tree.text(f"{info}ModelName") or tree.text(f"{info}ProductClass"),
        description=tree.text(f"{info}Description"),
        serial_number=tree.text(f"{info}SerialNumber"),
        hardware_version=tree.text(f"{info}HardwareVersion"),
        software_version=tree.text(f"{info}SoftwareVersion"),
        uptime_seconds=tree.number(f"{info}UpTime"),
        memory_total_bytes=_kibibytes(tree.number(f"{info}MemoryStatus.Total")),
        memory_free_bytes=_kibibytes(tree.number(f"{info}MemoryStatus.Free")),
        cpu_percent=tree.number(f"{info}ProcessStatus.CPUUsage"),
        wan=tuple(_old_wan(tree) if old else _new_wan(tree)),
        lan=tuple(_old_lan(tree) if old else _new_lan(tree)),
        wifi=tuple(_old_wifi(tree) if old else _new_wifi(tree)),
        hosts=tuple(_hosts(tree, old)),
        optical=_optical(tree),
        dsl=_old_dsl(tree) if old else _new_dsl(tree),
    )


class _Tree:
    """Values by path, and which instances an object has."""

    def __init__(self, values: Mapping[str, str], root: str) -> None:
        self.values = values
        self.root = root
        self._instances: dict[str, set[int]] = {}
        for path in values:
            for found in _INSTANCE.finditer(path):
                self._instances.setdefault(path[: found.start()], set()).add(int(found[0]))

    def text(self, path: str) -> str | None:
        """A value; None when there is none, or it is empty."""
        return self.values.get(path, "").strip() or None

    def number(self, path: str) -> int | None:
        text = self.text(path)
        return int(text) if text and re.fullmatch(r"[+-]?[0-9]{1,18}", text) else None

    def real(self, path: str) -> float | None:
        text = self.text(path)
        return float(text) if text and re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", text) else None

    def flag(self, path: str) -> bool | None:
        text = self.text(path)
        return None if text is None else text.lower() in _TRUE

    def address(self, path: str) -> str | None:
        """An IP address; None also for the one that means none."""
        text = self.text(path)
        return None if text in ("0.0.0.0", "::") else text  # noqa: S104

    def each(self, *parts: str) -> Iterator[str]:
        """The instances below the root: `each("WANDevice.", "WANConnectionDevice.")` gives the inner objects' paths."""
        paths = [self.root]
        for part in parts:
            paths = [f"{path}{part}{number}." for path in paths for number in self.instances(f"{path}{part}")]
        yield from paths

    def instances(self, path: str) -> list[int]:
        """The numbers of an object's instances, in their order."""
        return sorted(self._instances.get(path, ()))


# TR-098


def _old_wan(tree: _Tree) -> Iterator[Wan]:
    for kind, part in (("PPP", "WANPPPConnection."), ("IP", "WANIPConnection.")):
        for path in tree.each("WANDevice.", "WANConnectionDevice.", part):
            status = tree.text(f"{path}ConnectionStatus") or "Unknown"
            yield Wan(
                path=path,
                name=tree.text(f"{path}Name") or path.removeprefix(tree.root),
                kind=kind,
                status=status,
                up=status == "Connected",
                address=tree.address(f"{path}ExternalIPAddress"),
                ipv6_address=None,
                gateway=tree.address(f"{path}DefaultGateway") or tree.address(f"{path}RemoteIPAddress"),
                dns_servers=_list(tree.text(f"{path}DNSServers")),
                username=tree.text(f"{path}Username"),
                uptime_seconds=tree.number(f"{path}Uptime"),
            )


def _old_lan(tree: _Tree) -> Iterator[Lan]:
    for lan in tree.each("LANDevice."):
        management = f"{lan}LANHostConfigManagement."
        interface = f"{management}IPInterface.1."
        address = tree.address(f"{interface}IPInterfaceIPAddress") or tree.address(f"{management}IPRouters")
        dhcp = tree.flag(f"{management}DHCPServerEnable")
        if address is not None or dhcp is not None:
            yield Lan(
                path=management,
                address=address,
                subnet_mask=tree.text(f"{interface}IPInterfaceSubnetMask") or tree.text(f"{management}SubnetMask"),
                dhcp_enabled=dhcp,
                dhcp_first=tree.address(f"{management}MinAddress"),
                dhcp_last=tree.address(f"{management}MaxAddress"),
            )


def _old_wifi(tree: _Tree) -> Iterator[Wifi]:
    for path in tree.each("LANDevice.", "WLANConfiguration."):
        channel = tree.number(f"{path}Channel")
        status = tree.text(f"{path}Status") or "Unknown"
        yield Wifi(
            path=path,
            ssid=tree.values.get(f"{path}SSID", ""),
            ssid_path=f"{path}SSID",
            enabled=tree.flag(f"{path}Enable"),
            status=status,
            up=status == "Up",
            band=_band(tree.text(f"{path}OperatingFrequencyBand"), channel),
            channel=channel or None,
            channel_is_automatic=tree.flag(f"{path}AutoChannelEnable"),
            standards=tree.text(f"{path}Standard"),
            security=tree.text(f"{path}BeaconType"),
            bssid=tree.text(f"{path}BSSID"),
            clients=tree.number(f"{path}TotalAssociations"),
        )


def _old_dsl(tree: _Tree) -> Dsl | None:
    for wan in tree.each("WANDevice."):
        path = f"{wan}WANDSLInterfaceConfig."
        status = tree.text(f"{path}Status")
        if status is not None:
            return _dsl(tree, path, path, status, f"{path}ModulationType")
    return None


# TR-181


def _new_wan(tree: _Tree) -> Iterator[Wan]:
    clients = {tree.text(f"{path}Interface"): path for path in tree.each("DHCPv4.Client.")}
    lans = {tree.text(f"{path}Interface") for path in tree.each("DHCPv4.Server.Pool.")}
    for path in tree.each("IP.Interface."):
        layers = _layers(tree, path)
        ppp = next((layer for layer in layers if layer.startswith(f"{tree.root}PPP.Interface.")), None)
        upstream = ppp is not None or path in clients or any(tree.flag(f"{layer}Upstream") for layer in layers)
        inner = path in lans or any(layer.startswith(f"{tree.root}Bridging.") for layer in layers)
        if inner or not upstream or tree.text(f"{path}Type") == "Loopback":
            continue
        client = clients.get(path, "")
        status = (ppp and tree.text(f"{ppp}ConnectionStatus")) or tree.text(f"{path}Status") or "Unknown"
        ppp_dns = _list(tree.text(f"{ppp}IPCP.DNSServers")) if ppp else ()
        yield Wan(
            path=path,
            name=_first(tree, f"{path}X_TP_ConnName", f"{ppp}Name", f"{path}Name", f"{path}Alias")
            or path.removeprefix(tree.root),
            kind="PPP" if ppp else "IP",
            status=status,
            up=status in ("Up", "Connected"),
            address=_addresses(tree, f"{path}IPv4Address."),
            ipv6_address=_addresses(tree, f"{path}IPv6Address."),
            gateway=tree.address(f"{client}IPRouters") or (tree.address(f"{ppp}IPCP.RemoteIPAddress") if ppp else None),
            dns_servers=_list(tree.text(f"{client}DNSServers")) or ppp_dns,
            username=tree.text(f"{ppp}Username") if ppp else None,
            uptime_seconds=tree.number(f"{ppp or path}LastChange"),
        )


def _layers(tree: _Tree, path: str) -> list[str]:
    """What an interface stands on, layer by layer (TR-181 §4.2)."""
    found: list[str] = []
    waiting = [path]
    while waiting and len(found) < _LAYERS_MOST:
        lower = _list(tree.text(f"{waiting.pop(0)}LowerLayers"))
        fresh = [each if each.endswith(".") else f"{each}." for each in lower]
        fresh = [each for each in fresh if each not in found]
        found += fresh
        waiting += fresh
    return found


def _new_lan(tree: _Tree) -> Iterator[Lan]:
    for path in tree.each("DHCPv4.Server.Pool."):
        interface = tree.text(f"{path}Interface") or ""
        yield Lan(
            path=path,
            address=_addresses(tree, f"{interface}IPv4Address.") or tree.address(f"{path}IPRouters"),
            subnet_mask=tree.text(f"{path}SubnetMask"),
            dhcp_enabled=tree.flag(f"{path}Enable"),
            dhcp_first=tree.address(f"{path}MinAddress"),
            dhcp_last=tree.address(f"{path}MaxAddress"),
        )


def _new_wifi(tree: _Tree) -> Iterator[Wifi]:
    access_points = {
        (tree.text(f"{path}SSIDReference") or "").rstrip("."): path for path in tree.each("WiFi.AccessPoint.")
    }
    for path in tree.each("WiFi.SSID."):
        radio = next(iter(_layers(tree, path)), "")
        access_point = access_points.get(path.rstrip("."), "")
        channel = tree.number(f"{radio}Channel") if radio else None
        status = tree.text(f"{path}Status") or "Unknown"
        yield Wifi(
            path=path,
            ssid=tree.values.get(f"{path}SSID", ""),
            ssid_path=f"{path}SSID",
            enabled=tree.flag(f"{path}Enable"),
            status=status,
            up=status == "Up",
            band=_band(tree.text(f"{radio}OperatingFrequencyBand") if radio else None, channel),
            channel=channel or None,
            channel_is_automatic=tree.flag(f"{radio}AutoChannelEnable") if radio else None,
            standards=tree.text(f"{radio}OperatingStandards") if radio else None,
            security=tree.text(f"{access_point}Security.ModeEnabled") if access_point else None,
            bssid=tree.text(f"{path}BSSID"),
            clients=tree.number(f"{access_point}AssociatedDeviceNumberOfEntries") if access_point else None,
        )


def _new_dsl(tree: _Tree) -> Dsl | None:
    for path in tree.each("DSL.Line."):
        status = tree.text(f"{path}Status")
        if status is not None:
            channel = next(tree.each("DSL.Channel."), path)
            return _dsl(tree, path, channel, status, f"{path}StandardUsed")
    return None


# Both


def _hosts(tree: _Tree, old: bool) -> Iterator[Host]:
    paths = tree.each("LANDevice.", "Hosts.Host.") if old else tree.each("Hosts.Host.")
    for _, path in zip(range(HOSTS_MOST), paths, strict=False):
        mac = _first(tree, f"{path}MACAddress", f"{path}PhysAddress")
        yield Host(
            name=tree.text(f"{path}HostName") or "",
            address=tree.address(f"{path}IPAddress"),
            mac=mac,
            active=tree.flag(f"{path}Active"),
        )


def _dsl(tree: _Tree, path: str, channel: str, status: str, modulation: str) -> Dsl:
    return Dsl(
        path=path,
        status=status,
        down_kbps=tree.number(f"{channel}DownstreamCurrRate"),
        up_kbps=tree.number(f"{channel}UpstreamCurrRate"),
        # In tenths of a decibel.
        down_margin_db=_scaled(tree.number(f"{path}DownstreamNoiseMargin"), 0.1),
        up_margin_db=_scaled(tree.number(f"{path}UpstreamNoiseMargin"), 0.1),
        modulation=tree.text(modulation),
    )


def _optical(tree: _Tree) -> Optical | None:
    """The standard's levels are thousandths of a dBm (TR-181 Optical.Interface); makers have their own ways."""
    powers = [path for path in tree.values if path[-5:].lower() == "power" and "WiFi." not in path]
    received = next((path for path in powers if _RECEIVED.search(path)), None)
    sent = next((path for path in powers if _SENT.search(path)), None)
    if received is not None or sent is not None:
        path = received or sent or ""
        return Optical(
            path=path[: path.rfind(".") + 1],
            rx_power_dbm=_level(tree.real(received)) if received else None,
            tx_power_dbm=_level(tree.real(sent)) if sent else None,
        )
    for path in tree.each("Optical.Interface."):
        levels = [tree.number(f"{path}{name}") for name in ("OpticalSignalLevel", "TransmitOpticalLevel")]
        if any(levels):
            received_dbm, sent_dbm = (_scaled(level or None, 0.001) for level in levels)
            return Optical(path=path, rx_power_dbm=received_dbm, tx_power_dbm=sent_dbm)
    return None


def _level(value: float | None) -> float | None:
    """A level in dBm as makers give it: dBm, or what cannot be dBm and then is tenths of a microwatt."""
    if value is None or value == 0:
        return None
    if -60 <= value <= 15:
        return value
    return round(10 * math.log10(value / 10_000), 2) if 15 < value < 1e6 else None


def _band(told: str | None, channel: int | None) -> str | None:
    if told is not None:
        return told.replace("GHz", " GHz").replace("  ", " ")
    if channel is None or channel <= 0:
        return None
    return "2.4 GHz" if channel <= 14 else "5 GHz"


def _addresses(tree: _Tree, path: str) -> str | None:
    """The first address of an interface."""
    found = (tree.address(f"{path}{number}.IPAddress") for number in tree.instances(path))
    return next((address for address in found if address is not None), None)


def _first(tree: _Tree, *paths: str) -> str | None:
    return next((text for path in paths if (text := tree.text(path))), None)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip() not in ("", "0.0.0.0"))  # noqa: S104


def _kibibytes(value: int | None) -> int | None:
    return None if value is None else value * 1024


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else round(value * factor, 3)
