"""The OpenAPI 3.1 document, made from the table of endpoints and the models that check requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from agent.version import __version__
from agent.web.endpoint import Endpoint
from agent.web.identity import COOKIE
from agent.web.schemas import Error, Event, EventQuery
from agent.web.schemas_devices import TAG_PATTERN

_REF = "#/components/schemas/{model}"
_DESCRIPTION = (
    "LTE modems as proxies, and devices that talk TR-069. Every path below is served under /api/v1 and /api. All but "
    "/health and /auth/token take a bearer token (`lastmile token create`) or a browser's session; roles: viewer < "
    "operator < admin. Every failure is an Error."
)
_COMMON_ERRORS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_TOKEN_ERRORS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BODY_ERRORS = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
_UPLOAD_ERRORS = (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.LENGTH_REQUIRED)
_PATH_NAME = re.compile(r"\{(\w+)\}")
_PATH_PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "serial": (
        "The modem's serial: its IMEI, or what stands in for it.",
        {"type": "string", "minLength": 3, "maxLength": 64},
    ),
    "device_id": (
        "The device's id, percent-encoded as every path segment: a `%` of the id becomes `%25`.",
        {"type": "string", "minLength": 3, "maxLength": 1000},
    ),
    "serial_number": ("A device's serial number.", {"type": "string", "minLength": 1, "maxLength": 64}),
    "task_id": ("The task's id.", {"type": "integer", "minimum": 1}),
    "alert_id": ("The alert's id.", {"type": "integer", "minimum": 1}),
    "silence_id": ("The silence's id.", {"type": "integer", "minimum": 1}),
    "rule_id": ("The rule's id.", {"type": "integer", "minimum": 1}),
    "target_id": ("The target's id.", {"type": "integer", "minimum": 1}),
    "fault_id": ("The fault's id.", {"type": "integer", "minimum": 1}),
    "tag": ("A tag.", {"type": "string", "pattern": TAG_PATTERN}),
    "session_tag": ("`tag` of a recorded session.", {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}),
    "filter_id": ("Number of a kept filter.", {"type": "integer", "minimum": 1}),
    "name": ("The file's name.", {"type": "string", "minLength": 1}),
    "operator": ("The operator's name.", {"type": "string", "minLength": 1, "maxLength": 64}),
    "token_name": ("The token's name.", {"type": "string", "minLength": 1, "maxLength": 64}),
    "session_id": ("The session's id.", {"type": "integer", "minimum": 1}),
    "username": ("The CPE's user name.", {"type": "string", "minLength": 1, "maxLength": 256}),
}


def describe(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document for `endpoints`."""
    table = tuple(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in table:
        item = paths.setdefault(endpoint.path, {})
        if endpoint.at_root:
            item["servers"] = [{"url": "/"}]
        item[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "lastmile",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}, {"url": "/api"}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(table),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "Of a browser that has signed in; a change carries the header X-CSRF-Token, too.",
                },
            },
        },
    }


def _schemas(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {
        (Error, "serialization"): None,
        (Event, "serialization"): None,
    }
    for endpoint in endpoints:
        if endpoint.answer is not None:
            wanted[(endpoint.answer, "serialization")] = None
        if endpoint.body is not None:
            wanted[(endpoint.body, "validation")] = None
    _, document = models_json_schema(list(wanted), ref_template=_REF)
    schemas: dict[str, Any] = document["$defs"]
    return schemas


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": endpoint.name, "summary": endpoint.summary}
    needs = f"Role: {endpoint.role.value}." if endpoint.role is not None else "Open: no token is needed."
    operation["description"] = " ".join(part for part in (endpoint.description, needs) if part)
    if endpoint.role is None:
        operation["security"] = []
    parameters = [*_path_parameters(endpoint), *_query_parameters(endpoint), *_header_parameters(endpoint)]
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        schema = {"$ref": _REF.format(model=endpoint.body.__name__)}
        operation["requestBody"] = {
            "required": not {"required", "oneOf", "anyOf"}.isdisjoint(endpoint.body.model_json_schema()),
            "content": {"application/json": {"schema": schema}},
        }
    if endpoint.takes_bytes:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    operation["responses"] = _responses(endpoint)
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.answer is not None:
        schema: dict[str, Any] = {"$ref": _REF.format(model=endpoint.answer.__name__)}
    else:
        schema = {"type": "object"} if endpoint.media_type == "application/json" else {"type": "string"}
    responses: dict[str, Any] = {str(status.value): _success(endpoint, status, schema) for status in endpoint.successes}
    failure = {"application/json": {"schema": {"$ref": _REF.format(model=Error.__name__)}}}
    statuses = {*_COMMON_ERRORS, *endpoint.errors}
    statuses |= set(_TOKEN_ERRORS) if endpoint.role is not None else set()
    statuses |= set(_BODY_ERRORS) if endpoint.body is not None else set()
    statuses |= set(_UPLOAD_ERRORS) if endpoint.takes_bytes else set()
    for status in sorted(statuses):
        responses[str(status.value)] = {"description": status.phrase, "content": failure}
    return responses


def _success(endpoint: Endpoint, status: HTTPStatus, schema: dict[str, Any]) -> dict[str, Any]:
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.SWITCHING_PROTOCOLS):
        return {"description": endpoint.summary}
    media_types = (endpoint.media_type, *endpoint.other_media_types)
    return {"description": endpoint.summary, "content": {each: {"schema": schema} for each in media_types}}


def _path_parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name in _PATH_NAME.findall(endpoint.path):
        description, schema = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    document = endpoint.query.model_json_schema(ref_template=_REF)
    for name, schema in document.get("properties", {}).items():
        description = schema.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": False,
            "description": description,
            "schema": _inline(schema, document.get("$defs", {})),
        }


def _header_parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    if issubclass(endpoint.query, EventQuery):
        yield {
            "name": "Last-Event-ID",
            "in": "header",
            "required": False,
            "description": "Id of the last event seen; EventSource sends it by itself.",
            "schema": {"type": "integer", "minimum": 0},
        }


def _inline(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """`schema` with its references replaced: a parameter's definitions are in no component."""
    match schema:
        case {"$ref": str(reference)}:
            return _inline(definitions[reference.rpartition("/")[2]], definitions)
        case dict():
            return {key: _inline(value, definitions) for key, value in schema.items()}
        case list():
            return [_inline(value, definitions) for value in schema]
        case _:
            return schema
