"""RPCs about software modules, options and vouchers (TR-069 A6 §A.4)."""

from __future__ import annotations

from dataclasses import dataclass

from agent.acs.soap.structs import AutonOpResult, Operation, OpResult, Option


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDUState:
    """Install, update or remove deployment units (TR-069 A6 §A.4.1.10)."""

    operations: tuple[Operation, ...]
    command_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDUStateResponse:
    """It will; a DUStateChangeComplete tells how it went (TR-069 A6 §A.4.1.10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DUStateChangeComplete:
    """How the operations of a ChangeDUState ended (TR-069 A6 §A.4.2.3)."""

    results: tuple[OpResult, ...] = ()
    command_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DUStateChangeCompleteResponse:
    """Heard (TR-069 A6 §A.4.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonomousDUStateChangeComplete:
    """Deployment units changed without our asking (TR-069 A6 §A.4.2.4)."""

    results: tuple[AutonOpResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonomousDUStateChangeCompleteResponse:
    """Heard (TR-069 A6 §A.4.2.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptions:
    """Read options; an empty name reads all (TR-069 A6 §A.4.1.4)."""

    option_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GetOptionsResponse:
    """The options (TR-069 A6 §A.4.1.4)."""

    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVouchers:
    """Turn options on or off by signed vouchers (TR-069 A6 §A.4.1.3)."""

    vouchers: tuple[str, ...]
    """Each in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVouchersResponse:
    """Taken (TR-069 A6 §A.4.1.3)."""
