"""What one endpoint of the API is: the route, who may call it, what it takes and gives. Views and OpenAPI
read this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from flask import Response
from pydantic import BaseModel, ConfigDict

from agent.store.audit import AuditTrail
from agent.store.rows import Principal, Role
from agent.web.identity import Identity
from agent.web.metrics import Metrics
from agent.web.services import Services

BODY_BYTES_MOST = 16 * 1024
TASK_BYTES_MOST = 2 * 1024 * 1024
"""Of a body that becomes a task; what is stored of it may have half of that."""


class Query(BaseModel):
    """The parameters behind the `?`; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """A JSON object in a request; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NoBody(Body):
    """Nothing: the body may be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A body of bytes that is taken in while it comes."""

    chunks: Iterable[bytes]
    """Raises ApiError when the client goes away before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A success that is not 200."""

    content: BaseModel
    status: HTTPStatus


Query_co = TypeVar("Query_co", bound=Query, covariant=True)
Body_co = TypeVar("Body_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Query_co, Body_co]):
    """One request, checked: everything that a view needs."""

    services: Services
    """The store, as whoever asks may see it."""
    metrics: Metrics
    identity: Identity | None
    """Who asks; None only where nobody is asked who they are."""
    trail: AuditTrail
    """What this request changes; the same as `services.audit`."""
    path: Mapping[str, str]
    """What stands in the path for the names in braces."""
    query: Query_co
    body: Body_co
    head: bool
    """Whether only the headers are wanted."""
    last_event_id: str | None = None
    upload: Upload | None = None
    """Only where the endpoint takes bytes."""

    @property
    def caller(self) -> Principal:
        """Who asks; only for endpoints that ask for a role."""
        return self.known.principal

    @property
    def known(self) -> Identity:
        """Who asks, and by what; only for endpoints that ask for a role."""
        if self.identity is None:
            raise TypeError("nobody was asked who they are: the endpoint must ask for a role")
        return self.identity

    def number(self, name: str) -> int:
        """A number from the path; 0, which is no row's id, when it is none."""
        text = self.path[name]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    name: str
    method: str
    path: str
    """Below /api and /api/v1, or from the root when `at_root`; names in braces stand for what differs."""
    view: Callable[[Call[Any, Any]], BaseModel | Answer | Response]
    role: Role | None
    """The least role that may call it; None: open to everybody."""
    summary: str
    description: str = ""
    query: type[Query] = Query
    body: type[BaseModel] | None = None
    body_bytes_most: int = BODY_BYTES_MOST
    takes_bytes: bool = False
    """The body is a file, and is not read before the view does; its size is acs.file_bytes_most at most."""
    answer: type[BaseModel] | None = None
    """The model of the JSON answer; None when it is of another media type."""
    media_type: str = "application/json"
    other_media_types: tuple[str, ...] = ()
    """What else the answer may be of, where the query says so."""
    successes: tuple[HTTPStatus, ...] = (HTTPStatus.OK,)
    errors: tuple[HTTPStatus, ...] = ()
    """Failures of its own, besides those that every endpoint shares."""
    at_root: bool = False
    of_everything: bool = False
    """It tells of the whole fleet: nobody may call it who sees a part only."""
