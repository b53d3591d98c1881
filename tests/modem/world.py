"""A modem on a machine as plain state: what the planner's actions do to it, and what a look at it shows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_interface
from typing import assert_never

from agent.core.identifiers import Iccid, Imei, Serial, Slot
from agent.modem import actions as act
from agent.modem.model import (
    Allocation,
    Bearer,
    Cell,
    DataSession,
    Desired,
    Hardware,
    Identity,
    Interface,
    IpSettings,
    LinkState,
    ModemConfiguration,
    Observed,
    Probe,
    ProxyPolicy,
    ProxyState,
    Registration,
    RegistrationState,
    Route,
    RoutingState,
    Rule,
    Sim,
    SimState,
    UnitState,
)
from agent.modem.planner import Intent
from agent.modem.proxying import configuration_digest
from agent.modem.routing import wanted_reverse_path_filter
from agent.modem.service import alternative_name

SERIAL = Serial("867584012345678")
ALLOCATION = Allocation(tcp_port=3130, uid=70_002, table=20_002)
ICCID = Iccid("89860318045712762387")
PIN = "4711"


def hardware(*, complete: bool = True) -> Hardware:
    return Hardware(
        slot=Slot("1-1.2"),
        usb_id="2c7c:0125",
        syspath="/sys/devices/usb1/1-1/1-1.2",
        at_node="/dev/ttyUSB2",
        qmi_node="/dev/cdc-wdm0" if complete else None,
        link_index=7 if complete else None,
        raw_ip_path="/sys/class/net/wwan0/qmi/raw_ip" if complete else None,
    )


def desired(*, enabled: bool = True, pin: str | None = PIN) -> Desired:
    return Desired(
        serial=SERIAL,
        enabled=enabled,
        apn="internet",
        pin=pin,
        allocation=ALLOCATION,
        proxy=ProxyPolicy(listen=IPv4Address("192.168.1.100"), allow=("192.168.1.0/24",)),
    )


@dataclass
class World:
    """Mutable; `execute` is what the modem, the kernel and the proxy would do."""

    plugged: bool = True
    responsive: bool = True
    echo: bool = True
    error_mode: int = 0
    functionality: int = 1
    usbnet: int = 0
    reports: tuple[int, int, int] = (0, 0, 0)
    events: tuple[int, int] = (0, 0)
    operator_mode: int = 0
    sim: SimState = SimState.READY
    right_pin: str = PIN
    pins_tried: set[str] = field(default_factory=set)
    pin_entries: int = 0
    coverage: RegistrationState = RegistrationState.HOME
    bearer: DataSession | None = None
    remembered: DataSession | None = None
    clients: set[int] = field(default_factory=set)
    address: Interface = ip_interface("10.64.0.5/30")
    raw_ip: bool = False
    link_up: bool = False
    mtu: int = 1500
    addresses: frozenset[Interface] = frozenset()
    names: frozenset[str] = frozenset()
    rules: frozenset[Rule] = frozenset()
    routes: frozenset[Route] = frozenset()
    reverse_path_filter: int = 1
    filter_of_all: int = 0
    text: str | None = None
    loaded: str | None = None
    unit: UnitState = UnitState.INACTIVE
    listening: bool = False

    def registered(self) -> bool:
        return self.sim is SimState.READY and self.functionality == 1 and self.coverage.registered

    def observe(self) -> Observed:
        if not self.plugged:
            return Observed(routing=self._routing(None), proxy=self._proxy())
        held = self.remembered
        alive = held is not None and held == self.bearer
        complete = self.usbnet == 0
        up = self.responsive
        stat = RegistrationState.HOME if self.registered() else RegistrationState.SEARCHING
        if not self.coverage.registered and self.coverage is not RegistrationState.SEARCHING:
            stat = self.coverage
        return Observed(
            hardware=hardware(complete=complete),
            responsive=up,
            identity=Identity(imei=Imei(SERIAL)),
            configuration=ModemConfiguration(
                echo=self.echo,
                error_mode=self.error_mode,
                functionality=self.functionality,
                usbnet=self.usbnet,
                registration_reports=self.reports,
                event_reports=self.events,
                operator_mode=self.operator_mode,
            )
            if up
            else ModemConfiguration(),
            sim=Sim(state=self.sim, iccid=ICCID) if up else None,
            cell=Cell(registration=Registration(ps=stat, eps=stat)) if up else Cell(),
            bearer=self._bearer() if complete and alive else None,
            stray_sessions=(held,) if complete and held is not None and not alive else (),
            link=self._link() if complete else None,
            routing=self._routing(7 if complete else None),
            proxy=self._proxy(),
            probe=self._probe() if complete else None,
        )

    def _bearer(self) -> Bearer | None:
        if self.bearer is None:
            return None
        settings = IpSettings(interface=self.address, nameservers=(IPv4Address("10.64.255.53"),), mtu=1430)
        return Bearer(session=self.bearer, ipv4=settings)

    def _link(self) -> LinkState:
        return LinkState(
            index=7,
            name="wwan0",
            up=self.link_up,
            mtu=self.mtu,
            raw_ip=self.raw_ip,
            addresses=self.addresses,
            alternative_names=self.names,
        )

    def _routing(self, link_index: int | None) -> RoutingState:
        return RoutingState(
            rules=self.rules,
            routes=self.routes,
            reverse_path_filter=max(self.reverse_path_filter, self.filter_of_all) if link_index is not None else None,
            reverse_path_filter_of_all=self.filter_of_all,
        )

    def _proxy(self) -> ProxyState:
        return ProxyState(configuration=self.text, loaded=self.loaded, unit=self.unit, listening=self.listening)

    def _probe(self) -> Probe:
        through = (
            self.bearer is not None
            and self.link_up
            and self.raw_ip
            and self.address in self.addresses
            and any(route.link_index == 7 and route.source == self.address.ip for route in self.routes)
            and any(rule.uid == ALLOCATION.uid and rule.family == 4 for rule in self.rules)
        )
        return Probe(dns=through, tcp=through, detail="" if through else "no way")

    def leaks(self) -> bool:
        """Whether a client could leave by the host's own uplink: a proxy that runs without its rules or fallback."""
        if self.unit is not UnitState.ACTIVE:
            return False
        for family in (4, 6):
            ruled = any(rule.uid == ALLOCATION.uid and rule.family == family for rule in self.rules)
            closed = any(route.link_index is None and route.family == family for route in self.routes)
            if not (ruled and closed):
                return True
        return False

    def intent(self, wanted: Desired, text: str | None = "proxy configuration\n") -> Intent:
        return Intent(
            desired=wanted,
            proxy_text=text,
            pin_tried=wanted.pin is not None and wanted.pin in self.pins_tried,
        )

    def execute(self, action: act.Action) -> None:  # noqa: C901 - one case an action
        match action:
            case act.SilenceEcho():
                self.echo = False
            case act.ReportErrorsAsText():
                self.error_mode = 2
            case act.SwitchToQmi():
                self.usbnet = 0
                self.restart()
            case act.EnableRadio():
                self.functionality = 1
            case act.EnterPin(pin=pin):
                self.pins_tried.add(pin)
                self.pin_entries += 1
                if pin == self.right_pin:
                    self.sim = SimState.READY
                    self.pins_tried.discard(pin)
            case act.ReportRegistration():
                self.reports = (2, 2, 2)
            case act.ReportPacketEvents():
                self.events = (2, 1)
            case act.SelectOperatorAutomatically():
                self.operator_mode = 0
            case act.SwitchToRawIp():
                self.raw_ip, self.link_up = True, False
            case act.StartBearer():
                assert self.registered(), "a bearer was asked for without registration"
                client = max(self.clients, default=0) + 1
                self.clients.add(client)
                self.bearer = self.remembered = DataSession(client_id=client, packet_data_handle=4711)
            case act.StopBearer(session=session):
                self.bearer = self.remembered = None
                self.clients.discard(session.client_id)
            case act.ReleaseSession(session=session):
                self.clients.discard(session.client_id)
                self.remembered = None
            case act.ConfigureLink(settings=settings, mtu=mtu, alternative_name=name):
                self.link_up = True
                self.mtu = mtu or self.mtu
                self.addresses = frozenset(each.interface for each in settings)
                self.names |= {name}
                gone = {
                    route
                    for route in self.routes
                    if route.source and route.source not in {a.ip for a in self.addresses}
                }
                self.routes -= gone
            case act.ApplyRouting():
                self._route(action)
            case act.WriteProxyConfiguration(text=text):
                self.text = text
            case act.StartProxy() | act.RestartProxy() | act.ReloadProxy():
                assert self.text is not None
                self.unit, self.listening, self.loaded = (
                    UnitState.ACTIVE,
                    True,
                    configuration_digest(self.text),
                )
            case act.StopProxy():
                self.unit, self.listening = UnitState.INACTIVE, False
            case act.Recover():
                self.restart()
            case _:
                assert_never(action)

    def _route(self, action: act.ApplyRouting) -> None:
        for route in action.add_routes:
            if route.source is not None:
                assert route.source in {address.ip for address in self.addresses}, (
                    "route from an address that is not there"
                )
                assert self.link_up, "route over a link that is down"
        self.rules = (self.rules | action.add_rules) - action.delete_rules
        self.routes = (self.routes | action.add_routes) - action.delete_routes
        if action.relax_reverse_path_filter_of is not None:
            self.reverse_path_filter = wanted_reverse_path_filter(self.filter_of_all)

    def restart(self) -> None:
        """The modem forgets its volatile settings and its bearer."""
        self.echo, self.error_mode, self.reports, self.events = True, 0, (0, 0, 0), (0, 0)
        self.functionality, self.bearer, self.clients = 1, None, set()
        self.link_up, self.raw_ip, self.addresses, self.names = False, False, frozenset(), frozenset()
        self.routes = frozenset(route for route in self.routes if route.link_index is None)

    def copy(self) -> World:
        return replace(self, pins_tried=set(self.pins_tried), clients=set(self.clients))


def own_name() -> str:
    return alternative_name(desired())
