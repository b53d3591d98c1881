"""What the database has of a session under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TAG_LENGTH = 10


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Names a session under way: the device's row, and a secret that its CPE shows."""

    device: int
    token: str

    def render(self) -> str:
        return f"{self.device}.{self.token}"

    @classmethod
    def parse(cls, text: str) -> SessionKey | None:
        """What `render` made; None for anything else."""
        device, _, token = text.partition(".")
        if not (device.isascii() and device.isdigit() and len(device) < 19 and 16 <= len(token) <= 64):
            return None
        return cls(int(device), token)

    @property
    def tag(self) -> str:
        """What our requests' IDs begin with, so that an answer without a cookie finds its session."""
        return f"{self.device}.{self.short}."

    @property
    def short(self) -> str:
        """The beginning of the token: names the session where it is kept, and does not open it."""
        return self.token[:TAG_LENGTH]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A task as the session needs it."""

    id: int
    kind: str
    arguments: dict[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A session under way, and the next task of its device."""

    verdict: str
    """open, ended (nothing was left to do, and it has been ended), gone, foreign or replayed."""
    sequence: int | None
    state: dict[str, Any] | None
    discovery: bool | None
    model: int | None
    profile: dict[str, Any] | None
    names: list[str] | None
    names_start: int | None
    total: int | None
    task: int | None
    task_kind: str | None
    task_arguments: dict[str, Any] | None
    task_attempts: int | None

    @property
    def next_task(self) -> TaskRow | None:
        if self.task is None or self.task_kind is None:
            return None
        return TaskRow(
            id=self.task,
            kind=self.task_kind,
            arguments=self.task_arguments or {},
            attempts=self.task_attempts or 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRow:
    """What a CPE must know to be let in: never the password itself."""

    username: str
    realm: str
    ha1_md5: str
    ha1_sha256: str
    device_id: str | None
