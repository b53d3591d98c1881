"""The structures inside CWMP messages (TR-069 A6 Annex A). Times are in UTC; None is the unknown time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterValue:
    """ParameterValueStruct (TR-069 A6 §A.3.2.1).

    `type` is without prefix: `string`, `boolean`, `int`, `unsignedInt`, `long`, `unsignedLong`, `dateTime`, `base64` or
    `hexBinary`. `value` is the text as written: white space is a part of a `string`, and dropped around the others.
    """

    name: str
    value: str
    type: str = "string"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterInfo:
    """ParameterInfoStruct: a parameter, or an object when the name ends with a dot (TR-069 A6 §A.3.2.3)."""

    name: str
    writable: bool
    """Of an object: instances can be added, or this one removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterAttribute:
    """ParameterAttributeStruct (TR-069 A6 §A.3.2.5)."""

    name: str
    notification: int
    """0 off, 1 passive, 2 active, 3 to 6 with lightweight notification."""
    access_list: tuple[str, ...] = ()
    """Who but the ACS may write: `Subscriber` or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParameterAttribute:
    """SetParameterAttributesStruct (TR-069 A6 §A.3.2.4); None leaves that attribute as it is."""

    name: str
    notification: int | None = None
    access_list: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """EventStruct: why the CPE calls (TR-069 A6 §A.3.3.1). Codes that nobody knows are kept."""

    code: str
    command_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """TimeWindowStruct of a ScheduleDownload (TR-069 A6 §A.4.1.8); seconds count from the request."""

    start_seconds: int
    end_seconds: int
    mode: str
    """`1 At Any Time`, `2 Immediately`, `3 When Idle`, `4 Confirmation Needed`."""
    user_message: str = ""
    max_retries: int = 0
    """-1: the CPE decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedTransfer:
    """QueuedTransferStruct (TR-069 A6 §A.4.1.1)."""

    command_key: str
    state: int
    """1 not yet started, 2 in progress, 3 completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllQueuedTransfer:
    """AllQueuedTransferStruct (TR-069 A6 §A.4.1.7)."""

    command_key: str
    state: int
    is_download: bool
    file_type: str
    file_size: int = 0
    """Bytes; 0 when unknown."""
    target_file_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTypeArgument:
    """ArgStruct of a RequestDownload (TR-069 A6 §A.4.2.2)."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """OptionStruct (TR-069 A6 §A.4.1.4)."""

    name: str
    voucher_serial: int
    state: int
    mode: int
    start_time: datetime | None = None
    expiration_time: datetime | None = None
    is_transferable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOperation:
    """InstallOpStruct of a ChangeDUState (TR-069 A6 §A.4.1.10); None leaves an element out."""

    url: str
    uuid: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    execution_env_ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateOperation:
    """UpdateOpStruct of a ChangeDUState (TR-069 A6 §A.4.1.10); None leaves an element out."""

    uuid: str | None = None
    version: str | None = None
    url: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UninstallOperation:
    """UninstallOpStruct of a ChangeDUState (TR-069 A6 §A.4.1.10); None leaves an element out."""

    uuid: str
    version: str | None = None
    execution_env_ref: str | None = None


Operation = InstallOperation | UpdateOperation | UninstallOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class OpResult:
    """OpResultStruct: how one operation on a deployment unit ended (TR-069 A6 §A.4.2.3)."""

    uuid: str
    deployment_unit_ref: str = ""
    version: str = ""
    current_state: str = ""
    """`Installed`, `Uninstalled` or `Failed`."""
    resolved: bool = False
    execution_unit_ref_list: str = ""
    start_time: datetime | None = None
    complete_time: datetime | None = None
    fault_code: str = "0"
    fault_string: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutonOpResult(OpResult):
    """AutonOpResultStruct: the same for what the ACS did not ask for (TR-069 A6 §A.4.2.4)."""

    operation_performed: str = ""
    """`Install`, `Update` or `Uninstall`."""


class SoapFaultCode(StrEnum):
    """Whose mistake a fault was (TR-069 A6 §3.5)."""

    CLIENT = "Client"
    SERVER = "Server"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterFault:
    """SetParameterValuesFault: what was wrong with one parameter (TR-069 A6 §A.5)."""

    name: str
    code: str
    string: str = ""
