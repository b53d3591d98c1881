"""What is known of an LTE modem and what is wanted of it: frozen values, no behaviour that can block."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface

from agent.core.identifiers import Iccid, Imei, Imsi, Serial, Slot

Address = IPv4Address | IPv6Address
Interface = IPv4Interface | IPv6Interface


class ModemState(StrEnum):
    """What a person sees of a modem."""

    DETECTED = "detected"
    INITIALISING = "initialising"
    SIM_BLOCKED = "sim_blocked"
    SEARCHING = "searching"
    REGISTERED = "registered"
    CONNECTING = "connecting"
    ONLINE = "online"
    DEGRADED = "degraded"
    RECOVERING = "recovering"
    QUARANTINED = "quarantined"
    OFFLINE = "offline"


class SimState(StrEnum):
    """`AT+CPIN?` in words (3GPP TS 27.007 §8.3, and the CME errors that stand in for an answer)."""

    READY = "ready"
    PIN_REQUIRED = "pin_required"
    PUK_REQUIRED = "puk_required"
    PIN2_REQUIRED = "pin2_required"
    PUK2_REQUIRED = "puk2_required"
    LOCKED_TO_PHONE = "locked_to_phone"
    LOCKED_TO_NETWORK = "locked_to_network"
    ABSENT = "absent"
    BUSY = "busy"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class RegistrationState(StrEnum):
    """`<stat>` of `+CREG`, `+CGREG` and `+CEREG` (3GPP TS 27.007 §7.2, §10.1.20, §10.1.22)."""

    IDLE = "idle"
    HOME = "home"
    SEARCHING = "searching"
    DENIED = "denied"
    UNKNOWN = "unknown"
    ROAMING = "roaming"

    @property
    def registered(self) -> bool:
        return self in (RegistrationState.HOME, RegistrationState.ROAMING)


class AccessTechnology(StrEnum):
    """`<AcT>` of `+CREG` and `+COPS`, by family."""

    GSM = "gsm"
    UMTS = "umts"
    LTE = "lte"
    NR = "nr"
    UNKNOWN = "unknown"


class UnitState(StrEnum):
    """State of a modem's proxy unit or process."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """What udev shows of one modem; nodes are device files of this moment, never stored."""

    slot: Slot
    usb_id: str
    """vendor:product, lower-case hexadecimal."""
    syspath: str
    """The USB device's directory in sysfs."""
    usb_serial: str | None = None
    """iSerial; None when the device has none."""
    at_node: str | None = None
    """Node of the AT_PRIMARY port."""
    qmi_node: str | None = None
    """cdc-wdm node of the QMI port."""
    link_index: int | None = None
    """ifindex of the NET port."""
    raw_ip_path: str | None = None
    """sysfs file that switches the link to raw-IP."""

    @property
    def complete(self) -> bool:
        """Whether every port that a modem needs has appeared."""
        return None not in (self.at_node, self.qmi_node, self.link_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a modem says it is."""

    imei: Imei | None
    manufacturer: str = ""
    model: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sim:
    """The SIM card in a modem."""

    state: SimState
    iccid: Iccid | None = None
    imsi: Imsi | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Radio measurements; None where the modem gave none."""

    rssi_dbm: float | None = None
    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Where a modem stands with the network: circuit-switched, packet-switched and EPS domains."""

    cs: RegistrationState = RegistrationState.UNKNOWN
    ps: RegistrationState = RegistrationState.UNKNOWN
    eps: RegistrationState = RegistrationState.UNKNOWN
    access_technology: AccessTechnology = AccessTechnology.UNKNOWN
    operator: str | None = None

    @property
    def registered(self) -> bool:
        """Whether a packet data connection can be asked for."""
        return self.ps.registered or self.eps.registered

    @property
    def denied(self) -> bool:
        return not self.registered and RegistrationState.DENIED in (self.ps, self.eps, self.cs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModemConfiguration:
    """Switches of the AT interface; None where the modem did not say."""

    echo: bool | None = None
    error_mode: int | None = None
    """`AT+CMEE?`"""
    functionality: int | None = None
    """`AT+CFUN?`"""
    usbnet: int | None = None
    """`AT+QCFG="usbnet"`: 0 is QMI."""
    registration_reports: tuple[int | None, int | None, int | None] = (None, None, None)
    """`<n>` of CREG, CGREG, CEREG."""
    event_reports: tuple[int, int] | None = None
    """`AT+CGEREP?`"""
    operator_mode: int | None = None
    """`<mode>` of `AT+COPS?`: 0 is automatic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpSettings:
    """What the carrier gave a bearer, of one address family."""

    interface: Interface
    """Local address and prefix."""
    gateway: Address | None = None
    nameservers: tuple[Address, ...] = ()
    mtu: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSession:
    """The handle of a bearer that this agent started: needed to watch, stop and release it."""

    client_id: int
    """QMI WDS client id, kept allocated for as long as the bearer is ours."""
    packet_data_handle: int | None
    """None when the bearer was there before us (`NoEffect`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """An active data connection."""

    session: DataSession
    ipv4: IpSettings | None = None
    ipv6: IpSettings | None = None

    @property
    def settings(self) -> tuple[IpSettings, ...]:
        return tuple(each for each in (self.ipv4, self.ipv6) if each is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """A network link as netlink and sysfs show it."""

    index: int
    name: str
    up: bool
    mtu: int
    raw_ip: bool | None
    """None when the driver has no such switch."""
    addresses: frozenset[Interface] = frozenset()
    """Global addresses only."""
    alternative_names: frozenset[str] = frozenset()
    rx_bytes: int = 0
    tx_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A policy routing rule: what `uid` originates, or what comes from `source`, looks in `table`. Neither: the host's
    own rule, which looks in the main table for everything but its default routes (`suppress_prefixlength 0`)."""

    family: int
    """4 or 6"""
    priority: int
    uid: int | None = None
    source: Address | None = None
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A default route of a modem's table: by a link, or `unreachable` (link_index None)."""

    family: int
    table: int
    link_index: int | None = None
    gateway: Address | None = None
    source: Address | None = None
    metric: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingState:
    """The rules and routes that the kernel has for one modem, and its link's reverse path filter."""

    rules: frozenset[Rule] = frozenset()
    routes: frozenset[Route] = frozenset()
    families: tuple[int, ...] = (4, 6)
    """Address families that this kernel has: IPv6 may be compiled out or switched off at boot."""
    reverse_path_filter: int | None = None
    """Effective rp_filter of the link (the maximum of its own and `all`); None without a link."""
    reverse_path_filter_of_all: int = 0
    """rp_filter of `all`, below which no link can go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """A modem's proxy: the file on disk, what the running instance was told to load, and whether it listens."""

    configuration: str | None = None
    loaded: str | None = None
    """Digest (`configuration_digest`) of the text the running instance read; None when unknown."""
    unit: UnitState = UnitState.INACTIVE
    listening: bool = False
    starting: bool = False
    """It was started a short while ago and is about to listen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One look through a modem's own table."""

    dns: bool
    tcp: bool
    latency_seconds: float | None = None
    detail: str = ""

    @property
    def passed(self) -> bool:
        return self.dns and self.tcp


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Of the radio: what health shows beside the registration."""

    signal: Signal = Signal()
    registration: Registration = Registration()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything one pass saw. None: not there, or not to be seen now."""

    hardware: Hardware | None = None
    responsive: bool = False
    """Whether the AT port answers."""
    identity: Identity | None = None
    configuration: ModemConfiguration = ModemConfiguration()
    sim: Sim | None = None
    cell: Cell = Cell()
    control_answers: bool = True
    """False when the QMI port was asked for the bearer and did not answer: nothing is known of the bearer then."""
    bearer: Bearer | None = None
    stray_sessions: tuple[DataSession, ...] = ()
    """Sessions remembered from before whose bearer is gone: their client ids must be given back."""
    link: LinkState | None = None
    routing: RoutingState = RoutingState()
    proxy: ProxyState = ProxyState()
    probe: Probe | None = None
    """None when none was due in this pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What the database gave a modem on its host, for ever."""

    tcp_port: int
    uid: int
    table: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyPolicy:
    """Who may use a modem's proxy and for what."""

    listen: Address
    allow: tuple[str, ...]
    """Client networks, CIDR."""
    deny_to: tuple[str, ...] = ()
    """Destinations denied besides the built-in list, CIDR; the host's own addresses are among them."""
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(name, password), sorted; empty: by address only."""
    nameservers: tuple[Address, ...] | None = None
    """None: the carrier's."""
    maximum_connections: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What is wanted of one modem."""

    serial: Serial
    enabled: bool = True
    apn: str = ""
    pin: str | None = field(default=None, repr=False)
    allocation: Allocation | None = None
    """None while the database has not given one."""
    proxy: ProxyPolicy | None = None
    rule_priority: int = 2000
