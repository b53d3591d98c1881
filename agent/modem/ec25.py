"""Conversations with a Quectel EC25 over its AT port: read what it is and does, restart it, cycle its radio.

Written against EC25-EUX firmware (Quectel EC2x&EG9x&EG25-G Series AT Commands Manual V2.0 and 3GPP TS 27.007).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from agent.core.clock import Deadline
from agent.core.errors import CmeError, DeadlineExceeded, DeviceError, ProtocolError, TransientError
from agent.core.identifiers import Iccid, Imei, Imsi, Serial
from agent.modem.actions import Action, EnableRadio, EnterPin, Recover, RecoveryStep, SwitchToQmi
from agent.modem.at.configuration import (
    parse_error_mode,
    parse_event_reports,
    parse_functionality,
    parse_usbnet,
)
from agent.modem.at.fields import name_of
from agent.modem.at.identity import parse_ati, parse_imei, parse_revision
from agent.modem.at.operators import OperatorSelection, parse_operator
from agent.modem.at.registration import Domain, RegistrationReport, parse_registration
from agent.modem.at.signal_quality import parse_csq, parse_qcsq
from agent.modem.at.sim import parse_iccid, parse_imsi, parse_sim_state, sim_state_of_error
from agent.modem.model import (
    AccessTechnology,
    Cell,
    Identity,
    ModemConfiguration,
    Registration,
    RegistrationState,
    Signal,
    Sim,
    SimState,
)
from agent.modem.ports import AtPort

logger = logging.getLogger(__name__)

CFUN_SECONDS = 15.0
"""`AT+CFUN` answers after the radio has followed: up to 15 s by the manual."""
SETTLE_TRY_SECONDS = 0.5
"""How long one `AT` is waited for on a port just opened; a modem that hears it answers within milliseconds."""
FIRST_STEP_WITHOUT_AT = RecoveryStep.RESET_USB

T = TypeVar("T")

_LOOK_NAMES = frozenset({"CPIN", "CREG", "CGREG", "CEREG", "CGEV", "QUSIM", "CFUN", "QSIMSTAT"})
_RESTART_LINES = frozenset({"RDY", "POWERED DOWN", "NORMAL POWER DOWN"})


def urc_calls_for_a_look(line: str) -> bool:
    """Whether an unsolicited line tells of something that a pass should see at once."""
    return line in _RESTART_LINES or name_of(line) in _LOOK_NAMES


def urc_means_restart(line: str) -> bool:
    """Whether the modem has lost its volatile settings."""
    return line in _RESTART_LINES or name_of(line) in ("CFUN", "QUSIM", "CPIN")


def changes_the_modem(action: Action) -> bool:
    """Whether what was read of the modem's configuration is worth nothing after `action`."""
    return isinstance(action, SwitchToQmi | EnableRadio | EnterPin | Recover) or type(action).__name__ in _CONFIGURING


_CONFIGURING = frozenset(
    {
        "SilenceEcho",
        "ReportErrorsAsText",
        "ReportRegistration",
        "ReportPacketEvents",
        "SelectOperatorAutomatically",
    }
)


def settle(at: AtPort, deadline: Deadline) -> None:
    """Find the beginning of a line: a port just opened may hold half of somebody's answer. Raises DeadlineExceeded.

    Asked again and again, since a modem that boots is deaf: what it was asked before its `RDY` it never answers."""
    while True:
        try:
            at.command("AT", deadline.earlier(SETTLE_TRY_SECONDS))
        except DeadlineExceeded:
            if deadline.passed:
                raise
        else:
            return


def serial_of(identity: Identity, usb_serial: str | None) -> Serial | None:
    """A modem's lasting name: its IMEI, else its own iSerial; None when it has neither."""
    if identity.imei is not None:
        return Serial(identity.imei)
    try:
        return Serial.parse(usb_serial) if usb_serial else None
    except ProtocolError:
        return None


def read_identity(at: AtPort, deadline: Deadline) -> Identity:
    """Manufacturer, model, firmware and IMEI; the IMEI is None when the modem has none to give.

    Raises TransientError when the modem does not answer."""
    described = _ask(at, "ATI", parse_ati, deadline) or Identity(imei=None)
    imei: Imei | None = _ask(at, "AT+CGSN", parse_imei, deadline)
    revision = _ask(at, "AT+QGMR", parse_revision, deadline)
    return replace(described, imei=imei, revision=revision or described.revision)


def read_configuration(at: AtPort, deadline: Deadline) -> ModemConfiguration:
    """The switches of the AT interface, each None where the modem did not say. Raises TransientError."""
    error_mode = _ask(at, "AT+CMEE?", parse_error_mode, deadline)
    reports = tuple(
        report.reports if (report := _registration(at, domain, deadline)) is not None else None for domain in Domain
    )
    operator = _ask(at, "AT+COPS?", parse_operator, deadline)
    return ModemConfiguration(
        echo=at.echo_seen,
        error_mode=error_mode,
        functionality=_ask(at, "AT+CFUN?", parse_functionality, deadline),
        usbnet=_ask(at, 'AT+QCFG="usbnet"', parse_usbnet, deadline),
        registration_reports=(reports[0], reports[1], reports[2]),
        event_reports=_ask(at, "AT+CGEREP?", parse_event_reports, deadline),
        operator_mode=operator.mode if operator is not None else None,
    )


