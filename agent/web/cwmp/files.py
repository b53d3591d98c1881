"""Files for CPEs and from them: each by the user name and password that one transfer has, while it is under way."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import cast

from flask import Flask, Response, request, send_file
from werkzeug.exceptions import HTTPException
from werkzeug.wsgi import ClosingIterator

from agent.acs.access.credentials import make_credential, proves
from agent.acs.access.headers import Basic, parse_authorization, render_basic_challenge, render_digest_challenge
from agent.core.errors import ProtocolError, TransientError
from agent.core.settings.schema import AcsSettings
from agent.store.transfers import StoredFile, Transfer
from agent.web.cwmp.bodies import BodyWatch, TooSlow
from agent.web.cwmp.gate import NonceMaker
from agent.web.cwmp.transfers import DOWNLOADS, UPLOADS, FileTransfers, user_of

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
TRANSFERS_MOST = 32
"""Of one worker: each takes a thread for as long as the CPE's line needs."""


def create_file_app(
    settings: AcsSettings, transfers: FileTransfers, nonces: NonceMaker, bodies: BodyWatch | None = None
) -> Flask:
    """The WSGI application below /files and /uploads."""
    app = Flask("lastmile-files", static_folder=None)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    desk = _Desk(settings, transfers, nonces, bodies or BodyWatch())

    @app.get(f"/{DOWNLOADS}/<int:task>/<name>")
    def download(task: int, name: str) -> Response:
        transfer = desk.admit(task, "download")
        if isinstance(transfer, Response):
            return transfer
        return desk.in_turn(lambda: desk.send(transfer, name))

    @app.route(f"/{UPLOADS}/<int:task>", methods=["PUT", "POST"])
    @app.route(f"/{UPLOADS}/<int:task>/<path:name>", methods=["PUT", "POST"])
    def upload(task: int, name: str = "") -> Response:
        del name  # what the device calls it: we have a name for it
        transfer = desk.admit(task, "upload")
        if isinstance(transfer, Response):
            return transfer
        return desk.in_turn(lambda: desk.receive(transfer))

    @app.errorhandler(TransientError)
    def later(error: TransientError) -> Response:
        logger.warning("a transfer must wait", extra={"REASON": str(error)})
        return desk.later("try again later")

    @app.errorhandler(TooSlow)
    def gone(error: TooSlow) -> Response:
        return Response(f"{error}\n", HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"})

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        return Response(f"{error.name}\n", error.code, mimetype="text/plain")

    return app


class _Desk:
    def __init__(self, settings: AcsSettings, transfers: FileTransfers, nonces: NonceMaker, bodies: BodyWatch) -> None:
        self._settings = settings
        self._transfers = transfers
        self._nonces = nonces
        self._bodies = bodies
        self._turns = threading.BoundedSemaphore(TRANSFERS_MOST)

    def in_turn(self, transfer: Callable[[], Response]) -> Response:
        """Carry a transfer out, unless there are too many already. A turn ends when the answer has been sent."""
        if not self._turns.acquire(blocking=False):
            return self.later("too many transfers at once")
        try:
            response = transfer()
        except BaseException:
            self._turns.release()
            raise
        if response.direct_passthrough:
            # Werkzeug gives such a body to the server as it is, and does not hear of its end.
            response.response = ClosingIterator(cast("Iterable[bytes]", response.response), self._turns.release)
        else:
            response.call_on_close(self._turns.release)
        return response

    def later(self, why: str) -> Response:
        headers = {"Retry-After": str(self._settings.retry_after_seconds)}
        return Response(f"{why}\n", HTTPStatus.SERVICE_UNAVAILABLE, headers)

    def admit(self, task: int, kind: str) -> Transfer | Response:
        """The transfer that the request may carry out, or the refusal."""
        if not self._authenticated(task):
            return self._challenge()
        transfer = self._transfers.transfers.fetch_transfer(task)
        if transfer is None or transfer.kind != kind:
            return Response("no such transfer is under way\n", HTTPStatus.NOT_FOUND)
        return transfer

    def _authenticated(self, task: int) -> bool:
        try:
            shown = parse_authorization(request.headers.get("Authorization", ""))
        except ProtocolError:
            return False
        if shown.username != user_of(task):
            return False
        if isinstance(shown, Basic):
            return hmac.compare_digest(shown.password.encode(), self._transfers.password_of(task).encode())
        # The same nonce may come again: a transfer goes on where it was cut off, and its password is good for it alone.
        credential = make_credential(user_of(task), self._settings.realm, self._transfers.password_of(task))
        return self._nonces.is_good(shown.nonce) and proves(shown, credential, request.method)

    def _challenge(self) -> Response:
        response = Response("say who you are\n", HTTPStatus.UNAUTHORIZED)
        nonce = self._nonces.make()
        digest = render_digest_challenge(self._settings.realm, nonce, algorithm="MD5", stale=False)
        response.headers.add("WWW-Authenticate", digest)
        response.headers.add("WWW-Authenticate", render_basic_challenge(self._settings.realm))
        return response

    def send(self, transfer: Transfer, name: str) -> Response:
        stored = self._transfers.transfers.fetch_file(name) if transfer.file == name else None
        path = self._settings.file_dir / stored.sha256 if stored is not None else None
        if stored is None or path is None or not path.is_file():
            return Response("no such file\n", HTTPStatus.NOT_FOUND)
        return send_file(path, mimetype="application/octet-stream", conditional=True, etag=stored.sha256, max_age=0)

    def receive(self, transfer: Transfer) -> Response:
        most = self._settings.file_bytes_most
        if (request.content_length or 0) > most:
            return _too_large(most)
        folder = self._settings.file_dir
        with _temporary(folder) as path:
            digest, size = hashlib.sha256(), 0
            with path.open("wb") as out:
                while chunk := self._next_piece():
                    size += len(chunk)
                    if size > most:
                        return _too_large(most)
                    digest.update(chunk)
                    out.write(chunk)
                if request.content_length not in (None, size):
                    # granian gives what has come when the CPE hangs up.
                    return Response("the file is cut off\n", HTTPStatus.BAD_REQUEST, {"Connection": "close"})
                out.flush()
                os.fsync(out.fileno())
            stored = StoredFile(name=_name_of(transfer), kind="upload", size=size, sha256=digest.hexdigest())
            path.replace(folder / stored.sha256)
        self._transfers.transfers.add_upload(transfer, name=stored.name, size=size, sha256=stored.sha256)
        logger.info(
            "a CPE has sent a file", extra={"DEVICE_ID": transfer.device_id, "FILE": stored.name, "BYTES": size}
        )
        return Response(status=HTTPStatus.CREATED)

    def _next_piece(self) -> bytes:
        with self._bodies.reading(request.environ):
            return request.stream.read(CHUNK_BYTES)


def _too_large(most: int) -> Response:
    # The rest of it is not read, so nothing else can come this way.
    return Response(f"more than {most} bytes\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Connection": "close"})


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=".coming-", dir=folder)
    os.close(handle)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _name_of(transfer: Transfer) -> str:
    """A name of ours for what a device sends: the device, the task and the kind of file."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{transfer.device_id}-{transfer.file_type}").strip("-")
    return f"upload-{transfer.task}-{words}"[:200]
