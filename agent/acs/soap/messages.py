"""Everything that a CWMP message can be, and the envelope around it. The classes live in rooms by subject; import them
from here."""

from __future__ import annotations

from dataclasses import dataclass

from agent.acs.soap.control import (
    FactoryReset,
    FactoryResetResponse,
    Fault,
    GetRPCMethods,
    GetRPCMethodsResponse,
    Inform,
    InformResponse,
    Kicked,
    KickedResponse,
    Reboot,
    RebootResponse,
    ScheduleInform,
    ScheduleInformResponse,
    UnknownRPC,
)
from agent.acs.soap.parameters import (
    AddObject,
    AddObjectResponse,
    DeleteObject,
    DeleteObjectResponse,
    GetParameterAttributes,
    GetParameterAttributesResponse,
    GetParameterNames,
    GetParameterNamesResponse,
    GetParameterValues,
    GetParameterValuesResponse,
    SetParameterAttributes,
    SetParameterAttributesResponse,
    SetParameterValues,
    SetParameterValuesResponse,
)
from agent.acs.soap.software import (
    AutonomousDUStateChangeComplete,
    AutonomousDUStateChangeCompleteResponse,
    ChangeDUState,
    ChangeDUStateResponse,
    DUStateChangeComplete,
    DUStateChangeCompleteResponse,
    GetOptions,
    GetOptionsResponse,
    SetVouchers,
    SetVouchersResponse,
)
from agent.acs.soap.structs import (
    AllQueuedTransfer,
    AutonOpResult,
    Event,
    FileTypeArgument,
    InstallOperation,
    Operation,
    OpResult,
    Option,
    ParameterAttribute,
    ParameterFault,
    ParameterInfo,
    ParameterValue,
    QueuedTransfer,
    SetParameterAttribute,
    SoapFaultCode,
    TimeWindow,
    UninstallOperation,
    UpdateOperation,
)
from agent.acs.soap.transfers import (
    AutonomousTransferComplete,
    AutonomousTransferCompleteResponse,
    CancelTransfer,
    CancelTransferResponse,
    Download,
    DownloadResponse,
    GetAllQueuedTransfers,
    GetAllQueuedTransfersResponse,
    GetQueuedTransfers,
    GetQueuedTransfersResponse,
    RequestDownload,
    RequestDownloadResponse,
    ScheduleDownload,
    ScheduleDownloadResponse,
    TransferComplete,
    TransferCompleteResponse,
    Upload,
    UploadResponse,
)
from agent.acs.soap.versions import CwmpVersion

__all__ = [
    "AcsAnswer",
    "AcsRequest",
    "AddObject",
    "AddObjectResponse",
    "AllQueuedTransfer",
    "AutonOpResult",
    "AutonomousDUStateChangeComplete",
    "AutonomousDUStateChangeCompleteResponse",
    "AutonomousTransferComplete",
    "AutonomousTransferCompleteResponse",
    "CancelTransfer",
    "CancelTransferResponse",
    "ChangeDUState",
    "ChangeDUStateResponse",
    "CpeAnswer",
    "CpeRequest",
    "CwmpVersion",
    "DUStateChangeComplete",
    "DUStateChangeCompleteResponse",
    "DeleteObject",
    "DeleteObjectResponse",
    "Download",
    "DownloadResponse",
    "Envelope",
    "Event",
    "FactoryReset",
    "FactoryResetResponse",
    "Fault",
    "FileTypeArgument",
    "GetAllQueuedTransfers",
    "GetAllQueuedTransfersResponse",
    "GetOptions",
    "GetOptionsResponse",
    "GetParameterAttributes",
    "GetParameterAttributesResponse",
    "GetParameterNames",
    "GetParameterNamesResponse",
    "GetParameterValues",
    "GetParameterValuesResponse",
    "GetQueuedTransfers",
    "GetQueuedTransfersResponse",
    "GetRPCMethods",
    "GetRPCMethodsResponse",
    "Inform",
    "InformResponse",
    "InstallOperation",
    "Kicked",
    "KickedResponse",
    "Message",
    "OpResult",
    "Operation",
    "Option",
    "ParameterAttribute",
    "ParameterFault",
    "ParameterInfo",
    "ParameterValue",
    "QueuedTransfer",
    "Reboot",
    "RebootResponse",
    "RequestDownload",
    "RequestDownloadResponse",
    "ScheduleDownload",
    "ScheduleDownloadResponse",
    "ScheduleInform",
    "ScheduleInformResponse",
    "SetParameterAttribute",
    "SetParameterAttributes",
    "SetParameterAttributesResponse",
    "SetParameterValues",
    "SetParameterValuesResponse",
    "SetVouchers",
    "SetVouchersResponse",
    "SoapFaultCode",
    "TimeWindow",
    "TransferComplete",
    "TransferCompleteResponse",
    "UninstallOperation",
    "UnknownRPC",
    "UpdateOperation",
    "Upload",
    "UploadResponse",
]

