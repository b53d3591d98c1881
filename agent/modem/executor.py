"""Carries out one action at a time; every wait has a deadline, and nothing is retried here: the next pass decides."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import assert_never

from agent.core.clock import Deadline
from agent.core.errors import DeviceError, TransientError
from agent.modem import ec25
from agent.modem.actions import (
    Action,
    ApplyRouting,
    ConfigureLink,
    EnableRadio,
    EnterPin,
    Recover,
    RecoveryStep,
    ReleaseSession,
    ReloadProxy,
    ReportErrorsAsText,
    ReportPacketEvents,
    ReportRegistration,
    RestartProxy,
    SelectOperatorAutomatically,
    SilenceEcho,
    StartBearer,
    StartProxy,
    StopBearer,
    StopProxy,
    SwitchToQmi,
    SwitchToRawIp,
    WriteProxyConfiguration,
)
from agent.modem.machine import Machine, Timing
from agent.modem.model import DataSession, Desired, Hardware
from agent.modem.ports import AtPort, Qmi

logger = logging.getLogger(__name__)

IPV4 = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the actions of one pass work on."""

    desired: Desired
    hardware: Hardware | None
    at: AtPort | None


@dataclass(frozen=True, slots=True)
class Executor:
    """Turns actions into effects. Raises AgentError classes; a raised action has changed as much as it got to."""

    machine: Machine
    qmi: Qmi
    timing: Timing

    def execute(self, action: Action, bench: Bench) -> None:
        """Carry out `action`."""
        match action:
            case (
                SilenceEcho()
                | ReportErrorsAsText()
                | SwitchToQmi()
                | EnableRadio()
                | EnterPin()
                | ReportRegistration()
                | ReportPacketEvents()
                | SelectOperatorAutomatically()
            ):
                self._speak_at(action, _port(bench))
            case SwitchToRawIp() | StartBearer() | StopBearer() | ReleaseSession():
                self._speak_qmi(action, bench)
            case ConfigureLink():
                self.machine.links.configure(action)
            case ApplyRouting():
                self.machine.routing.apply(action)
            case WriteProxyConfiguration() | StartProxy() | ReloadProxy() | RestartProxy() | StopProxy():
                self._serve(action, bench.desired)
            case Recover():
                self._recover(action, bench)
            case _:
                assert_never(action)

    # -- AT ----------------------------------------------------------------------------------------------------------

    def _speak_at(
        self,
        action: SilenceEcho
        | ReportErrorsAsText
        | SwitchToQmi
        | EnableRadio
        | EnterPin
        | ReportRegistration
        | ReportPacketEvents
        | SelectOperatorAutomatically,
        port: AtPort,
    ) -> None:
        match action:
            case SilenceEcho():
                self._command(port, "ATE0")
            case ReportErrorsAsText():
                self._command(port, "AT+CMEE=2")
            case SwitchToQmi():
                self._command(port, 'AT+QCFG="usbnet",0')
                ec25.restart(port, Deadline.after(self.timing.at_seconds))
            case EnableRadio():
                self._command(port, "AT+CFUN=1", seconds=ec25.CFUN_SECONDS)
            case EnterPin(iccid=iccid, pin=pin):
                # Remembered first: should we die in between, the PIN counts as tried, and the card is safe.
                self.machine.pins.remember(iccid, pin)
                self._command(port, f'AT+CPIN="{pin}"')
                self.machine.pins.accept(iccid, pin)
            case ReportRegistration():
                for family in ("CREG", "CGREG", "CEREG"):
                    self._command(port, f"AT+{family}=2")
            case ReportPacketEvents():
                self._command(port, "AT+CGEREP=2,1")
            case SelectOperatorAutomatically():
                self._command(port, "AT+COPS=0", seconds=self.timing.operator_selection_seconds)
            case _:
                assert_never(action)

    def _command(self, port: AtPort, text: str, *, seconds: float | None = None) -> None:
        port.command(text, Deadline.after(self.timing.at_seconds if seconds is None else seconds))

    # -- QMI ---------------------------------------------------------------------------------------------------------

    def _speak_qmi(self, action: SwitchToRawIp | StartBearer | StopBearer | ReleaseSession, bench: Bench) -> None:
        node, serial = _qmi_node(bench), bench.desired.serial
        deadline = Deadline.after(self.timing.qmi_seconds)
        match action:
            case SwitchToRawIp(path=path, link_index=index):
                self.qmi.set_raw_ip(node, deadline)
                self.machine.links.switch_to_raw_ip(index, path)
            case StartBearer(apn=apn):
                session = self.qmi.start_network(node, apn=apn, family=IPV4, deadline=deadline)
                self.machine.sessions.save(serial, session)
            case StopBearer(session=session):
                self.qmi.stop_network(node, session, deadline)
                self.machine.sessions.save(serial, None)
            case ReleaseSession(session=session):
                self._release(node, session, deadline)
                self.machine.sessions.save(serial, None)
            case _:
                assert_never(action)

    def _release(self, node: str, session: DataSession, deadline: Deadline) -> None:
        try:
            self.qmi.release(node, session, deadline)
        except DeviceError as error:
            # A modem that has restarted knows nothing of the client id any more; then there is nothing to give back.
            logger.info("client id was not released", extra={"CLIENT_ID": session.client_id, "ERROR": str(error)})

    # -- proxy -------------------------------------------------------------------------------------------------------

    def _serve(
        self,
        action: WriteProxyConfiguration | StartProxy | ReloadProxy | RestartProxy | StopProxy,
        desired: Desired,
    ) -> None:
        proxies, serial = self.machine.proxies, desired.serial
        uid = desired.allocation.uid if desired.allocation is not None else None
        match action:
            case StopProxy():
                proxies.stop(serial)
            case ReloadProxy():
                proxies.reload(serial)
            case WriteProxyConfiguration() | StartProxy() | RestartProxy() if uid is None:
                raise TransientError("the modem has no uid yet; the database assigns it")
            case WriteProxyConfiguration(text=text):
                proxies.write(serial, uid, text)
            case StartProxy():
                proxies.start(serial, uid)
            case RestartProxy():
                proxies.restart(serial, uid)
            case _:
                assert_never(action)

    # -- recovery ----------------------------------------------------------------------------------------------------

    def _recover(self, action: Recover, bench: Bench) -> None:
        timing = self.timing
        match action.step:
            case RecoveryStep.REREGISTER:
                ec25.reregister(_port(bench), Deadline.after(timing.operator_selection_seconds))
            case RecoveryStep.RECONNECT:
                if action.session is not None:
                    self._speak_qmi(StopBearer(session=action.session), bench)
            case RecoveryStep.CYCLE_RADIO:
                ec25.cycle_radio(_port(bench), detached_seconds=timing.radio_cycle_seconds)
            case RecoveryStep.RESET_USB:
                self.machine.usb.reset(_hardware(bench))
            case RecoveryStep.CYCLE_PORT_POWER:
                if not self.machine.usb.cycle_power(_hardware(bench)):
                    raise DeviceError("this machine cannot switch the power of the modem's USB port")
            case _:
                assert_never(action.step)


def _port(bench: Bench) -> AtPort:
    if bench.at is None:
        raise TransientError("the AT port is not open")
    return bench.at


def _hardware(bench: Bench) -> Hardware:
    if bench.hardware is None:
        raise TransientError("the modem is not plugged in")
    return bench.hardware


def _qmi_node(bench: Bench) -> str:
    node = bench.hardware.qmi_node if bench.hardware is not None else None
    if node is None:
        raise TransientError("the modem has no QMI port")
    return node
