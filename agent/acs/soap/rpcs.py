"""The RPCs of CWMP: what each has, in the order of the schemas `cwmp-1-0.xsd` to `cwmp-1-4.xsd`."""

from __future__ import annotations

from agent.acs.soap import messages as soap
from agent.acs.soap.kinds import Boolean, Infos, Kind, Number, OptionalText, Strings, Text, Time, Values
from agent.acs.soap.shapes import (
    Array,
    AttributeChanges,
    Events,
    Group,
    Identity,
    Member,
    Part,
    Repeated,
    Shape,
    Variants,
)


def _member(attribute: str, element: str, kind: Kind, *, required: bool = False) -> Member:
    return Member(attribute=attribute, element=element, kind=kind, required=required)


_TEXT, _VERBATIM, _COUNT, _FLAG, _TIME = Text(), Text(verbatim=True), Number(), Boolean(), Time()
_PARAMETER_KEY = _member("parameter_key", "ParameterKey", _TEXT)
_COMMAND_KEY = _member("command_key", "CommandKey", _TEXT)
_OBJECT_NAME = _member("object_name", "ObjectName", _TEXT)
_FILE_TYPE = _member("file_type", "FileType", _TEXT)
_FILE_SIZE = _member("file_size", "FileSize", _COUNT)
_TARGET = _member("target_file_name", "TargetFileName", _TEXT)
_DELAY = _member("delay_seconds", "DelaySeconds", _COUNT)
# A CPE that leaves the status out has done what it was told.
_STATUS = _member("status", "Status", _COUNT)
_VALUES = _member("parameters", "ParameterList", Values())
_NAMES = _member("names", "ParameterNames", Strings())
_MAX_ENVELOPES = _member("max_envelopes", "MaxEnvelopes", Number(absent=1, lenient=True))
_START, _COMPLETE = _member("start_time", "StartTime", _TIME), _member("complete_time", "CompleteTime", _TIME)
_CREDENTIALS = (_member("username", "Username", _VERBATIM), _member("password", "Password", _VERBATIM))
_FAULT_MEMBERS = (
    _member("fault_code", "FaultCode", Text(fallback="0")),
    _member("fault_string", "FaultString", _VERBATIM),
)
_FAULT_STRUCT = Group(element="FaultStruct", members=_FAULT_MEMBERS)
_UUID, _VERSION = _member("uuid", "UUID", OptionalText()), _member("version", "Version", OptionalText())
_EXECUTION_ENV = _member("execution_env_ref", "ExecutionEnvRef", OptionalText())
_OPTIONAL_CREDENTIALS = (
    _member("username", "Username", OptionalText(verbatim=True)),
    _member("password", "Password", OptionalText(verbatim=True)),
)

