"""Every failure of a request as one JSON shape: `{"error": {"code", "message", "details"}}`, never a stack
trace."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, jsonify, request
from werkzeug.exceptions import HTTPException

from agent.core.errors import ConfigError, DeadlineExceeded, TransientError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5
ERROR_PAGE = "lastmile.error_page"
"""Extension of an application with pages: makes a page of an ApiError, or None where no page was asked for."""

CODES = {
    # Python 3.13 renamed these with RFC 9110; clients see one name whatever runs.
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "content_too_large",
    HTTPStatus.REQUEST_URI_TOO_LONG: "uri_too_long",
    HTTPStatus.UNPROCESSABLE_ENTITY: "unprocessable_content",
}


class ApiError(Exception):
    """A request that cannot be answered as asked; `code` is for programs, `message` for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})


def render_error(error: ApiError) -> Response:
    """The response that says so: a page where a page was asked for, else JSON."""
    render_page = current_app.extensions.get(ERROR_PAGE)
    page: Response | None = render_page(error) if render_page is not None else None
    if page is not None:
        return page
    body = {"error": {"code": error.code, "message": error.message, "details": error.details}}
    response = jsonify(body)
    response.status_code = error.status
    response.headers.extend(error.headers)
    return response


def handle_errors(app: Flask) -> None:
    """Make `app` answer every exception by `render_error`."""
    app.register_error_handler(ApiError, render_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DeadlineExceeded, _overdue)
    app.register_error_handler(TransientError, _unavailable)
    app.register_error_handler(ConfigError, _not_ready)
    app.register_error_handler(Exception, _unexpected)


def _http_error(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    code = CODES.get(HTTPStatus(status)) or HTTPStatus(status).name.lower()
    message = error.description or HTTPStatus(status).phrase
    headers = {name: value for name, value in error.get_headers() if name.lower() in ("allow", "retry-after")}
    return render_error(ApiError(status, code, message, headers=headers))


def _unavailable(error: TransientError) -> Response:
    logger.warning("database unavailable", extra={"ENDPOINT": request.endpoint, "ERROR": str(error)})
    message = "the database cannot be reached now; modems and proxies go on working"
    headers = {"Retry-After": str(RETRY_SECONDS)}
    return render_error(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "database_unavailable", message, headers=headers))


def _overdue(error: DeadlineExceeded) -> Response:
    logger.warning("database too slow", extra={"ENDPOINT": request.endpoint, "ERROR": str(error)})
    headers = {"Retry-After": str(RETRY_SECONDS)}
    message = "the database did not answer in time"
    return render_error(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "database_busy", message, headers=headers))


def _not_ready(error: ConfigError) -> Response:
    logger.error("the operator must act", extra={"ENDPOINT": request.endpoint, "ERROR": str(error)})
    message = "the server is not set up as it must be; its log says what to do"
    return render_error(ApiError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", message))


def _unexpected(error: Exception) -> Response:
    identifier = secrets.token_hex(8)
    extra = {"ENDPOINT": request.endpoint, "ERROR_ID": identifier}
    logger.error("request failed unexpectedly", exc_info=error, extra=extra)
    message = "something went wrong here; the log has more under this id"
    return render_error(
        ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", message, details={"id": identifier})
    )
