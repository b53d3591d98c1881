"""Sessions with CPEs: their rows, and what a step of one wants saved."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from psycopg.rows import class_row, scalar_row, tuple_row

from agent.acs.discovery import BATCH_MOST
from agent.acs.identity import DeviceIdentity
from agent.acs.paths import is_object, is_valid
from agent.acs.session.machine import Step
from agent.acs.session.state import SessionState
from agent.acs.soap.messages import ParameterValue
from agent.core.errors import TransientError
from agent.store.cwmp_rows import TAG_LENGTH, CredentialRow, Loaded, SessionKey, TaskRow
from agent.store.cwmp_steps import save_step
from agent.store.database import Database
from agent.store.documents import clean_text
from agent.store.hot_call import HotCall, number, text, text_array, truth
from agent.store.parameters import VALUE_MOST, ModelMemory, ParameterWriter, Traits
from agent.store.statements import statements


class Verdict(StrEnum):
    """What became of an Inform."""

    BEGUN = "begun"
    BUSY = "busy"
    """The device has a session already."""
    HELD = "held"
    """An operator must accept the device first."""
    REFUSED = "refused"
    TOO_MANY = "too_many"
    """More new devices in a minute than may be."""
    REPLAYED = "replayed"
    """The nonce was used before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InformFacts:
    """What begins a session."""

    identity: DeviceIdentity
    principal: str | None
    worker: str
    peer: str | None
    events: tuple[str, ...]
    parameters: tuple[ParameterValue, ...]
    state: SessionState
    software_version: str | None
    hardware_version: str | None
    connection_request_url: str | None
    inform_interval_seconds: int | None
    nonce: tuple[str, int] | None
    """A nonce and its count, to be used once."""
    new_devices: str
    """State that a new device gets: accepted, held or refused."""
    new_per_minute: int
    stale_seconds: float
    """A session that has been silent for so long gives way."""

    @property
    def rebooted(self) -> bool:
        return any(event in ("0 BOOTSTRAP", "1 BOOT") for event in self.events)

    @property
    def bootstrapped(self) -> bool:
        return "0 BOOTSTRAP" in self.events


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A session, or why there is none."""

    verdict: Verdict
    key: SessionKey | None = None


class CwmpStore:
    """What the workers of the ACS share. All methods raise TransientError when PostgreSQL cannot be reached in time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = statements("cwmp")
        self._begin = HotCall(database, "begin_session", self._sql["begin_session"])
        self._load = HotCall(database, "load_session", self._sql["load_session"])
        self._memory = ModelMemory()
        self._writer = ParameterWriter(self._memory)

    def begin(self, facts: InformFacts) -> Begun:
        """Begin the session of an Inform, registering the device when it is new, and keep the values it came with."""
        token = secrets.token_urlsafe(16)
        values = {
            each.name: each.value[:VALUE_MOST]
            for each in facts.parameters
            if is_valid(each.name) and not is_object(each.name)
        }
        nonce, count = facts.nonce or (None, None)
        identity = facts.identity
        row = self._begin.fetch_one(
            (
                text(identity.device_id),
                text(identity.oui),
                text(identity.product_class),
                text(identity.serial_number),
                text(identity.manufacturer),
                text(token),
                text(facts.principal),
                text(facts.worker),
                text(facts.peer),
                text_array(facts.events),
                _json(values).encode(),
                _json(facts.state.render()).encode(),
                text(facts.software_version),
                text(facts.hardware_version),
                text(facts.connection_request_url),
                number(facts.inform_interval_seconds),
                text(nonce),
                number(count),
                text(facts.new_devices),
                number(facts.new_per_minute),
                number(facts.stale_seconds),
                truth(facts.rebooted),
                truth(facts.bootstrapped),
            )
        )
        verdict, device, model = (row[0] or b"").decode(), _integer(row[1]), _integer(row[2])
        created, strangers = row[3] == b"t", row[5] == b"t"
        if verdict != Verdict.BEGUN:
            return Begun(verdict=Verdict(verdict))
        assert device is not None
        assert model is not None
        if created or strangers:
            types = {each.name: each.type for each in facts.parameters}
            with self._database.transaction() as connection:
                self._writer.adopt(connection, device, model, values, types)
        return Begun(verdict=Verdict.BEGUN, key=SessionKey(device, token))

    def tasks_done_by_event(self, device: int, tasks: Sequence[int]) -> None:
        """Complete the reboots and scheduled Informs whose CommandKey came back in an event."""
        self._database.execute(self._sql["tasks_by_event"], {"device": device, "tasks": list(tasks)})

    def find_by_id(self, rpc_id: str) -> SessionKey | None:
        """The session that a request of ours with this ID went out in: for answers that come without a cookie."""
        device, _, rest = rpc_id.partition(".")
        tag = rest.partition(".")[0]
        if not (device.isascii() and device.isdigit() and len(device) < 19 and len(tag) == TAG_LENGTH):
            return None
        parameters = {"device": int(device), "tag": tag}
        token = self._database.fetch_one(self._sql["find_by_tag"], parameters, scalar_row)
        return SessionKey(int(device), token) if token is not None else None

    def find_by_peer(self, peer: str | None, principal: str | None) -> SessionKey | None:
        """The one session that was begun from this address (and by this principal); None when there are others too."""
        if peer is None:
            return None
        parameters = {"peer": peer, "principal": principal}
        found = self._database.fetch(self._sql["find_by_peer"], parameters, tuple_row)
        return SessionKey(*found[0]) if len(found) == 1 else None

    def load(
        self,
        key: SessionKey,
        *,
        principal: str | None,
        peer: str | None,
        empty: bool,
        nonce: tuple[str, int] | None,
    ) -> Loaded:
        """What the next message of a session needs; ends it when nothing is left to do on either side."""
        row = self._load.fetch_one(
            (
                number(key.device),
                text(key.token),
                text(principal),
                text(peer),
                truth(empty),
                text(nonce[0] if nonce else None),
                number(nonce[1] if nonce else None),
                number(BATCH_MOST),
            )
        )
        return Loaded(
            verdict=(row[0] or b"").decode(),
            sequence=_integer(row[1]),
            state=_document(row[2]),
            discovery=row[3] == b"t",
            model=_integer(row[4]),
            profile=_document(row[5]),
            names=json.loads(row[6]) if row[6] is not None else None,
            names_start=_integer(row[7]),
            total=_integer(row[8]),
            task=_integer(row[9]),
            task_kind=row[10].decode() if row[10] is not None else None,
            task_arguments=_document(row[11]),
            task_attempts=_integer(row[12]),
        )

    def fetch_transferring(self, device: int, task: int | None) -> tuple[TaskRow, ...]:
        """Tasks that wait for a TransferComplete, and the one of id `task`."""
        rows = self._database.fetch(
            self._sql["fetch_transferring"], {"device": device, "task": task or 0}, class_row(TaskRow)
        )
        return tuple(rows)

    def fetch_types(self, model: int, paths: Sequence[str]) -> dict[str, Traits]:
        """Type and writability of paths, as the model has them."""
        with self._database.connection() as connection:
            return self._memory.traits_of(connection, model, paths)

    def nonce_key(self) -> bytes:
        """The secret that nonces are made with, the same for all workers until PostgreSQL has to recover."""
        return self._key("nonce_key")

    def transfer_key(self) -> bytes:
        """The secret that the passwords of single transfers are made with; the same for ever."""
        return self._key("transfer_key")

    def fetch_credential(self, username: str) -> CredentialRow | None:
        """What a CPE that calls itself `username` must know; None when there is no such user."""
        return self._database.fetch_one(
            self._sql["fetch_credential"], {"username": clean_text(username)}, class_row(CredentialRow)
        )

    def fail_task(self, task: int, reason: str) -> None:
        """Fail a task that cannot be sent as it stands."""
        failed = {"task": task, "code": "arguments", "message": clean_text(reason)[:500], "wait": None}
        self._database.execute(self._sql["task_failed"], failed)

    def fail(self, key: SessionKey, reason: str) -> None:
        """End a session whose CPE sent what cannot be understood."""
        self._database.fetch_one(
            self._sql["fail_session"],
            {"device": key.device, "token": key.token, "reason": clean_text(reason)[:500]},
            scalar_row,
        )

    def save(self, key: SessionKey, loaded: Loaded, step: Step) -> bool:
        """Save a step as a whole; False when the session has gone on without us, and nothing was saved."""
        with self._database.transaction() as connection:
            return save_step(connection, self._writer, key, loaded, step)

    def _key(self, name: str) -> bytes:
        for _ in range(5):
            found = self._database.fetch_one(self._sql[name], {"key": secrets.token_bytes(32)}, scalar_row)
            if found is not None:
                return bytes(found)
        raise TransientError("somebody is making the ACS's keys; try again")


def _integer(value: bytes | None) -> int | None:
    return None if value is None else int(value)


def _document(value: bytes | None) -> Any:
    return None if value is None else json.loads(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
