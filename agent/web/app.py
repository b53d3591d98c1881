"""The Flask application: every endpoint of the table, checked before its view and encoded after it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http import HTTPStatus
from time import monotonic
from typing import Any

from flask import Flask, Response, g, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from agent.store.audit import AuditTrail, Outcome
from agent.store.rows import EVERYTHING
from agent.web import openapi
from agent.web.endpoint import BODY_BYTES_MOST, Answer, Call, Endpoint, NoBody, Query, Upload
from agent.web.errors import ApiError, handle_errors
from agent.web.identity import client_address
from agent.web.metrics import Metrics
from agent.web.pages.frame import install_pages
from agent.web.routes import make_endpoints
from agent.web.security import BrowserGuard, authorize, require_everything
from agent.web.services import Services

logger = logging.getLogger(__name__)

PREFIXES = ("/api", "/api/v1")
CHUNK_BYTES = 256 * 1024
SETUP = "/setup/"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


def create_app(services: Services) -> Flask:
    """The WSGI application that serves the API from `services`, which the caller starts and closes."""
    app = Flask("lastmile", static_folder=None)
    # One more than is allowed: a chunked body is cut off there without a word.
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MOST + 1
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    metrics = Metrics(services.fleet, services.events, services.acs.statistics, services.monitoring.alerts)
    handle_errors(app)
    _account(app, metrics)
    settings = services.settings
    names = (services.machine_name, *settings.host_names)
    BrowserGuard(names, settings.allowed_origins, secure=settings.is_secure).install(app)
    endpoints = make_endpoints(metrics, cache(lambda: openapi.describe(endpoints)))
    for endpoint in endpoints:
        _add(app, endpoint, services, metrics)
    install_pages(app, services)
    return app


def _add(app: Flask, endpoint: Endpoint, services: Services, metrics: Metrics) -> None:
    def answer(**path: str) -> Response:
        trail = services.audit.trail(client_address(services.settings))
        identity = authorize(services, endpoint.role, trail, f"api.{endpoint.name}") if endpoint.role else None
        scope = EVERYTHING
        if identity is not None:
            g.principal, scope = identity.principal, identity.principal.scope
            if endpoint.of_everything:
                require_everything(identity.principal)
        call = Call(
            services=services.of_request(scope, trail),
            metrics=metrics,
            identity=identity,
            trail=trail,
            path=path,
            query=_parse_query(endpoint.query),
            body=_parse_body(endpoint),
            upload=_accept_upload(services.acs.files.bytes_most) if endpoint.takes_bytes else None,
            head=request.method == "HEAD",
            last_event_id=request.headers.get("Last-Event-ID"),
        )
        with _accounted(trail):
            return _encode(endpoint.view(call))

    path = re.sub(r"\{(\w+)\}", r"<\1>", endpoint.path)
    for prefix in ("",) if endpoint.at_root else PREFIXES:
        # Flask wants one name per rule; metrics and logs want one name for both.
        app.add_url_rule(
            prefix + path,
            endpoint=f"{endpoint.name}{prefix.replace('/', '.')}",
            view_func=answer,
            methods=[endpoint.method],
            provide_automatic_options=False,
        )


@contextmanager
def _accounted(trail: AuditTrail) -> Iterator[None]:
    """Say in the audit log how the changes of a request went."""
    try:
        yield
    except ApiError as error:
        outcome = Outcome.FAILED if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Outcome.REFUSED
        trail.end(outcome, error.code)
        raise
    except Exception as error:
        trail.end(Outcome.FAILED, type(error).__name__)
        raise
    trail.end(Outcome.DONE)


def _parse_query(model: type[Query]) -> Query:
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        field = model.model_fields.get(name)
        many = field is not None and isinstance(field.default, tuple)
        if len(values) > 1 and not many:
            raise ApiError(HTTPStatus.BAD_REQUEST, "bad_request", f"{name[:40]} is given more than once")
        given[name] = values if many else values[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid(error, "the query is not valid") from error


def _parse_body(endpoint: Endpoint) -> BaseModel:
    model = endpoint.body
    if model is None:
        return NoBody()
    request.max_content_length = endpoint.body_bytes_most + 1
    data = request.get_data()
    if len(data) > endpoint.body_bytes_most:
        raise RequestEntityTooLarge
    if data and not request.is_json:
        message = "send JSON, and say so: Content-Type: application/json"
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    try:
        return model.model_validate_json(data or b"{}", strict=True)
    except ValidationError as error:
        raise _invalid(error, "the body is not valid") from error


def _accept_upload(bytes_most: int) -> Upload:
    """The body as chunks. Its length must be told: else a body that was cut off would pass for a whole one."""
    length = request.content_length
    if length is None:
        message = "say how long the file is: Content-Length"
        raise ApiError(HTTPStatus.LENGTH_REQUIRED, "length_required", message)
    if length > bytes_most:
        message = f"a file may have {bytes_most} bytes (acs.file_bytes_most)"
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "content_too_large", message)
    request.max_content_length = bytes_most + 1
    return Upload(chunks=_chunks(length))


def _chunks(length: int) -> Iterator[bytes]:
    left = length
    while left:
        chunk = request.stream.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise ApiError(HTTPStatus.BAD_REQUEST, "upload_incomplete", "the upload ended before the file did")
        left -= len(chunk)
        yield chunk


def _invalid(error: ValidationError, message: str) -> ApiError:
    # Without the values: one of them may be a secret in the wrong place.
    problems = [
        {
            "field": ".".join(str(part) for part in each["loc"]),
            "message": each["msg"].removeprefix("Value error, "),
        }
        for each in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    ]
    return ApiError(HTTPStatus.BAD_REQUEST, "bad_request", message, details={"problems": problems})


def _encode(answer: BaseModel | Answer | Response) -> Response:
    match answer:
        case Response():
            return answer
        case Answer(content=content, status=status):
            return Response(content.model_dump_json(by_alias=True), status=status, mimetype="application/json")
    return Response(answer.model_dump_json(by_alias=True), mimetype="application/json")


def _account(app: Flask, metrics: Metrics) -> None:
    """Count, time and log every request of `app`."""

    @app.before_request
    def begin() -> None:
        g.begun = monotonic()

    @app.after_request
    def end(response: Response) -> Response:
        seconds = monotonic() - g.get("begun", monotonic())
        name = (request.endpoint or "none").partition(".")[0]
        method = request.method if request.method in _METHODS else "other"
        metrics.count_request(name, method, response.status_code, seconds)
        logger.info(
            "request",
            extra={
                "METHOD": method,
                # A setup link is a password.
                "PATH": f"{SETUP}…" if request.path.startswith(SETUP) else request.path[:200],
                "STATUS": response.status_code,
                "PRINCIPAL": g.principal.name if "principal" in g else "",
                "CLIENT": request.remote_addr,
                "DURATION_MS": round(seconds * 1000, 1),
            },
        )
        return response
