"""What a CPE does between sessions at the ACS's wish, and what it then tells: transfers and deployment units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum

from agent.sim.cpe.records import Event

MOST_JOBS = 16


class JobKind(Enum):
    """The RPC that asked for it; the value is its name."""

    DOWNLOAD = "Download"
    SCHEDULE_DOWNLOAD = "ScheduleDownload"
    UPLOAD = "Upload"
    CHANGE_DU_STATE = "ChangeDUState"


class JobState(IntEnum):
    """TransferStateType of the schema."""

    WAITING = 1
    UNDER_WAY = 2
    COMPLETE = 3


class DuOperation(Enum):
    """An operation of ChangeDUState; the value is the element's type."""

    INSTALL = "InstallOpStruct"
    UPDATE = "UpdateOpStruct"
    UNINSTALL = "UninstallOpStruct"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePlace:
    """Where a file is fetched from or sent to."""

    url: str
    username: str = ""
    password: str = ""


@dataclass(slots=True, kw_only=True)
class Job:
    """A transfer, or one operation on a deployment unit."""

    kind: JobKind
    command_key: str
    place: FilePlace
    start_at: float
    """Monotonic instant."""
    file_type: str = ""
    file_size: int = 0
    target: str = ""
    operation: DuOperation | None = None
    uuid: str = ""
    version: str = ""
    state: JobState = JobState.WAITING

    @property
    def is_firmware(self) -> bool:
        return self.kind in {JobKind.DOWNLOAD, JobKind.SCHEDULE_DOWNLOAD} and self.file_type.startswith("1 ")


@dataclass(frozen=True, slots=True, kw_only=True)
class DuResult:
    """The deployment unit after an operation; `state` is Installed, Uninstalled or Failed."""

    uuid: str
    version: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the next session tells of a job that ended; times None are unknown. `fault_code` 0: it went well."""

    job: Job
    fault_code: int
    fault_text: str
    started: datetime | None
    completed: datetime | None
    du_result: DuResult | None = None

    @property
    def events(self) -> tuple[Event, Event]:
        """What the Inform of the session that tells it says."""
        kind = self.job.kind
        code = "11 DU STATE CHANGE COMPLETE" if kind is JobKind.CHANGE_DU_STATE else "7 TRANSFER COMPLETE"
        return Event(code), Event(f"M {kind.value}", self.job.command_key)
