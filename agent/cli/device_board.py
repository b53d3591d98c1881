"""Discoveries under way, as notifications tell of them: what `lastmile device watch` shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.store.device_rows import OpenSession


class Stage(StrEnum):
    """How a discovery stands."""

    READING = "reading"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    """Its session is over, and nobody has told how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One device's discovery."""

    device_id: str
    stage: Stage = Stage.READING
    batch: int = 0
    batches: int = 0
    """0: not known yet."""
    parameters: int = 0
    total: int = 0
    """Names that are asked; 0: not known yet."""

    @property
    def text(self) -> str:
        """The same in words."""
        if self.stage is not Stage.READING:
            return f"{self.stage.value}, {self.parameters} parameters"
        if not self.batches:
            return "listing names"
        return f"batch {self.batch}/{self.batches}, {self.parameters} of {self.total} parameters"


class Board:
    """The lines by device. Only `device_id` is watched when it is given."""

    def __init__(self, device_id: str | None = None) -> None:
        self._wanted = device_id
        self.lines: dict[str, Line] = {}

    @property
    def reading(self) -> bool:
        """Whether any discovery is under way."""
        return any(line.stage is Stage.READING for line in self.lines.values())

    def progress(self, told: Mapping[str, Any]) -> Line | None:
        """Take a notification of `session_progress`; the line that it changes."""
        device = told.get("device")
        numbers = {name: told.get(name) for name in ("batch", "batches", "parameters", "total")}
        if not isinstance(device, str) or not all(type(number) is int for number in numbers.values()):
            return None
        return self._put(Line(device_id=device, **numbers))  # type: ignore[arg-type]

    def change(self, told: Mapping[str, Any]) -> Line | None:
        """Take a notification of `device_change`; the line that it changes."""
        device, kind = told.get("device"), told.get("kind")
        stages = {"discovery_finished": Stage.FINISHED, "discovery_failed": Stage.FAILED, "device_added": Stage.READING}
        if not isinstance(device, str) or kind not in stages:
            return None
        return self._stage(device, stages[str(kind)])

    def resync(self, sessions: Iterable[OpenSession]) -> list[Line]:
        """Take what the table has: the sessions under way that discover; the lines that it changes."""
        found = {each.device_id: each.session for each in sessions}
        changed: list[Line | None] = []
        for device, session in found.items():
            known = self.lines.get(device)
            if known is None or known.stage is not Stage.READING or known.batch < session.batch:
                line = Line(
                    device_id=device, batch=session.batch, batches=session.batches, parameters=session.parameters
                )
                changed.append(self._put(line))
        for device, line in list(self.lines.items()):
            if line.stage is Stage.READING and device not in found:
                changed.append(self._stage(device, Stage.STOPPED))
        return [line for line in changed if line is not None]

    def _stage(self, device: str, stage: Stage) -> Line | None:
        known = self.lines.get(device, Line(device_id=device))
        read = known.total or known.parameters
        return self._put(
            Line(
                device_id=device,
                stage=stage,
                batch=known.batches if stage is Stage.FINISHED else known.batch,
                batches=known.batches,
                parameters=read if stage is Stage.FINISHED else known.parameters,
                total=known.total,
            )
        )

    def _put(self, line: Line) -> Line | None:
        if self._wanted not in (None, line.device_id):
            return None
        self.lines[line.device_id] = line
        return line
