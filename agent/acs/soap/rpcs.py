"""The RPCs of CWMP: what each has, in the order of the schemas `cwmp-1-0.xsd` to `cwmp-1-4.xsd`."""

from __future__ import annotations

import re

from agent.acs.soap import messages as soap
from agent.acs.soap.kinds import Infos, Number, Strings
from agent.acs.soap.members import (
    ALL_QUEUED_TRANSFER,
    ARGUMENT,
    AUTON_OP_RESULT,
    COMMAND_KEY,
    COMPLETE,
    CREDENTIALS,
    DELAY,
    FAULT_STRUCT,
    FILE_SIZE,
    FILE_TYPE,
    FLAG,
    MAX_ENVELOPES,
    NAMES,
    OBJECT_NAME,
    OP_RESULT,
    OPERATIONS,
    OPTION,
    PARAMETER_ATTRIBUTE,
    PARAMETER_KEY,
    QUEUED_TRANSFER,
    SHORT,
    START,
    STATUS,
    TARGET,
    TEXT,
    TIME,
    TIME_WINDOW,
    VALUES,
    VERBATIM,
    member,
)
from agent.acs.soap.shapes import Array, AttributeChanges, Events, Identity, Repeated, Shape, Variants

METHOD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
"""What an RPC can be called, by the schemas' bound for a MethodList and with the letters that vendors use."""

