"""What one pass sees of a modem and of its place on this machine. It only reads; what is absent is a value."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from agent.core.clock import Deadline, Instant, now
from agent.core.errors import DeviceError, TransientError
from agent.core.identifiers import Imei, Serial
from agent.modem import ec25
from agent.modem.machine import Machine, Timing
from agent.modem.model import (
    Address,
    Bearer,
    Cell,
    DataSession,
    Desired,
    Hardware,
    Identity,
    IpSettings,
    LinkState,
    ModemConfiguration,
    Observed,
    Probe,
    ProxyState,
    RoutingState,
    Sim,
    SimState,
    UnitState,
)
from agent.modem.ports import AtPort, Qmi

logger = logging.getLogger(__name__)

PARTIAL_SECONDS = 30.0
"""How long a configuration with holes in it is believed."""


@dataclass(slots=True)
class Observer:
    """Sees one modem; remembers what hardly ever changes until `refresh_seconds` have passed or `forget` is called."""

    machine: Machine
    qmi: Qmi
    timing: Timing
    nameservers: tuple[Address, ...] = ()
    """The carrier's resolvers, last seen; they outlive the bearer, so that the proxy's configuration does too."""
    _identity: Identity | None = None
    _configuration: ModemConfiguration | None = None
    _sim: Sim | None = None
    _settings: tuple[DataSession, IpSettings | None] | None = None
    _read_at: Instant = field(default=float("-inf"))

    @property
    def imei(self) -> Imei | None:
        """The IMEI the modem gave when it was asked last."""
        return self._identity.imei if self._identity is not None else None

    def forget(self) -> None:
        """Have the next look read everything."""
        self._configuration = None
        self._sim = None
        self._settings = None

    def observe(self, desired: Desired, hardware: Hardware | None, at: AtPort | None, *, probe: bool) -> Observed:
        """Look at everything once. Raises TransientError when the machine itself cannot be read."""
        if now() - self._read_at > self.timing.refresh_seconds:
            self.forget()
            self._read_at = now()
        responsive = at is not None and self._answers(at)
        if not responsive:
            self.forget()
        control_answers = True
        bearer: Bearer | None = None
        stray: tuple[DataSession, ...] = ()
        try:
            bearer, stray = self._observe_bearer(desired.serial, hardware)
        except (TransientError, DeviceError) as error:
            logger.warning("bearer cannot be seen", extra={"MODEM": desired.serial, "ERROR": str(error)})
            control_answers = False
        link = self._observe_link(hardware)
        routing = self._observe_routing(desired, link)
        modem = at if responsive else None
        sim = self._observe_sim(modem)
        return Observed(
            hardware=hardware,
            responsive=responsive,
            identity=self._identity,
            configuration=self._observe_configuration(modem),
            sim=sim,
            cell=self._observe_cell(modem, sim),
            control_answers=control_answers,
            bearer=bearer,
            stray_sessions=stray,
            link=link,
            routing=routing,
            proxy=self._observe_proxy(desired),
            probe=self._probe(desired, bearer, link, routing) if probe else None,
        )

    def identify(self, at: AtPort) -> Identity:
        """Who the modem says it is. Raises TransientError or DeviceError when it does not say."""
        self._identity = ec25.read_identity(at, Deadline.after(self.timing.at_seconds))
        return self._identity

    # -- AT ----------------------------------------------------------------------------------------------------------

    def _answers(self, at: AtPort) -> bool:
        try:
            at.command("AT", Deadline.after(self.timing.at_seconds))
        except (TransientError, DeviceError) as error:
            logger.debug("AT port does not answer", extra={"ERROR": str(error)})
            return False
        return True

    def _observe_configuration(self, at: AtPort | None) -> ModemConfiguration:
        if at is None:
            return ModemConfiguration()
        if self._configuration is None:
            self._configuration = ec25.read_configuration(at, Deadline.after(self.timing.at_seconds))
            if ec25.is_partial(self._configuration):
                self._read_at = min(self._read_at, now() - self.timing.refresh_seconds + PARTIAL_SECONDS)
        # Of the echo every command tells, so nothing needs to be asked.
        return replace(self._configuration, echo=at.echo_seen)

    def _observe_sim(self, at: AtPort | None) -> Sim | None:
        if at is None:
            return None
        sim = ec25.read_sim(at, Deadline.after(self.timing.at_seconds), known=self._sim)
        self._sim = sim if sim.state is SimState.READY else None
        return sim

    def _observe_cell(self, at: AtPort | None, sim: Sim | None) -> Cell:
        if at is None or sim is None:
            return Cell()
        return ec25.read_cell(at, Deadline.after(self.timing.at_seconds))

    # -- QMI ---------------------------------------------------------------------------------------------------------

    def _observe_bearer(
        self, serial: Serial, hardware: Hardware | None
    ) -> tuple[Bearer | None, tuple[DataSession, ...]]:
        session = self.machine.sessions.fetch(serial)
        if session is None or hardware is None or hardware.qmi_node is None:
            return None, ()
        deadline = Deadline.after(self.timing.qmi_seconds)
        if not self.qmi.connected(hardware.qmi_node, session, deadline):
            self._settings = None
            return None, (session,)
        if self._settings is None or self._settings[0] != session:
            self._settings = (session, self.qmi.settings(hardware.qmi_node, session, deadline))
        settings = self._settings[1]
        if settings is None:
            return None, (session,)
        if settings.nameservers:
            self.nameservers = settings.nameservers
        version = settings.interface.version
        return Bearer(
            session=session, ipv4=settings if version == 4 else None, ipv6=settings if version == 6 else None
        ), ()

    # -- this machine ------------------------------------------------------------------------------------------------

    def _observe_link(self, hardware: Hardware | None) -> LinkState | None:
        if hardware is None or hardware.link_index is None:
            return None
        return self.machine.links.observe(hardware.link_index, hardware.raw_ip_path)

    def _observe_routing(self, desired: Desired, link: LinkState | None) -> RoutingState:
        if desired.allocation is None:
            return RoutingState()
        return self.machine.routing.observe(desired.allocation, link.index if link is not None else None)

    def _observe_proxy(self, desired: Desired) -> ProxyState:
        if desired.allocation is None or desired.proxy is None:
            return ProxyState()
        return self.machine.proxies.observe(desired.serial, desired.proxy.listen, desired.allocation.tcp_port)

    def _probe(
        self, desired: Desired, bearer: Bearer | None, link: LinkState | None, routing: RoutingState
    ) -> Probe | None:
        """None while the way is not laid yet: then there is nothing to be learned."""
        if bearer is None or link is None or desired.allocation is None:
            return None
        if not any(route.link_index == link.index for route in routing.routes):
            return None
        found = self.machine.prober.probe(
            desired.allocation.uid, self.nameservers, Deadline.after(self.timing.probe_seconds)
        )
        if not found.passed:
            # The network may have given the bearer another address: AT says nothing of that.
            self._settings = None
        return found


def proxy_is_up(observed: Observed) -> bool:
    """Whether the modem's proxy takes clients."""
    return observed.proxy.unit is UnitState.ACTIVE and observed.proxy.listening