CpeRequest = (
    Inform
    | GetRPCMethods
    | TransferComplete
    | AutonomousTransferComplete
    | RequestDownload
    | Kicked
    | DUStateChangeComplete
    | AutonomousDUStateChangeComplete
)
"""What a CPE asks of the ACS."""

AcsAnswer = (
    InformResponse
    | GetRPCMethodsResponse
    | TransferCompleteResponse
    | AutonomousTransferCompleteResponse
    | RequestDownloadResponse
    | KickedResponse
    | DUStateChangeCompleteResponse
    | AutonomousDUStateChangeCompleteResponse
)
"""What the ACS answers."""

AcsRequest = (
    GetRPCMethods
    | SetParameterValues
    | GetParameterValues
    | GetParameterNames
    | SetParameterAttributes
    | GetParameterAttributes
    | AddObject
    | DeleteObject
    | Download
    | Upload
    | ScheduleDownload
    | CancelTransfer
    | GetQueuedTransfers
    | GetAllQueuedTransfers
    | Reboot
    | FactoryReset
    | ScheduleInform
    | ChangeDUState
    | GetOptions
    | SetVouchers
)
"""What the ACS asks of a CPE."""

CpeAnswer = (
    GetRPCMethodsResponse
    | SetParameterValuesResponse
    | GetParameterValuesResponse
    | GetParameterNamesResponse
    | SetParameterAttributesResponse
    | GetParameterAttributesResponse
    | AddObjectResponse
    | DeleteObjectResponse
    | DownloadResponse
    | UploadResponse
    | ScheduleDownloadResponse
    | CancelTransferResponse
    | GetQueuedTransfersResponse
    | GetAllQueuedTransfersResponse
    | RebootResponse
    | FactoryResetResponse
    | ScheduleInformResponse
    | ChangeDUStateResponse
    | GetOptionsResponse
    | SetVouchersResponse
)
"""What a CPE answers, if it does not answer with a Fault."""

Message = CpeRequest | AcsAnswer | AcsRequest | CpeAnswer | Fault | UnknownRPC


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message and its SOAP header (TR-069 A6 §3.5)."""

    message: Message | None
    """None: the body is empty."""
    id: str | None = None
    """`cwmp:ID` without outer white space: an answer carries that of its request, or none."""
    version: CwmpVersion = CwmpVersion.V1_0
    """Whose namespace was used, and is to be used."""
    hold_requests: bool = False
    """From the ACS only: do not ask for now."""
    no_more_requests: bool = False
    """From the CPE only, in CWMP 1.0: nothing more to ask. Long withdrawn, and still sent."""
    session_timeout: int | None = None
    """Seconds that the CPE waits for us, from CWMP 1.3 on."""
    supported_versions: tuple[str, ...] = ()
    """SupportedCWMPVersions of the CPE, such as `1.0`, from CWMP 1.4 on."""
    use_version: str | None = None
    """UseCWMPVersion of the ACS, from CWMP 1.4 on."""
