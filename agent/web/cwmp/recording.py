"""Keeps the messages of the devices whose sessions are recorded. For all others it costs one look into a small dict."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from agent.acs.soap.limits import LIMITS
from agent.acs.soap.redaction import redact
from agent.core.clock import wall
from agent.core.errors import ProtocolError, TransientError
from agent.store.cwmp_rows import SessionKey
from agent.store.recordings import NewMessage
from agent.web.cwmp.answers import Answer
from agent.web.secrecy import is_secret

logger = logging.getLogger(__name__)

BODY_MOST = 128 * 1024
"""Characters that are kept of one message."""


class RecordingStore(Protocol):
    """The table of recordings, as this room uses it."""

    def fetch_active(self) -> dict[int, datetime]: ...

    def save(self, device: int, tag: str, messages: tuple[NewMessage, ...]) -> bool: ...


class SessionRecorder:
    """What one worker knows of recordings; shared by its threads. `reload` is called after every change."""

    def __init__(self, store: RecordingStore, *, body_bytes_most: int) -> None:
        self._store = store
        self._limits = replace(LIMITS, size_bytes=body_bytes_most)
        self._active: Mapping[int, datetime] = {}

    def reload(self) -> None:
        """Read of which devices messages are to be kept. Raises TransientError."""
        self._active = self._store.fetch_active()

    def wants(self, device: int) -> bool:
        """Whether messages of a device (by its row) are to be kept."""
        until = self._active.get(device)
        return until is not None and until > wall()

    def keep(self, key: SessionKey, body: bytes, charset: str | None, answer: Answer) -> None:
        """Keep a message of a session and what was answered, if the device is recorded. Never the reason for a session
        to fail: what cannot be kept is said in the log."""
        if not self.wants(key.device):
            return
        heard = self._render("cpe", body, charset, None)
        said = self._render("acs", answer.body, "utf-8", answer.status)
        try:
            going_on = self._store.save(key.device, key.short, (heard, said))
        except TransientError as exc:
            logger.warning("messages could not be recorded", extra={"DEVICE": key.device, "REASON": str(exc)})
            return
        if not going_on:
            self._active = {device: until for device, until in self._active.items() if device != key.device}

    def _render(self, sender: str, body: bytes, charset: str | None, status: HTTPStatus | None) -> NewMessage:
        text, method = "", ""
        if body.strip():
            try:
                redacted = redact(body, is_secret, charset=charset, limits=self._limits)
                text, method = redacted.text, redacted.method[:128]
            except ProtocolError as exc:
                # Not a message: what is wrong with it, and a sample that has no values in it.
                text = f"{exc} ({exc.sample!r})" if sender == "cpe" else body.decode("utf-8", "replace")
        return NewMessage(
            sender=sender,
            method=method,
            http_status=None if status is None else status.value,
            body=text[:BODY_MOST],
            size=len(body),
        )
