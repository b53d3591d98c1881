"""Tasks: what an operator can ask of one device, checked once at the edge. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from agent.acs.paths import is_object, is_valid
from agent.acs.soap.escape import escape
from agent.core.errors import ProtocolError

NAMES_MOST = 5000
VALUE_MOST = 64 * 1024
DELAY_MOST = 86_400


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    SENT = "sent"
    """The device was asked; a download stays here until TransferComplete tells how it ended."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def finished(self) -> bool:
        return self not in (TaskStatus.PENDING, TaskStatus.SENT)


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _sendable(text: str) -> str:
    escape(text)
    return text


Text = Annotated[str, AfterValidator(_sendable)]
"""What can be written in XML."""


def _parameter(path: str) -> str:
    if not path or is_object(path) or not is_valid(path):
        raise ValueError(f"{path[:80]!r} is not the path of a parameter, such as Device.DeviceInfo.UpTime")
    return path


def _object(path: str) -> str:
    if not path.endswith(".") or not is_valid(path):
        raise ValueError(f"{path[:80]!r} is not the path of an object: it must end with a dot")
    return path


class GetParameterValues(_Arguments):
    """Read values; a path that ends with a dot reads all below it."""

    kind: Literal["getParameterValues"] = "getParameterValues"
    names: tuple[str, ...] = Field(min_length=1, max_length=NAMES_MOST)

    @field_validator("names")
    @classmethod
    def _names_are_paths(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not name or not is_valid(name):
                raise ValueError(f"{name[:80]!r} is not a path, such as Device.DeviceInfo.")
        return tuple(dict.fromkeys(names))


class RefreshObject(_Arguments):
    """Ask for all names below an object, then for their values; an empty path: everything."""

    kind: Literal["refreshObject"] = "refreshObject"
    path: str = ""

    @field_validator("path")
    @classmethod
    def _path_is_an_object(cls, path: str) -> str:
        return _object(path) if path else path


class Value(_Arguments):
    """A value to set; without a type that of the data model is taken."""

    name: str
    value: Text = Field(max_length=VALUE_MOST)
    type: (
        Literal["string", "int", "unsignedInt", "boolean", "dateTime", "base64", "long", "unsignedLong", "hexBinary"]
        | None
    ) = None

    _name = field_validator("name")(_parameter)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_texts(cls, given: Any) -> Any:
        # JSON has numbers and booleans of its own; CWMP has texts and a type.
        if isinstance(given, dict) and isinstance(given.get("value"), (bool, int)):
            text = str(given["value"]).lower() if isinstance(given["value"], bool) else str(given["value"])
            return {**given, "value": text}
        return given


class SetParameterValues(_Arguments):
    """Write values, all or none."""

    kind: Literal["setParameterValues"] = "setParameterValues"
    values: tuple[Value, ...] = Field(min_length=1, max_length=NAMES_MOST)
    parameter_key: Text = Field(default="", max_length=32)

    @field_validator("values")
    @classmethod
    def _no_name_twice(cls, values: tuple[Value, ...]) -> tuple[Value, ...]:
        names = [value.name for value in values]
        if len(set(names)) != len(names):
            raise ValueError("a name is given twice")
        return values


class AddObject(_Arguments):
    """Make an instance of a table; the result tells its number."""

    kind: Literal["addObject"] = "addObject"
    path: str
    parameter_key: Text = Field(default="", max_length=32)

    _path = field_validator("path")(_object)


class DeleteObject(_Arguments):
    """Remove an instance of a table."""

    kind: Literal["deleteObject"] = "deleteObject"
    path: str
    parameter_key: Text = Field(default="", max_length=32)

    _path = field_validator("path")(_object)


class _Transfer(_Arguments):
    file: Text = Field(default="", max_length=200)
    """Name of a stored file, or else `url`."""
    url: Text = Field(default="", max_length=256)
    username: Text = Field(default="", max_length=256)
    password: Text = Field(default="", max_length=256)
    delay_seconds: int = Field(default=0, ge=0, le=DELAY_MOST)


class Download(_Transfer):
    """Have the device fetch a file and use it."""

    kind: Literal["download"] = "download"
    file_type: Text = Field(default="1 Firmware Upgrade Image", min_length=1, max_length=64)
    file_size: int = Field(default=0, ge=0)
    target_file_name: Text = Field(default="", max_length=256)
    success_url: Text = Field(default="", max_length=256)
    failure_url: Text = Field(default="", max_length=256)

    @model_validator(mode="after")
    def _file_or_url(self) -> Download:
        if bool(self.file) == bool(self.url):
            raise ValueError("give either file (the name of a stored file) or url")
        return self


class Upload(_Transfer):
    """Have the device send a file: its configuration or its log. Without a url it comes to this server."""

    kind: Literal["upload"] = "upload"
    file_type: Text = Field(default="1 Vendor Configuration File", min_length=1, max_length=64)


class Reboot(_Arguments):
    """Restart the device."""

    kind: Literal["reboot"] = "reboot"


class FactoryReset(_Arguments):
    """Put the device back to how it left the factory."""

    kind: Literal["factoryReset"] = "factoryReset"


class ScheduleInform(_Arguments):
    """Have the device begin a session after a delay."""

    kind: Literal["scheduleInform"] = "scheduleInform"
    delay_seconds: int = Field(ge=1, le=DELAY_MOST)


class Attribute(_Arguments):
    """How a parameter's changes are told: 0 not, 1 in the next session, 2 by a session of its own."""

    name: str
    notification: Literal[0, 1, 2, 3, 4, 5, 6] | None = None
    access_list: tuple[Text, ...] | None = None

    @field_validator("name")
    @classmethod
    def _name_is_a_path(cls, name: str) -> str:
        if not name or not is_valid(name):
            raise ValueError(f"{name[:80]!r} is not a path")
        return name


class SetParameterAttributes(_Arguments):
    """Say which changes a device tells of."""

    kind: Literal["setParameterAttributes"] = "setParameterAttributes"
    attributes: tuple[Attribute, ...] = Field(min_length=1, max_length=NAMES_MOST)


class GetRPCMethods(_Arguments):
    """Ask which RPCs the device has."""

    kind: Literal["getRPCMethods"] = "getRPCMethods"


Arguments = (
    GetParameterValues
    | RefreshObject
    | SetParameterValues
    | AddObject
    | DeleteObject
    | Download
    | Upload
    | Reboot
    | FactoryReset
    | ScheduleInform
    | SetParameterAttributes
    | GetRPCMethods
)
_ADAPTER: TypeAdapter[Arguments] = TypeAdapter(Annotated[Arguments, Field(discriminator="kind")])

PRIORITIES = {
    "getRPCMethods": 10,
    "refreshObject": 20,
    "getParameterValues": 30,
    "setParameterValues": 40,
    "setParameterAttributes": 45,
    "addObject": 50,
    "deleteObject": 55,
    "download": 60,
    "upload": 65,
    "scheduleInform": 70,
    "reboot": 80,
    "factoryReset": 90,
}
"""Lower goes first: look, then write, then make and remove, then transfer, and what ends the session last."""
KINDS = tuple(PRIORITIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request for one device, as the session machine sees it."""

    id: int
    arguments: Arguments
    attempts: int = 0
    created_at: datetime | None = None

    @property
    def command_key(self) -> str:
        """What links it with a TransferComplete or an event `M Reboot` (32 characters at most, TR-069 A6 Table 5)."""
        return f"lastmile-{self.id}"


def task_of_command_key(key: str) -> int | None:
    """The id of the task that a CommandKey names; None when it is not one of ours."""
    prefix, _, number = key.partition("-")
    return int(number) if prefix == "lastmile" and number.isascii() and number.isdigit() and len(number) < 19 else None


def parse_arguments(kind: str, arguments: dict[str, Any]) -> Arguments:
    """Check what somebody asks; raises ProtocolError with a sentence that says what is wrong."""
    if kind not in PRIORITIES:
        raise ProtocolError(f"{kind[:40]!r} is not a kind of task; there are: {', '.join(KINDS)}")
    try:
        return _ADAPTER.validate_python({**arguments, "kind": kind})
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        text = first["msg"].removeprefix("Value error, ")
        raise ProtocolError(f"{where}: {text}" if where else text) from exc


def render_arguments(arguments: Arguments) -> dict[str, Any]:
    """What is stored; `parse_arguments` takes it back."""
    return arguments.model_dump(mode="json", exclude={"kind"}, exclude_none=True)


def redact_arguments(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The same, fit to be shown: the password of a transfer is hidden."""
    if kind in ("download", "upload") and arguments.get("password"):
        return {**arguments, "password": "***"}
    return arguments
