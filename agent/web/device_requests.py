"""The JSON of the API about devices that talk TR-069: queries and bodies, checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    SecretStr,
    WithJsonSchema,
)

from agent.acs.paths import is_object, is_valid
from agent.acs.tasks import KINDS, TaskStatus
from agent.store.device_query import DeviceSort
from agent.store.device_rows import DeviceState
from agent.web.endpoint import Body, Query
from agent.web.schemas_devices import TAG_PATTERN, Device, Outcome

ID_MOST = 2**63 - 1
WAIT_MOST = 600
Tag = Annotated[str, Field(pattern=TAG_PATTERN)]
Word = Annotated[str, Field(max_length=256)]
_VALUE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "value": {"type": ["string", "boolean", "integer"]},
        "type": {"type": "string", "description": "Such as unsignedInt; without it that of the data model."},
    },
    "required": ["name", "value"],
    "additionalProperties": False,
}
_VALUES = {
    "anyOf": [
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "boolean", "integer"]},
            "description": "{path: value}; types are those of the data model.",
        },
        {"type": "array", "items": _VALUE},
    ]
}


def _named(given: object) -> object:
    """`?flag` says the same as `?flag=true`."""
    return True if given == "" else given


def _words(given: object) -> object:
    """`?fields=a,b` says the same as `?fields=a&fields=b`."""
    if not isinstance(given, list | tuple):
        return given
    return tuple(word for each in cast("list[object]", given) for word in str(each).split(",") if word)


def _field_of_device(name: str) -> str:
    if name not in Device.model_fields:
        raise ValueError(f"a device has no field of this name; there are: {', '.join(Device.model_fields)}")
    return name


def _order_of_devices(word: str) -> str:
    if word in tuple(DeviceSort) or _is_path(word):
        return word
    raise ValueError(f"not an order: {', '.join(DeviceSort)}, or the path of a parameter")


def _is_path(word: str) -> bool:
    return "." in word and is_valid(word) and not is_object(word)


def _column(word: str) -> str:
    if not _is_path(word):
        raise ValueError("not the path of a parameter")
    return word


Column = Annotated[str, AfterValidator(_column)]
Flag = Annotated[bool, BeforeValidator(_named)]
DeviceField = Annotated[
    str, AfterValidator(_field_of_device), WithJsonSchema({"type": "string", "enum": list(Device.model_fields)})
]


class DeviceQuery(Query):
    """Which devices, in which order, and what of them."""

    serial_number: Word | None = Field(None, description="Only of this serial number.")
    oui: Word | None = Field(None, description="Only of this OUI.")
    product_class: Word | None = Field(None, description="Only of this ProductClass.")
    manufacturer: Word | None = Field(None, description="Only of this manufacturer.")
    software_version: Word | None = Field(None, description="Only with this software version.")
    state: tuple[DeviceState, ...] = Field((), description="Only these states; may be given several times.")
    online: bool | None = Field(None, description="Only those that are online, or only those that are not.")
    tag: tuple[Tag, ...] = Field((), description="Only with all these tags; may be given several times.", max_length=20)
    parameter: tuple[str, ...] = Field(
        (), description="Only with this stored value, as PATH:VALUE; may be given several times.", max_length=10
    )
    where: tuple[Annotated[str, Field(max_length=600)], ...] = Field(
        (),
        description="Only where a stored value is so: PATH, one of = != ~ ^= > >= < <= ? (is there) ! (is not), and a "
        "value. `*` in the path is any instance. May be given several times.",
        max_length=10,
    )
    q: Word = Field("", description="Only with this somewhere in identity, version, address or a tag.")
    sort: Annotated[str, AfterValidator(_order_of_devices)] = Field(
        DeviceSort.DEVICE_ID.value,
        description=f"What the list is sorted by: {', '.join(DeviceSort)}, or the path of a stored value.",
        max_length=256,
    )
    order: Literal["asc", "desc"] = Field("asc", description="Which way.")
    limit: int = Field(100, ge=1, le=1000, description="Most devices on a page.")
    cursor: str | None = Field(
        None, description="Where the page begins: `next_cursor` of the one before.", max_length=8000
    )
    fields: Annotated[tuple[DeviceField, ...], BeforeValidator(_words)] = Field(
        (), description="Only these fields, separated by commas; all by default."
    )
    columns: Annotated[tuple[Column, ...], BeforeValidator(_words)] = Field(
        (), description="Paths of stored values to show with each device, separated by commas.", max_length=20
    )


class ParameterQuery(Query):
    """Which parameters."""

    prefix: str = Field("", description="Only paths that begin so, such as Device.Hosts.", max_length=256)
    q: Word = Field("", description="Only where the path or the value has this in it, whatever the case.")
    writable: bool | None = Field(None, description="Only those that can be written, or only those that cannot.")
    since: AwareDatetime | None = Field(None, description="Only values that have changed after this time.")
    limit: int = Field(1000, ge=1, le=10_000, description="Most parameters on a page.")
    cursor: str | None = Field(
        None, description="Where the page begins: `next_cursor` of the one before.", max_length=8000
    )


class TaskListQuery(Query):
    """Which tasks of a device."""

    status: tuple[TaskStatus, ...] = Field((), description="Only these; may be given several times.")
    before_id: int | None = Field(None, ge=1, le=ID_MOST, description="Only tasks with a lower id.")
    limit: int = Field(100, ge=1, le=1000, description="Most tasks on a page.")


class WaitQuery(Query):
    """How long to wait for the outcome."""

    wait: float = Field(
        0,
        ge=0,
        le=WAIT_MOST,
        allow_inf_nan=False,
        description="Seconds to wait for the outcome; at most web.command_timeout_seconds.",
    )


class OrderQuery(WaitQuery):
    """Whether the device is woken for a task, and how long to wait for it."""

    connection_request: Flag = Field(False, description="Ask the device to begin a session now.")


class FaultQuery(Query):
    """Which faults."""

    device: str | None = Field(None, description="Only of this device.", max_length=1000)
    code: str | None = Field(None, description="Only of this code, such as 9005.", max_length=64)
    before_id: int | None = Field(None, ge=1, le=ID_MOST, description="Only faults with a lower id.")
    limit: int = Field(100, ge=1, le=1000, description="Most faults on a page.")


class SessionQuery(Query):
    """Which sessions under way."""

    serial_number: Word | None = Field(None, description="Only of devices of this serial number.")
    discovering: Flag = Field(False, description="Only those that discover.")
    limit: int = Field(500, ge=1, le=1000, description="Most sessions that are shown.")


class HistoryQuery(Query):
    """Which past sessions."""

    limit: int = Field(50, ge=1, le=1000, description="Most past sessions on a page.")
    cursor: str | None = Field(
        None, description="Where the page begins: `next_cursor` of the one before.", max_length=8000
    )


class RecentQuery(Query):
    """Which past sessions of all devices."""

    outcome: tuple[Outcome, ...] = Field((), description="Only these outcomes; may be given several times.")
    limit: int = Field(100, ge=1, le=1000, description="Most sessions on a page.")
    cursor: str | None = Field(
        None, description="Where the page begins: `next_cursor` of the one before.", max_length=8000
    )


class MessageQuery(Query):
    """Which recorded messages of a session."""

    after_id: int = Field(0, ge=0, le=ID_MOST, description="Only messages behind this one.")
    limit: int = Field(100, ge=1, le=1000, description="Most messages on a page.")


class RecordingBody(Body):
    """How long a device's sessions are to be recorded."""

    minutes: int = Field(60, ge=1, le=7 * 24 * 60, description="From now on.")