_PARAMETER_ATTRIBUTE = Shape(
    name="ParameterAttributeStruct",
    make=soap.ParameterAttribute,
    parts=(
        _member("name", "Name", _TEXT),
        _member("notification", "Notification", Number(lenient=True)),
        _member("access_list", "AccessList", Strings()),
    ),
)
_TIME_WINDOW = Shape(
    name="TimeWindowStruct",
    make=soap.TimeWindow,
    parts=(
        _member("start_seconds", "WindowStart", _COUNT),
        _member("end_seconds", "WindowEnd", _COUNT),
        _member("mode", "WindowMode", _TEXT),
        _member("user_message", "UserMessage", _VERBATIM),
        _member("max_retries", "MaxRetries", _COUNT),
    ),
)
_QUEUED_TRANSFER = Shape(
    name="QueuedTransferStruct", make=soap.QueuedTransfer, parts=(_COMMAND_KEY, _member("state", "State", _COUNT))
)
_ALL_QUEUED_TRANSFER = Shape(
    name="AllQueuedTransferStruct",
    make=soap.AllQueuedTransfer,
    parts=(
        _COMMAND_KEY,
        _member("state", "State", _COUNT),
        _member("is_download", "IsDownload", _FLAG),
        _FILE_TYPE,
        _FILE_SIZE,
        _TARGET,
    ),
)
_OPTION = Shape(
    name="OptionStruct",
    make=soap.Option,
    parts=(
        _member("name", "OptionName", _TEXT),
        _member("voucher_serial", "VoucherSN", _COUNT),
        _member("state", "State", _COUNT),
        _member("mode", "Mode", _COUNT),
        _member("start_time", "StartDate", _TIME),
        _member("expiration_time", "ExpirationDate", Time(optional=True)),
        _member("is_transferable", "IsTransferable", _FLAG),
    ),
)
_ARGUMENT = Shape(
    name="ArgStruct",
    make=soap.FileTypeArgument,
    parts=(_member("name", "Name", _TEXT), _member("value", "Value", _VERBATIM)),
)
_OPERATIONS = (
    Shape(
        name="InstallOpStruct",
        make=soap.InstallOperation,
        parts=(_member("url", "URL", _TEXT), _UUID, *_OPTIONAL_CREDENTIALS, _EXECUTION_ENV),
    ),
    Shape(
        name="UpdateOpStruct",
        make=soap.UpdateOperation,
        parts=(_UUID, _VERSION, _member("url", "URL", OptionalText()), *_OPTIONAL_CREDENTIALS),
    ),
    Shape(
        name="UninstallOpStruct",
        make=soap.UninstallOperation,
        parts=(_member("uuid", "UUID", _TEXT), _VERSION, _EXECUTION_ENV),
    ),
)
_RESULT_PARTS: tuple[Part, ...] = (
    _member("uuid", "UUID", _TEXT),
    _member("deployment_unit_ref", "DeploymentUnitRef", _TEXT),
    _member("version", "Version", _TEXT),
    _member("current_state", "CurrentState", _TEXT),
    _member("resolved", "Resolved", _FLAG),
    _member("execution_unit_ref_list", "ExecutionUnitRefList", _TEXT),
    _START,
    _COMPLETE,
    Group(element="Fault", members=_FAULT_MEMBERS),
)
_OP_RESULT = Shape(name="OpResultStruct", make=soap.OpResult, parts=_RESULT_PARTS)
_AUTON_OP_RESULT = Shape(
    name="AutonOpResultStruct",
    make=soap.AutonOpResult,
    parts=(*_RESULT_PARTS, _member("operation_performed", "OperationPerformed", _TEXT)),
)

