"""Members and structures that the RPCs of CWMP are made of, in the order of the schemas (TR-069 A6 Annex A)."""

from __future__ import annotations

from agent.acs.soap import structs
from agent.acs.soap.kinds import Boolean, Kind, Number, OptionalText, Strings, Text, Time, Values
from agent.acs.soap.shapes import Group, Member, Part, Shape


def member(attribute: str, element: str, kind: Kind, *, required: bool = False) -> Member:
    return Member(attribute=attribute, element=element, kind=kind, required=required)


TEXT, VERBATIM, SHORT = Text(), Text(verbatim=True), Text(short=True)
COUNT, FLAG, TIME = Number(), Boolean(), Time()
PARAMETER_KEY = member("parameter_key", "ParameterKey", SHORT)
COMMAND_KEY = member("command_key", "CommandKey", SHORT)
OBJECT_NAME = member("object_name", "ObjectName", SHORT)
FILE_TYPE = member("file_type", "FileType", SHORT)
FILE_SIZE = member("file_size", "FileSize", COUNT)
TARGET = member("target_file_name", "TargetFileName", TEXT)
DELAY = member("delay_seconds", "DelaySeconds", COUNT)
# A CPE that leaves the status out has done what it was told.
STATUS = member("status", "Status", COUNT)
VALUES = member("parameters", "ParameterList", Values())
NAMES = member("names", "ParameterNames", Strings())
MAX_ENVELOPES = member("max_envelopes", "MaxEnvelopes", Number(absent=1, lenient=True))
START, COMPLETE = member("start_time", "StartTime", TIME), member("complete_time", "CompleteTime", TIME)
CREDENTIALS = (member("username", "Username", VERBATIM), member("password", "Password", VERBATIM))
FAULT_MEMBERS = (
    member("fault_code", "FaultCode", Text(short=True, fallback="0")),
    member("fault_string", "FaultString", VERBATIM),
)
FAULT_STRUCT = Group(element="FaultStruct", members=FAULT_MEMBERS)
UUID, VERSION = member("uuid", "UUID", OptionalText()), member("version", "Version", OptionalText())
EXECUTION_ENV = member("execution_env_ref", "ExecutionEnvRef", OptionalText())
OPTIONAL_CREDENTIALS = (
    member("username", "Username", OptionalText(verbatim=True)),
    member("password", "Password", OptionalText(verbatim=True)),
)

PARAMETER_ATTRIBUTE = Shape(
    name="ParameterAttributeStruct",
    make=structs.ParameterAttribute,
    parts=(
        member("name", "Name", SHORT),
        member("notification", "Notification", Number(lenient=True)),
        member("access_list", "AccessList", Strings()),
    ),
)
TIME_WINDOW = Shape(
    name="TimeWindowStruct",
    make=structs.TimeWindow,
    parts=(
        member("start_seconds", "WindowStart", COUNT),
        member("end_seconds", "WindowEnd", COUNT),
        member("mode", "WindowMode", SHORT),
        member("user_message", "UserMessage", VERBATIM),
        member("max_retries", "MaxRetries", COUNT),
    ),
)
QUEUED_TRANSFER = Shape(
    name="QueuedTransferStruct", make=structs.QueuedTransfer, parts=(COMMAND_KEY, member("state", "State", COUNT))
)
ALL_QUEUED_TRANSFER = Shape(
    name="AllQueuedTransferStruct",
    make=structs.AllQueuedTransfer,
    parts=(
        COMMAND_KEY,
        member("state", "State", COUNT),
        member("is_download", "IsDownload", FLAG),
        FILE_TYPE,
        FILE_SIZE,
        TARGET,
    ),
)
OPTION = Shape(
    name="OptionStruct",
    make=structs.Option,
    parts=(
        member("name", "OptionName", SHORT),
        member("voucher_serial", "VoucherSN", COUNT),
        member("state", "State", COUNT),
        member("mode", "Mode", COUNT),
        member("start_time", "StartDate", TIME),
        member("expiration_time", "ExpirationDate", Time(optional=True)),
        member("is_transferable", "IsTransferable", FLAG),
    ),
)
ARGUMENT = Shape(
    name="ArgStruct",
    make=structs.FileTypeArgument,
    parts=(member("name", "Name", SHORT), member("value", "Value", VERBATIM)),
)
OPERATIONS = (
    Shape(
        name="InstallOpStruct",
        make=structs.InstallOperation,
        parts=(member("url", "URL", TEXT), UUID, *OPTIONAL_CREDENTIALS, EXECUTION_ENV),
    ),
    Shape(
        name="UpdateOpStruct",
        make=structs.UpdateOperation,
        parts=(UUID, VERSION, member("url", "URL", OptionalText()), *OPTIONAL_CREDENTIALS),
    ),
    Shape(
        name="UninstallOpStruct",
        make=structs.UninstallOperation,
        parts=(member("uuid", "UUID", SHORT), VERSION, EXECUTION_ENV),
    ),
)
RESULT_PARTS: tuple[Part, ...] = (
    member("uuid", "UUID", SHORT),
    member("deployment_unit_ref", "DeploymentUnitRef", TEXT),
    member("version", "Version", SHORT),
    member("current_state", "CurrentState", SHORT),
    member("resolved", "Resolved", FLAG),
    member("execution_unit_ref_list", "ExecutionUnitRefList", TEXT),
    START,
    COMPLETE,
    Group(element="Fault", members=FAULT_MEMBERS),
)
OP_RESULT = Shape(name="OpResultStruct", make=structs.OpResult, parts=RESULT_PARTS)
AUTON_OP_RESULT = Shape(
    name="AutonOpResultStruct",
    make=structs.AutonOpResult,
    parts=(*RESULT_PARTS, member("operation_performed", "OperationPerformed", SHORT)),
)
