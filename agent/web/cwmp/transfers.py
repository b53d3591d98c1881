"""Makes stored files reachable for one transfer: a URL, a user name and a password that are good while it lasts."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote

from agent.acs.tasks import Download, Task, Upload, parse_arguments, render_arguments
from agent.core.settings.schema import AcsSettings
from agent.store.cwmp import CwmpStore
from agent.store.transfers import TransferStore

DOWNLOADS, UPLOADS = "files", "uploads"
_PASSWORD_LENGTH = 24


class FileTransfers:
    """Nothing is stored for a transfer: its password is made of its task's number and a key of the database."""

    def __init__(self, settings: AcsSettings, store: CwmpStore, transfers: TransferStore) -> None:
        self._settings = settings
        self._store = store
        self.transfers = transfers

    @cached_property
    def _key(self) -> bytes:
        return self._store.transfer_key()

    def password_of(self, task: int) -> str:
        """The password of a transfer; its user name is `user_of`."""
        digest = hmac.digest(self._key, f"transfer {task}".encode(), hashlib.sha256)
        return base64.b32encode(digest).decode()[:_PASSWORD_LENGTH].lower()

    def prepare(self, task: Task, environ: Mapping[str, Any]) -> Task:
        """The task with URL, user name and password for its device, when its file is one of ours.

        A file that is gone by now leaves the URL that it would have: the device's fault tells."""
        arguments = task.arguments
        base = self._base(environ)
        access = {"username": user_of(task.id), "password": self.password_of(task.id)} if base else {}
        match arguments:
            case Download(file=name) if name:
                stored = self.transfers.fetch_file(name)
                given = {**render_arguments(arguments), **access, "file": ""}
                given["url"] = f"{base}/{DOWNLOADS}/{task.id}/{quote(name)}"
                given["file_size"] = stored.size if stored else 0
                filled = parse_arguments(arguments.kind, {name: value for name, value in given.items() if value != ""})
            case Upload(url=""):
                given = {**render_arguments(arguments), **access, "url": f"{base}/{UPLOADS}/{task.id}"}
                filled = parse_arguments(arguments.kind, given)
            case _:
                return task
        return Task(id=task.id, arguments=filled, attempts=task.attempts)

    def _base(self, environ: Mapping[str, Any]) -> str:
        """Scheme and host by which CPEs reach this server."""
        if self._settings.file_url:
            return self._settings.file_url.rstrip("/")
        return (
            f"{environ.get('wsgi.url_scheme', 'http')}://{environ.get('HTTP_HOST') or environ.get('SERVER_NAME', '')}"
        )


def user_of(task: int) -> str:
    """The user name of a transfer."""
    return f"transfer-{task}"