_SHAPES = (
    Shape(
        name="Inform",
        make=soap.Inform,
        parts=(
            _member("identity", "DeviceId", Identity(), required=True),
            _member("events", "Event", Events()),
            _MAX_ENVELOPES,
            _member("current_time", "CurrentTime", _TIME),
            _member("retry_count", "RetryCount", Number(lenient=True)),
            _VALUES,
        ),
    ),
    Shape(name="InformResponse", make=soap.InformResponse, parts=(_MAX_ENVELOPES,)),
    Shape(name="GetRPCMethods", make=soap.GetRPCMethods),
    Shape(
        name="GetRPCMethodsResponse",
        make=soap.GetRPCMethodsResponse,
        parts=(_member("methods", "MethodList", Strings()),),
    ),
    Shape(name="SetParameterValues", make=soap.SetParameterValues, parts=(_VALUES, _PARAMETER_KEY)),
    Shape(name="SetParameterValuesResponse", make=soap.SetParameterValuesResponse, parts=(_STATUS,)),
    Shape(name="GetParameterValues", make=soap.GetParameterValues, parts=(_NAMES,)),
    Shape(name="GetParameterValuesResponse", make=soap.GetParameterValuesResponse, parts=(_VALUES,)),
    Shape(
        name="GetParameterNames",
        make=soap.GetParameterNames,
        parts=(_member("parameter_path", "ParameterPath", _TEXT), _member("next_level", "NextLevel", _FLAG)),
    ),
    Shape(
        name="GetParameterNamesResponse",
        make=soap.GetParameterNamesResponse,
        parts=(_member("parameters", "ParameterList", Infos()),),
    ),
    Shape(
        name="SetParameterAttributes",
        make=soap.SetParameterAttributes,
        parts=(_member("attributes", "ParameterList", AttributeChanges()),),
    ),
    Shape(name="SetParameterAttributesResponse", make=soap.SetParameterAttributesResponse),
    Shape(name="GetParameterAttributes", make=soap.GetParameterAttributes, parts=(_NAMES,)),
    Shape(
        name="GetParameterAttributesResponse",
        make=soap.GetParameterAttributesResponse,
        parts=(_member("attributes", "ParameterList", Array(shape=_PARAMETER_ATTRIBUTE)),),
    ),
    Shape(name="AddObject", make=soap.AddObject, parts=(_OBJECT_NAME, _PARAMETER_KEY)),
    Shape(
        name="AddObjectResponse",
        make=soap.AddObjectResponse,
        parts=(_member("instance_number", "InstanceNumber", Number(), required=True), _STATUS),
    ),
    Shape(name="DeleteObject", make=soap.DeleteObject, parts=(_OBJECT_NAME, _PARAMETER_KEY)),
    Shape(name="DeleteObjectResponse", make=soap.DeleteObjectResponse, parts=(_STATUS,)),
    Shape(
        name="Download",
        make=soap.Download,
        parts=(
            _COMMAND_KEY,
            _FILE_TYPE,
            _member("url", "URL", _TEXT),
            *_CREDENTIALS,
            _FILE_SIZE,
            _TARGET,
            _DELAY,
            _member("success_url", "SuccessURL", _TEXT),
            _member("failure_url", "FailureURL", _TEXT),
        ),
    ),
    # Which of the two it is decides whether to wait for a TransferComplete, so this status must be there.
    Shape(
        name="DownloadResponse",
        make=soap.DownloadResponse,
        parts=(_member("status", "Status", Number(), required=True), _START, _COMPLETE),
    ),
    Shape(
        name="Upload",
        make=soap.Upload,
        parts=(_COMMAND_KEY, _FILE_TYPE, _member("url", "URL", _TEXT), *_CREDENTIALS, _DELAY),
    ),
    Shape(
        name="UploadResponse",
        make=soap.UploadResponse,
        parts=(_member("status", "Status", Number(), required=True), _START, _COMPLETE),
    ),
    Shape(
        name="ScheduleDownload",
        make=soap.ScheduleDownload,
        parts=(
            _COMMAND_KEY,
            _FILE_TYPE,
            _member("url", "URL", _TEXT),
            *_CREDENTIALS,
            _FILE_SIZE,
            _TARGET,
            _member("windows", "TimeWindowList", Array(shape=_TIME_WINDOW)),
        ),
    ),
    Shape(name="ScheduleDownloadResponse", make=soap.ScheduleDownloadResponse),
    Shape(name="CancelTransfer", make=soap.CancelTransfer, parts=(_COMMAND_KEY,)),
    Shape(name="CancelTransferResponse", make=soap.CancelTransferResponse),
    Shape(name="GetQueuedTransfers", make=soap.GetQueuedTransfers),
    Shape(
        name="GetQueuedTransfersResponse",
        make=soap.GetQueuedTransfersResponse,
        parts=(_member("transfers", "TransferList", Array(shape=_QUEUED_TRANSFER)),),
    ),
    Shape(name="GetAllQueuedTransfers", make=soap.GetAllQueuedTransfers),
    Shape(
        name="GetAllQueuedTransfersResponse",
        make=soap.GetAllQueuedTransfersResponse,
        parts=(_member("transfers", "TransferList", Array(shape=_ALL_QUEUED_TRANSFER)),),
    ),
    Shape(name="Reboot", make=soap.Reboot, parts=(_COMMAND_KEY,)),
    Shape(name="RebootResponse", make=soap.RebootResponse),
    Shape(name="FactoryReset", make=soap.FactoryReset),
    Shape(name="FactoryResetResponse", make=soap.FactoryResetResponse),
    Shape(name="ScheduleInform", make=soap.ScheduleInform, parts=(_DELAY, _COMMAND_KEY)),
    Shape(name="ScheduleInformResponse", make=soap.ScheduleInformResponse),
    Shape(
        name="ChangeDUState",
        make=soap.ChangeDUState,
        parts=(_member("operations", "Operations", Variants(shapes=_OPERATIONS)), _COMMAND_KEY),
    ),
    Shape(name="ChangeDUStateResponse", make=soap.ChangeDUStateResponse),
    Shape(
        name="DUStateChangeComplete",
        make=soap.DUStateChangeComplete,
        parts=(_member("results", "Results", Repeated(shape=_OP_RESULT)), _COMMAND_KEY),
    ),
    Shape(name="DUStateChangeCompleteResponse", make=soap.DUStateChangeCompleteResponse),
    Shape(
        name="AutonomousDUStateChangeComplete",
        make=soap.AutonomousDUStateChangeComplete,
        parts=(_member("results", "Results", Repeated(shape=_AUTON_OP_RESULT)),),
    ),
    Shape(name="AutonomousDUStateChangeCompleteResponse", make=soap.AutonomousDUStateChangeCompleteResponse),
    Shape(name="GetOptions", make=soap.GetOptions, parts=(_member("option_name", "OptionName", _TEXT),)),
    Shape(
        name="GetOptionsResponse",
        make=soap.GetOptionsResponse,
        parts=(_member("options", "OptionList", Array(shape=_OPTION)),),
    ),
    Shape(
        name="SetVouchers",
        make=soap.SetVouchers,
        parts=(_member("vouchers", "VoucherList", Strings(item="base64", array="SOAP-ENC:base64")),),
    ),
    Shape(name="SetVouchersResponse", make=soap.SetVouchersResponse),
    Shape(
        name="TransferComplete",
        make=soap.TransferComplete,
        parts=(_COMMAND_KEY, _FAULT_STRUCT, _START, _COMPLETE),
    ),
    Shape(name="TransferCompleteResponse", make=soap.TransferCompleteResponse),
    Shape(
        name="AutonomousTransferComplete",
        make=soap.AutonomousTransferComplete,
        parts=(
            _member("announce_url", "AnnounceURL", _TEXT),
            _member("transfer_url", "TransferURL", _TEXT),
            _member("is_download", "IsDownload", _FLAG),
            _FILE_TYPE,
            _FILE_SIZE,
            _TARGET,
            _FAULT_STRUCT,
            _START,
            _COMPLETE,
        ),
    ),
    Shape(name="AutonomousTransferCompleteResponse", make=soap.AutonomousTransferCompleteResponse),
    Shape(
        name="Kicked",
        make=soap.Kicked,
        parts=(
            _member("command", "Command", _TEXT),
            _member("referer", "Referer", _TEXT),
            _member("arg", "Arg", _VERBATIM),
            _member("next", "Next", _TEXT),
        ),
    ),
    Shape(name="KickedResponse", make=soap.KickedResponse, parts=(_member("next_url", "NextURL", _TEXT),)),
    Shape(
        name="RequestDownload",
        make=soap.RequestDownload,
        parts=(_FILE_TYPE, _member("arguments", "FileTypeArg", Array(shape=_ARGUMENT))),
    ),
    Shape(name="RequestDownloadResponse", make=soap.RequestDownloadResponse),
)

BY_NAME = {shape.name: shape for shape in _SHAPES}
"""The shape of an RPC by its name."""
BY_CLASS = {shape.make: shape for shape in _SHAPES}
"""The shape of an RPC by its class in `messages`."""