def is_partial(found: ModemConfiguration) -> bool:
    """Whether some switch could not be read and is worth another try at the next look."""
    return None in (found.error_mode, found.functionality, found.usbnet, found.event_reports)


def read_sim(at: AtPort, deadline: Deadline, *, known: Sim | None) -> Sim:
    """The SIM's state, and its numbers (not asked again while `known` has them). Raises TransientError."""
    state = _sim_state(at, deadline)
    if known is not None and known.state is state and known.iccid is not None and known.imsi is not None:
        return known
    if state is SimState.ABSENT:
        return Sim(state=state)
    iccid: Iccid | None = _ask(at, "AT+QCCID", parse_iccid, deadline)
    imsi: Imsi | None = _ask(at, "AT+CIMI", parse_imsi, deadline) if state is SimState.READY else None
    return Sim(state=state, iccid=iccid, imsi=imsi)


def _sim_state(at: AtPort, deadline: Deadline) -> SimState:
    try:
        return parse_sim_state(at.command("AT+CPIN?", deadline).lines)
    except CmeError as error:
        return sim_state_of_error(error) or SimState.UNKNOWN
    except (ProtocolError, DeviceError):
        return SimState.UNKNOWN


def read_cell(at: AtPort, deadline: Deadline) -> Cell:
    """Registration, operator and signal. Raises TransientError."""
    cs, ps, eps = (_registration(at, domain, deadline) for domain in (Domain.CS, Domain.PS, Domain.EPS))
    operator = _ask(at, "AT+COPS?", parse_operator, deadline)
    # +QCSQ knows RSRP, RSRQ and SINR but is silent without service on some firmware; +CSQ always has the RSSI.
    signal = _ask(at, "AT+QCSQ", parse_qcsq, deadline)
    if signal is None or signal == Signal():
        signal = _ask(at, "AT+CSQ", parse_csq, deadline) or Signal()
    return Cell(
        signal=signal,
        registration=Registration(
            cs=_state(cs),
            ps=_state(ps),
            eps=_state(eps),
            access_technology=_technology((eps, ps, cs), operator),
            operator=_operator_name(operator),
        ),
    )


def _state(report: RegistrationReport | None) -> RegistrationState:
    return report.state if report is not None else RegistrationState.UNKNOWN


def _technology(reports: Sequence[RegistrationReport | None], operator: OperatorSelection | None) -> AccessTechnology:
    for report in reports:
        if report is not None and report.state.registered and report.access_technology is not AccessTechnology.UNKNOWN:
            return report.access_technology
    return operator.access_technology if operator is not None else AccessTechnology.UNKNOWN


def _operator_name(operator: OperatorSelection | None) -> str | None:
    return (operator.name or operator.plmn) if operator is not None else None


def _registration(at: AtPort, domain: Domain, deadline: Deadline) -> RegistrationReport | None:
    return _ask(at, f"AT+{domain}?", lambda lines: parse_registration(lines, domain), deadline)


def _ask(at: AtPort, command: str, parse: Callable[[Sequence[str]], T], deadline: Deadline) -> T | None:
    """The parsed answer; None when the modem refuses the command or answers what makes no sense.

    Raises TransientError when it does not answer at all."""
    try:
        return parse(at.command(command, deadline).lines)
    except DeviceError as error:
        logger.debug("modem refused a question", extra={"COMMAND": command, "ERROR": str(error)})
    except ProtocolError as error:
        logger.warning("answer makes no sense", extra={"COMMAND": command, "ERROR": str(error)})
    return None


def restart(at: AtPort, deadline: Deadline) -> None:
    """`AT+CFUN=1,1`: the modem leaves the bus and comes back after 20 to 30 s. Some firmware is gone before its OK."""
    try:
        at.command("AT+CFUN=1,1", deadline)
    except TransientError as error:
        logger.info("modem left before it answered", extra={"ERROR": str(error)})


def reregister(at: AtPort, deadline: Deadline) -> None:
    """Leave the network and look for one again: half of the modems find no way back by themselves after an outage."""
    at.command("AT+COPS=2", deadline)
    at.command("AT+COPS=0", deadline)


def cycle_radio(at: AtPort, *, detached_seconds: float) -> None:
    """`AT+CFUN=0`, stay away long enough for the carrier to forget the modem, `AT+CFUN=1`.

    0 and not 4: a SIM failure (CME 13) only clears when the card is powered down too."""
    at.command("AT+CFUN=0", Deadline.after(CFUN_SECONDS))
    threading.Event().wait(detached_seconds)
    at.command("AT+CFUN=1", Deadline.after(CFUN_SECONDS))
