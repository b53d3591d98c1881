"""What this host must remember by itself: data sessions of this boot, and PIN tries for ever."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
from pathlib import Path

from agent.core.atomic import atomic_write, sync_directory
from agent.core.errors import ConfigError, TransientError
from agent.core.identifiers import Iccid, Serial
from agent.modem.model import DataSession

PRIVATE = 0o600
KEY_BYTES = 32
DIGEST_BYTES = 32
_log = logging.getLogger(__name__)


class FileSessionMemory:
    """`ports.SessionMemory`: one small file for each modem under `<run_dir>/sessions`. Raises TransientError."""

    def __init__(self, run_dir: Path) -> None:
        self._directory = run_dir / "sessions"

    def fetch(self, serial: Serial) -> DataSession | None:
        """The remembered session; None when there is none. An unreadable one is logged and counts as none: its client
        id is lost until the modem restarts."""
        path = self._path(serial)
        try:
            return _parse_session(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise TransientError(f"cannot read {path}: {exc}") from exc
        except ValueError:
            _log.warning("remembered data session is unreadable", extra={"MODEM": serial}, exc_info=True)
            return None

    def save(self, serial: Serial, session: DataSession | None) -> None:
        """Remember the session, or (None) forget it."""
        path = self._path(serial)
        try:
            if session is None:
                path.unlink(missing_ok=True)
                return
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            values = {"client_id": session.client_id, "packet_data_handle": session.packet_data_handle}
            atomic_write(path, json.dumps(values) + "\n")
        except OSError as exc:
            raise TransientError(f"cannot write {path}: {exc}") from exc

    def _path(self, serial: Serial) -> Path:
        return self._directory / f"{serial}.json"


class FilePinMemory:
    """`ports.PinMemory`: keyed digests of (ICCID, PIN) under `state_dir`, mode 0600.

    Whatever is wrong with the files, a try is never taken for untried: ConfigError then says what to do, or
    TransientError when they cannot be read or written now.
    """

    def __init__(self, state_dir: Path) -> None:
        self._tries_path = state_dir / "pin-tries.json"
        self._key_path = state_dir / "pin-key"
        self._lock = threading.Lock()

    def tried(self, iccid: Iccid, pin: str) -> bool:
        """Whether this PIN was tried on this SIM and is not known to have been right."""
        with self._lock:
            key, tries = self._fetch()
        return _digest(key, iccid, pin) in tries

    def remember(self, iccid: Iccid, pin: str) -> None:
        """On return the try is on stable storage."""
        with self._lock:
            key, tries = self._fetch()
            self._save(key, tries | {_digest(key, iccid, pin)})

    def accept(self, iccid: Iccid, pin: str) -> None:
        """The SIM took this PIN: it may be entered again when the SIM wants it again."""
        with self._lock:
            key, tries = self._fetch()
            self._save(key, tries - {_digest(key, iccid, pin)})

    def _fetch(self) -> tuple[bytes, frozenset[str]]:
        """(key, digests). The first time, an empty list is made before the key: so a key without a list, or a list
        with tries in it and no key, always means that something was lost."""
        tries_text, key_text = self._read(self._tries_path), self._read(self._key_path)
        if key_text is None:
            if tries_text not in (None, _render_tries(b"", frozenset())):
                raise self._corrupt(self._key_path, "is missing")
            key = secrets.token_bytes(KEY_BYTES)
            self._save(b"", frozenset())
            self._write(self._key_path, key.hex() + "\n")
            return key, frozenset()
        key = self._parse_key(key_text)
        if tries_text is None:
            raise self._corrupt(self._tries_path, "is missing")
        if tries_text == _render_tries(b"", frozenset()):
            return key, frozenset()
        return key, self._parse_tries(key, tries_text)

    def _parse_key(self, text: str) -> bytes:
        try:
            key = bytes.fromhex(text)
        except ValueError as exc:
            raise self._corrupt(self._key_path, "is damaged") from exc
        if len(key) != KEY_BYTES:
            raise self._corrupt(self._key_path, "is damaged")
        return key

    def _parse_tries(self, key: bytes, text: str) -> frozenset[str]:
        try:
            tries = frozenset(json.loads(text)["tries"])
            rendered = _render_tries(key, tries)
        except (ValueError, KeyError, TypeError) as exc:
            raise self._corrupt(self._tries_path, "is damaged") from exc
        if not hmac.compare_digest(rendered.encode(), text.encode()):
            raise self._corrupt(self._tries_path, "is damaged")
        return tries

    def _corrupt(self, path: Path, what: str) -> ConfigError:
        return ConfigError(
            f"{path} {what}, so it is not known which PINs were tried before, and none is tried now. See with AT+QPINC "
            f"or another phone how many tries each SIM has left; then remove {self._tries_path} and {self._key_path}."
        )

    def _save(self, key: bytes, tries: frozenset[str]) -> None:
        self._write(self._tries_path, _render_tries(key, tries))

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as exc:
            raise self._corrupt(path, "is damaged") from exc
        except OSError as exc:
            raise TransientError(f"cannot read {path}: {exc}") from exc

    def _write(self, path: Path, text: str) -> None:
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
                sync_directory(path.parent.parent)
            atomic_write(path, text, mode=PRIVATE)
        except OSError as exc:
            raise TransientError(f"cannot write {path}: {exc}") from exc


def _parse_session(text: str) -> DataSession:
    """Raises ValueError for anything but what `save` writes."""
    values = json.loads(text)
    if not isinstance(values, dict) or values.keys() != {"client_id", "packet_data_handle"}:
        raise ValueError("not a data session")
    client_id, handle = values["client_id"], values["packet_data_handle"]
    if type(client_id) is not int or (handle is not None and type(handle) is not int):
        raise ValueError("a data session has numbers")
    return DataSession(client_id=client_id, packet_data_handle=handle)


def _render_tries(key: bytes, tries: frozenset[str]) -> str:
    """The file's text; its seal shows any change, so that a try cut off the list is noticed."""
    listed = sorted(tries)
    seal = hashlib.blake2b("\n".join(listed).encode(), key=key, digest_size=DIGEST_BYTES, person=b"seal").hexdigest()
    return json.dumps({"tries": listed, "seal": seal}, indent=1) + "\n"


def _digest(key: bytes, iccid: Iccid, pin: str) -> str:
    text = f"{iccid}\0{pin}".encode()
    return hashlib.blake2b(text, key=key, digest_size=DIGEST_BYTES, person=b"pin-try").hexdigest()
