"""What goes back to a CPE over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

StartResponse = Callable[[str, list[tuple[str, str]]], object]
XML = ("Content-Type", "text/xml; charset=utf-8")
TEXT = ("Content-Type", "text/plain; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, headers and a body."""

    status: HTTPStatus
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, start_response: StartResponse) -> list[bytes]:
        """Answer a WSGI request."""
        start_response(f"{self.status.value} {self.status.phrase}", list(self.headers))
        return [self.body] if self.body else []


NOTHING = Answer(HTTPStatus.NO_CONTENT)
"""The end of a session."""


def message(body: bytes, *headers: tuple[str, str]) -> Answer:
    """A SOAP envelope."""
    return Answer(HTTPStatus.OK, body, (XML, *headers))


def refuse(status: HTTPStatus, why: str, *headers: tuple[str, str]) -> Answer:
    """A refusal, with its reason for people who look at the wire."""
    return Answer(status, f"{why}\n".encode(), (TEXT, *headers))


def wait(seconds: int, why: str) -> Answer:
    """Come again later."""
    return refuse(HTTPStatus.SERVICE_UNAVAILABLE, why, ("Retry-After", str(seconds)))
