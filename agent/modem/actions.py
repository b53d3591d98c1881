"""What a pass may do to a modem: a closed union; the executor matches every one."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from agent.core.identifiers import Iccid
from agent.modem.model import DataSession, IpSettings, Route, Rule


@dataclass(frozen=True, slots=True)
class SilenceEcho:
    """`ATE0`"""


@dataclass(frozen=True, slots=True)
class ReportErrorsAsText:
    """`AT+CMEE=2`"""


@dataclass(frozen=True, slots=True)
class SwitchToQmi:
    """`AT+QCFG="usbnet",0` and `AT+CFUN=1,1`: the modem leaves the bus and comes back."""


@dataclass(frozen=True, slots=True)
class EnableRadio:
    """`AT+CFUN=1`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnterPin:
    """`AT+CPIN="…"`, after the try has been remembered."""

    iccid: Iccid
    pin: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReportRegistration:
    """`AT+CREG=2`, `AT+CGREG=2`, `AT+CEREG=2`"""


@dataclass(frozen=True, slots=True)
class ReportPacketEvents:
    """`AT+CGEREP=2,1`"""


@dataclass(frozen=True, slots=True)
class SelectOperatorAutomatically:
    """`AT+COPS=0`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchToRawIp:
    """Link down, `Y` to the driver's switch; ConfigureLink brings it up again."""

    path: str
    link_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartBearer:
    """`--wds-start-network`; `NoEffect` adopts the session that is there."""

    apn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopBearer:
    """Stop the data session and give its client id back."""

    session: DataSession


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSession:
    """Give back the client id of a session whose bearer is gone."""

    session: DataSession


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigureLink:
    """Up, MTU, alternative name, and exactly these addresses, without prefix routes."""

    link_index: int
    settings: tuple[IpSettings, ...]
    mtu: int | None
    alternative_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRouting:
    """Add (replacing what is equal but for its target), then delete: there is never a moment without a rule."""

    add_rules: frozenset[Rule] = frozenset()
    add_routes: frozenset[Route] = frozenset()
    delete_rules: frozenset[Rule] = frozenset()
    delete_routes: frozenset[Route] = frozenset()
    relax_reverse_path_filter_of: int | None = None
    """Index of the link whose reverse path filter goes off, or as low as `all` leaves it an effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteProxyConfiguration:
    """Checked, then written atomically, mode 0640."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StartProxy:
    """Start the unit; it reads the text that is on disk."""


@dataclass(frozen=True, slots=True)
class ReloadProxy:
    """Have the running instance read the text that is on disk."""


@dataclass(frozen=True, slots=True)
class RestartProxy:
    """For a listener that is dead, or a change that a reload does not take."""


@dataclass(frozen=True, slots=True)
class StopProxy:
    """Stop the unit; its configuration stays."""


class RecoveryStep(StrEnum):
    """Escalation, mildest first."""

    REREGISTER = "reregister"
    RECONNECT = "reconnect"
    CYCLE_RADIO = "cycle_radio"
    RESET_USB = "reset_usb"
    CYCLE_PORT_POWER = "cycle_port_power"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recover:
    """One step of recovery."""

    step: RecoveryStep
    session: DataSession | None = None
    """For RECONNECT: the session to end first."""


Action = (
    SilenceEcho
    | ReportErrorsAsText
    | SwitchToQmi
    | EnableRadio
    | EnterPin
    | ReportRegistration
    | ReportPacketEvents
    | SelectOperatorAutomatically
    | SwitchToRawIp
    | StartBearer
    | StopBearer
    | ReleaseSession
    | ConfigureLink
    | ApplyRouting
    | WriteProxyConfiguration
    | StartProxy
    | ReloadProxy
    | RestartProxy
    | StopProxy
    | Recover
)