class SavedFilterBody(Body):
    """A filter to keep."""

    name: str = Field(min_length=1, max_length=64)
    query: str = Field(max_length=4000, description="As behind the ? of the list of devices.")
    shared: bool = Field(False, description="Whether everybody may use it.")


FileKind = Literal["1", "2", "3", "4", "5", "6"]


class FileQuery(Query):
    """Which files."""

    kind: Literal["1", "2", "3", "4", "5", "6", "upload"] | None = Field(None, description="Only of this kind.")
    oui: str | None = Field(None, description="Only those for this OUI, and those for any.", max_length=6)
    product_class: str | None = Field(
        None, description="Only those for this ProductClass, and those for any.", max_length=64
    )
    after: str | None = Field(None, description="Name after which the page begins.", max_length=200)
    limit: int = Field(500, ge=1, le=1000, description="Most files on a page.")


class FileFactsQuery(Query):
    """What a file that is sent is."""

    kind: FileKind = Field("1", description="First digit of TR-069's FileType: 1 firmware, 3 configuration.")
    oui: str = Field("", description="Of the devices that it is for; empty: any.", max_length=6)
    product_class: str = Field("", description="Of the devices that it is for; empty: any.", max_length=64)
    version: str = Field("", description="What it brings, for people.", max_length=64)


class TaskBody(Body):
    """What a device is to do."""

    kind: str = Field(description=f"One of {', '.join(KINDS)}.", max_length=64)
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="By kind. getParameterValues: names. setParameterValues: values, each name, value and type. "
        "refreshObject, addObject, deleteObject: path. download: file or url, file_type. upload: file_type. "
        "scheduleInform: delay_seconds. setParameterAttributes: attributes. The others: none.",
    )
    expires_at: AwareDatetime | None = Field(
        None, description="When it is given up, if nothing took it up; by default after acs.task_hours."
    )


class RefreshBody(Body):
    """What is to be read anew; the body may be left out."""

    path: str = Field("", description="An object, such as Device.Hosts. (empty: everything).", max_length=256)


class ValuesBody(RootModel[Annotated[dict[str, Any] | tuple[Any, ...], WithJsonSchema(_VALUES)]]):
    """Values to set: {path: value}, or a list with types."""

    @property
    def values(self) -> list[Any]:
        """As the arguments of setParameterValues have them."""
        if isinstance(self.root, dict):
            return [{"name": name, "value": value} for name, value in self.root.items()]
        return list(self.root)


class TagsBody(Body):
    """All tags that a device is to have."""

    tags: tuple[Tag, ...] = Field(max_length=100)


class CredentialBody(Body):
    """What a CPE is to log in with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"username": "cpe-4711", "password": "…"}]})

    username: str = Field(min_length=1, max_length=256)
    password: SecretStr = Field(min_length=1, max_length=256)
    device_id: str | None = Field(None, description="The only device that may use it; null: any.", max_length=1000)
