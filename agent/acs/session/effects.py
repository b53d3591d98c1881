"""What a step of a session wants done: saved, all together, before the answer leaves. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.acs.discovery import Profile
from agent.acs.soap.messages import Envelope, ParameterInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveNames:
    """Names that the CPE listed: their writability for the model, and those to ask for the session's list."""

    infos: tuple[ParameterInfo, ...]
    ask: tuple[str, ...]
    fresh: bool
    """They begin a new list, instead of going on with the one there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveValues:
    """Values that the CPE gave, or took."""

    values: Mapping[str, str]
    types: Mapping[str, str] = field(default_factory=dict)
    """Type by path; a path without one keeps what is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropValues:
    """Paths that are no more; one that ends with a dot goes with all below it."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Forget the values below `path` that the session's list of names does not have."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSent:
    """The RPC of a task goes out."""

    task: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompleted:
    """The CPE did it."""

    task: int
    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAwaitsTransfer:
    """The CPE will do it, and tell by TransferComplete."""

    task: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailed:
    """The CPE did not do it. `wait_seconds` None: that was the last try, or trying again is useless."""

    task: int
    code: str
    message: str
    detail: Mapping[str, Any]
    wait_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFinished:
    """The whole tree has been read."""

    parameters: int
    missing: int
    """Names that were listed and not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFailed:
    """The tree could not be read; it is tried again in a later session."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Learn:
    """How devices of this model like to be asked."""

    profile: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEnded:
    """A TransferComplete that belongs to no task of ours, or to one that is over: kept as an event."""

    command_key: str
    code: str
    message: str
    start: datetime | None
    complete: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something about the device that people may want to see."""

    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The session is over."""

    outcome: str
    """`completed` or `failed`."""
    reason: str = ""


Effect = (
    SaveNames
    | SaveValues
    | DropValues
    | Prune
    | TaskSent
    | TaskCompleted
    | TaskAwaitsTransfer
    | TaskFailed
    | DiscoveryFinished
    | DiscoveryFailed
    | Learn
    | TransferEnded
    | Note
    | End
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the CPE gets. None: an empty answer, which ends the session."""

    envelope: Envelope | None
    request: bool = False
    """Whether it asks something of the CPE, instead of answering it."""
