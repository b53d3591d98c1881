"""RPCs about the session and the CPE as a whole: who calls and why, what it can do, restarts (TR-069 A6 Annex A)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agent.acs.identity import DeviceIdentity
from agent.acs.soap.structs import Event, ParameterFault, ParameterValue, SoapFaultCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Inform:
    """The CPE calls (TR-069 A6 §A.3.3.1)."""

    identity: DeviceIdentity
    events: tuple[Event, ...] = ()
    max_envelopes: int = 1
    current_time: datetime | None = None
    """By the clock of the CPE, in UTC; None when it does not know, or wrote what is no time."""
    retry_count: int = 0
    parameters: tuple[ParameterValue, ...] = ()
    """As in GetParameterValuesResponse: all in order; of two values of a name the last one counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InformResponse:
    """Go on (TR-069 A6 §A.3.3.1)."""

    max_envelopes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRPCMethods:
    """What can you do? Either side may ask (TR-069 A6 §A.3.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetRPCMethodsResponse:
    """Names of RPCs (TR-069 A6 §A.3.1.1)."""

    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInform:
    """Call again after a while (TR-069 A6 §A.4.1.2)."""

    delay_seconds: int
    command_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInformResponse:
    """It will (TR-069 A6 §A.4.1.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot:
    """Restart when the session is over (TR-069 A6 §A.3.2.9)."""

    command_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebootResponse:
    """It will (TR-069 A6 §A.3.2.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryReset:
    """Forget everything, when the session is over (TR-069 A6 §A.4.1.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryResetResponse:
    """It will (TR-069 A6 §A.4.1.6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kicked:
    """The subscriber was sent to us by a web page of the CPE (TR-069 A6 §A.4.2.1)."""

    command: str = ""
    referer: str = ""
    arg: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KickedResponse:
    """Where the browser goes next (TR-069 A6 §A.4.2.1)."""

    next_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The other side says no (TR-069 A6 §3.5, §A.5)."""

    code: str
    """`9000` to `9899` of a CPE, `8000` to `8899` of an ACS. As written, so it may be no number, or empty."""
    string: str = ""
    parameters: tuple[ParameterFault, ...] = ()
    """All that was wrong with a SetParameterValues."""
    soap_code: SoapFaultCode = SoapFaultCode.CLIENT


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRPC:
    """A method that is none of CWMP's: to be answered with fault 8000 (TR-069 A6 §A.5)."""

    name: str
    """Without prefix."""