_SHAPES = (
    Shape(
        name="Inform",
        make=soap.Inform,
        parts=(
            member("identity", "DeviceId", Identity(), required=True),
            member("events", "Event", Events()),
            MAX_ENVELOPES,
            member("current_time", "CurrentTime", TIME),
            member("retry_count", "RetryCount", Number(lenient=True)),
            VALUES,
        ),
    ),
    Shape(name="InformResponse", make=soap.InformResponse, parts=(MAX_ENVELOPES,)),
    Shape(name="GetRPCMethods", make=soap.GetRPCMethods),
    Shape(
        name="GetRPCMethodsResponse",
        make=soap.GetRPCMethodsResponse,
        parts=(member("methods", "MethodList", Strings()),),
    ),
    Shape(name="SetParameterValues", make=soap.SetParameterValues, parts=(VALUES, PARAMETER_KEY)),
    Shape(name="SetParameterValuesResponse", make=soap.SetParameterValuesResponse, parts=(STATUS,)),
    Shape(name="GetParameterValues", make=soap.GetParameterValues, parts=(NAMES,)),
    Shape(name="GetParameterValuesResponse", make=soap.GetParameterValuesResponse, parts=(VALUES,)),
    Shape(
        name="GetParameterNames",
        make=soap.GetParameterNames,
        parts=(member("parameter_path", "ParameterPath", SHORT), member("next_level", "NextLevel", FLAG)),
    ),
    Shape(
        name="GetParameterNamesResponse",
        make=soap.GetParameterNamesResponse,
        parts=(member("parameters", "ParameterList", Infos()),),
    ),
    Shape(
        name="SetParameterAttributes",
        make=soap.SetParameterAttributes,
        parts=(member("attributes", "ParameterList", AttributeChanges()),),
    ),
    Shape(name="SetParameterAttributesResponse", make=soap.SetParameterAttributesResponse),
    Shape(name="GetParameterAttributes", make=soap.GetParameterAttributes, parts=(NAMES,)),
    Shape(
        name="GetParameterAttributesResponse",
        make=soap.GetParameterAttributesResponse,
        parts=(member("attributes", "ParameterList", Array(shape=PARAMETER_ATTRIBUTE)),),
    ),
    Shape(name="AddObject", make=soap.AddObject, parts=(OBJECT_NAME, PARAMETER_KEY)),
    Shape(
        name="AddObjectResponse",
        make=soap.AddObjectResponse,
        parts=(member("instance_number", "InstanceNumber", Number(), required=True), STATUS),
    ),
    Shape(name="DeleteObject", make=soap.DeleteObject, parts=(OBJECT_NAME, PARAMETER_KEY)),
    Shape(name="DeleteObjectResponse", make=soap.DeleteObjectResponse, parts=(STATUS,)),
    Shape(
        name="Download",
        make=soap.Download,
        parts=(
            COMMAND_KEY,
            FILE_TYPE,
            member("url", "URL", TEXT),
            *CREDENTIALS,
            FILE_SIZE,
            TARGET,
            DELAY,
            member("success_url", "SuccessURL", TEXT),
            member("failure_url", "FailureURL", TEXT),
        ),
    ),
    # Which of the two it is decides whether to wait for a TransferComplete, so this status must be there.
    Shape(
        name="DownloadResponse",
        make=soap.DownloadResponse,
        parts=(member("status", "Status", Number(), required=True), START, COMPLETE),
    ),
    Shape(
        name="Upload",
        make=soap.Upload,
        parts=(COMMAND_KEY, FILE_TYPE, member("url", "URL", TEXT), *CREDENTIALS, DELAY),
    ),
    Shape(
        name="UploadResponse",
        make=soap.UploadResponse,
        parts=(member("status", "Status", Number(), required=True), START, COMPLETE),
    ),
    Shape(
        name="ScheduleDownload",
        make=soap.ScheduleDownload,
        parts=(
            COMMAND_KEY,
            FILE_TYPE,
            member("url", "URL", TEXT),
            *CREDENTIALS,
            FILE_SIZE,
            TARGET,
            member("windows", "TimeWindowList", Array(shape=TIME_WINDOW)),
        ),
    ),
    Shape(name="ScheduleDownloadResponse", make=soap.ScheduleDownloadResponse),
    Shape(name="CancelTransfer", make=soap.CancelTransfer, parts=(COMMAND_KEY,)),
    Shape(name="CancelTransferResponse", make=soap.CancelTransferResponse),
    Shape(name="GetQueuedTransfers", make=soap.GetQueuedTransfers),
    Shape(
        name="GetQueuedTransfersResponse",
        make=soap.GetQueuedTransfersResponse,
        parts=(member("transfers", "TransferList", Array(shape=QUEUED_TRANSFER)),),
    ),
    Shape(name="GetAllQueuedTransfers", make=soap.GetAllQueuedTransfers),
    Shape(
        name="GetAllQueuedTransfersResponse",
        make=soap.GetAllQueuedTransfersResponse,
        parts=(member("transfers", "TransferList", Array(shape=ALL_QUEUED_TRANSFER)),),
    ),
    Shape(name="Reboot", make=soap.Reboot, parts=(COMMAND_KEY,)),
    Shape(name="RebootResponse", make=soap.RebootResponse),
    Shape(name="FactoryReset", make=soap.FactoryReset),
    Shape(name="FactoryResetResponse", make=soap.FactoryResetResponse),
    Shape(name="ScheduleInform", make=soap.ScheduleInform, parts=(DELAY, COMMAND_KEY)),
    Shape(name="ScheduleInformResponse", make=soap.ScheduleInformResponse),
    Shape(
        name="ChangeDUState",
        make=soap.ChangeDUState,
        parts=(member("operations", "Operations", Variants(shapes=OPERATIONS)), COMMAND_KEY),
    ),
    Shape(name="ChangeDUStateResponse", make=soap.ChangeDUStateResponse),
    Shape(
        name="DUStateChangeComplete",
        make=soap.DUStateChangeComplete,
        parts=(member("results", "Results", Repeated(shape=OP_RESULT)), COMMAND_KEY),
    ),
    Shape(name="DUStateChangeCompleteResponse", make=soap.DUStateChangeCompleteResponse),
    Shape(
        name="AutonomousDUStateChangeComplete",
        make=soap.AutonomousDUStateChangeComplete,
        parts=(member("results", "Results", Repeated(shape=AUTON_OP_RESULT)),),
    ),
    Shape(name="AutonomousDUStateChangeCompleteResponse", make=soap.AutonomousDUStateChangeCompleteResponse),
    Shape(name="GetOptions", make=soap.GetOptions, parts=(member("option_name", "OptionName", SHORT),)),
    Shape(
        name="GetOptionsResponse",
        make=soap.GetOptionsResponse,
        parts=(member("options", "OptionList", Array(shape=OPTION)),),
    ),
    Shape(
        name="SetVouchers",
        make=soap.SetVouchers,
        parts=(member("vouchers", "VoucherList", Strings(item="base64", array="SOAP-ENC:base64")),),
    ),
    Shape(name="SetVouchersResponse", make=soap.SetVouchersResponse),
    Shape(
        name="TransferComplete",
        make=soap.TransferComplete,
        parts=(COMMAND_KEY, FAULT_STRUCT, START, COMPLETE),
    ),
    Shape(name="TransferCompleteResponse", make=soap.TransferCompleteResponse),
    Shape(
        name="AutonomousTransferComplete",
        make=soap.AutonomousTransferComplete,
        parts=(
            member("announce_url", "AnnounceURL", TEXT),
            member("transfer_url", "TransferURL", TEXT),
            member("is_download", "IsDownload", FLAG),
            FILE_TYPE,
            FILE_SIZE,
            TARGET,
            FAULT_STRUCT,
            START,
            COMPLETE,
        ),
    ),
    Shape(name="AutonomousTransferCompleteResponse", make=soap.AutonomousTransferCompleteResponse),
    Shape(
        name="Kicked",
        make=soap.Kicked,
        parts=(
            member("command", "Command", SHORT),
            member("referer", "Referer", TEXT),
            member("arg", "Arg", VERBATIM),
            member("next", "Next", TEXT),
        ),
    ),
    Shape(name="KickedResponse", make=soap.KickedResponse, parts=(member("next_url", "NextURL", TEXT),)),
    Shape(
        name="RequestDownload",
        make=soap.RequestDownload,
        parts=(FILE_TYPE, member("arguments", "FileTypeArg", Array(shape=ARGUMENT))),
    ),
    Shape(name="RequestDownloadResponse", make=soap.RequestDownloadResponse),
)

BY_NAME = {shape.name: shape for shape in _SHAPES}
"""The shape of an RPC by its name."""
BY_CLASS = {shape.make: shape for shape in _SHAPES}
"""The shape of an RPC by its class in `messages`."""
