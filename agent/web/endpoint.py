"""What one endpoint of the API is: the route, who may call it, what it takes and gives. Views and OpenAPI
read this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from flask import Response
from pydantic import BaseModel, ConfigDict

from agent.store.rows import Principal, Role
from agent.web.metrics import Metrics
from agent.web.services import Services

BODY_BYTES_MOST = 16 * 1024


class Query(BaseModel):
    """The parameters behind the `?`; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Body(BaseModel):
    """A JSON object in a request; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NoBody(Body):
    """Nothing: the body may be left out."""


Query_co = TypeVar("Query_co", bound=Query, covariant=True)
Body_co = TypeVar("Body_co", bound=Body, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Query_co, Body_co]):
    """One request, checked: everything that a view needs."""

    services: Services
    metrics: Metrics
    principal: Principal | None
    """None only where no token is asked for."""
    serial: str
    """From the path; empty where the path has none."""
    query: Query_co
    body: Body_co
    head: bool
    """Whether only the headers are wanted."""
    last_event_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method of one path."""

    name: str
    method: str
    path: str
    """Below /api and /api/v1, or from the root when `at_root`; `{serial}` stands for a modem's serial."""
    view: Callable[[Call[Any, Any]], BaseModel | Response]
    role: Role | None
    """The least role that may call it; None: open to everybody."""
    summary: str
    description: str = ""
    query: type[Query] = Query
    body: type[Body] | None = None
    answer: type[BaseModel] | None = None
    """The model of the JSON answer; None when it is of another media type."""
    media_type: str = "application/json"
    errors: tuple[HTTPStatus, ...] = ()
    """Failures of its own, besides those that every endpoint shares."""
    at_root: bool = False
