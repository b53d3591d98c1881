"""What the ACS serves: CWMP at / and /cwmp, by a plain WSGI callable since thousands of messages a second pass it, and
files for CPEs by Flask."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from agent.core.errors import ConfigError
from agent.web.cwmp.answers import Answer, StartResponse, refuse, wait
from agent.web.cwmp.exchange import Exchange

logger = logging.getLogger(__name__)

PATHS = ("/", "/cwmp", "/cwmp/")


class AcsApp:
    """The WSGI application of one worker of the ACS."""

    def __init__(
        self,
        exchange: Exchange,
        peer_of: Callable[[Mapping[str, Any]], str | None],
        files: Callable[..., Iterable[bytes]],
        *,
        retry_after_seconds: int,
    ) -> None:
        self._exchange = exchange
        self._peer_of = peer_of
        self._files = files
        self._retry_after_seconds = retry_after_seconds

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] not in PATHS:
            return self._files(environ, start_response)
        return self._cwmp(environ).send(start_response)

    def _cwmp(self, environ: dict[str, Any]) -> Answer:
        if environ["REQUEST_METHOD"] != "POST":
            why = "CPEs talk CWMP here, by POST"
            return refuse(HTTPStatus.METHOD_NOT_ALLOWED, why, ("Allow", "POST"))
        try:
            return self._exchange.answer(environ, self._peer_of(environ))
        except ConfigError:
            logger.exception("the operator must act")
            return wait(self._retry_after_seconds, "this server is not set up as it must be")
        except Exception:
            # The worker's boundary: one device's trouble is not the others'.
            identifier = secrets.token_hex(8)
            logger.exception("a CPE's request failed unexpectedly", extra={"ERROR_ID": identifier})
            return refuse(
                HTTPStatus.INTERNAL_SERVER_ERROR, f"something went wrong here; the log has it as {identifier}"
            )
